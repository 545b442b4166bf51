package link

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/channels"
)

// Ensure that the log says of an engine that it cannot be reached, that it is lost only if
// it was there, and once a minute since when it is down; and that the state says so, too.
func TestDownIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		l := New("an engine", &url.URL{Host: "somewhere"}, slog.New(slog.NewTextHandler(&text, nil)))
		began := time.Now()
		var reachable atomic.Bool
		cut := make(chan struct{})
		l.Start(channels.NewBroker(channels.Options{Backplane: l.backplane()}).Feed(), func(ctx context.Context) error {
			if !reachable.Load() {
				return errTest
			}
			l.Up()
			select {
			case <-cut:
			case <-ctx.Done():
			}
			return errTest
		})
		defer l.Close()
		want := func(when string, up bool, connects int64, since time.Time, lines map[string]int) {
			t.Helper()
			synctest.Wait() // all lines have been written
			if got := l.State(); got.Up != up || got.Connects != connects || got.Since.Before(since) || got.Since.After(since.Add(lastDelay*2)) {
				t.Errorf("%s: %+v, want up: %v since %v, %d connects", when, got, up, since, connects)
			}
			for line, n := range lines {
				if got := strings.Count(text.String(), line); got != n {
					t.Errorf("%s: %d lines %q, want %d, in\n%s", when, got, line, n, text.String())
				}
			}
			text.Reset()
		}
		const cannot, lost, no = "cannot connect to an engine", "the connection to an engine is lost", "there is no connection to an engine"
		time.Sleep(3*time.Minute + time.Second)
		want("never there", false, 0, began, map[string]int{cannot: 1, lost: 0, no: 3, "since=" + began.UTC().Format(time.RFC3339): 3})
		reachable.Store(true)
		came := time.Now()
		time.Sleep(5 * time.Minute)
		want("there", true, 1, came, map[string]int{cannot: 0, lost: 0, no: 0})
		reachable.Store(false)
		went := time.Now()
		cut <- struct{}{}
		time.Sleep(2*time.Minute + time.Second)
		want("lost", false, 1, went, map[string]int{cannot: 0, lost: 1, no: 2})
		reachable.Store(true)
		came = time.Now()
		time.Sleep(time.Minute)
		want("back", true, 2, came, map[string]int{cannot: 0, lost: 0})
	})
}
