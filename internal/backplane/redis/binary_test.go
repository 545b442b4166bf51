package redis

import (
	"log/slog"
	"net/url"
	"testing"
	"time"

	"millrace/internal/backplane/enginetest"
)

// Ensure that payloads of any bytes cross Redis, in both of its forms.
func TestBinary(t *testing.T) {
	address := startProcess(t).address()
	for query, history := range map[string]int{"": 0, "?history=streams": 10} {
		o := Options{History: history, HistoryTTL: time.Hour}
		enginetest.Binary(t, "redis://"+address+"/"+query, history, func(u *url.URL, log *slog.Logger) (enginetest.Backplane, error) {
			o.Logger = log
			return Open(u, o)
		})
	}
}
