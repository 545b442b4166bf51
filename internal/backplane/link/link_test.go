package link

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"millrace/channels"
)

var errTest = errors.New("lost")

// Ensure that a session that is lost at once is not begun again and again without a
// pause, though it was connected, and that one that lasted is.
func TestDelay(t *testing.T) {
	for _, tt := range []struct {
		lasts    time.Duration
		min, max int // sessions in five minutes
	}{
		{time.Millisecond, 60, 250},
		{lasting, 90, 100},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, sessions := New("an engine", &url.URL{Host: "somewhere"}, slog.New(slog.DiscardHandler)), 0
			l.Start(channels.NewBroker(channels.Options{Backplane: l.backplane()}).Feed(), func(ctx context.Context) error {
				sessions++
				l.Up()
				select {
				case <-time.After(tt.lasts):
				case <-ctx.Done():
				}
				return errTest
			})
			time.Sleep(5 * time.Minute)
			l.Close()
			if sessions < tt.min || sessions > tt.max {
				t.Errorf("%d sessions of %v in five minutes, want %d to %d", sessions, tt.lasts, tt.min, tt.max)
			}
		})
	}
}

// Ensure that a session that panics is one that is lost, and that the engine is known
// to be down as long as nothing connects.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, sessions := New("an engine", &url.URL{Host: "somewhere"}, slog.New(slog.DiscardHandler)), 0
		l.Start(channels.NewBroker(channels.Options{Backplane: l.backplane()}).Feed(), func(ctx context.Context) error {
			if sessions++; sessions < 3 {
				var reply []any
				_ = reply[0]
			}
			l.Up()
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		if l.Down() == nil || l.Health() == nil {
			t.Errorf("after a panic: down %v, health %v, want both to say so", l.Down(), l.Health())
		}
		time.Sleep(time.Minute)
		if l.Down() != nil || l.Health() != nil {
			t.Errorf("the third session is fine: down %v, health %v", l.Down(), l.Health())
		}
		l.Close()
	})
}

// backplane returns one that publishes nothing.
func (l *Link) backplane() channels.Backplane { return silent{l} }

type silent struct{ *Link }

func (silent) Send(string, channels.Event) (channels.Receipt, error) {
	return channels.Receipt{}, errTest
}
