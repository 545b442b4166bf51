package nats

import (
	"log/slog"
	"net/url"
	"testing"
	"time"

	"millrace/internal/backplane/enginetest"
)

// Ensure that payloads of any bytes cross NATS, in both of its forms.
func TestBinary(t *testing.T) {
	s := startServer(t, 0, t.TempDir())
	for query, history := range map[string]int{"": 0, "?history=jetstream": 10} {
		o := Options{History: history, HistoryTTL: time.Hour}
		enginetest.Binary(t, s.ClientURL()+query, history, func(u *url.URL, log *slog.Logger) (enginetest.Backplane, error) {
			o.Logger = log
			return Open(u, o)
		})
	}
}
