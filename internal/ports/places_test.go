package ports

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// nowhere is a connection to nobody.
type nowhere struct {
	net.Conn
	closed bool
}

func (n *nowhere) Close() error { n.closed = true; return nil }

// Ensure that for any behaviour of connections, there are never more than there may be, that one
// that is not idle keeps its place, that of the others the first that is idle goes, and
// that every new connection gets a place, one for health if need be.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(2, 20).Draw(t, "most")
		p := NewPlaces(nil, "test", most, slog.New(slog.DiscardHandler))
		now := time.Duration(0)
		var all []*place // in the order in which they became idle, or not
		drop := func(c *place) {
			for i := range all {
				if all[i] == c {
					all = append(all[:i], all[i+1:]...)
					return
				}
			}
			t.Fatalf("a connection is displaced that has no place")
		}
		isBusy := func(c *place) bool { return c.patient || c.busy && now-c.since < busyFor }
		isIdle := func(c *place) bool {
			return !isBusy(c) && now-c.since >= grace && (c.read || now-c.since >= busyFor)
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if n := p.Stats().Open; n > p.Most() || n != len(all) {
					t.Fatalf("%d places, want %d, and %d at most", n, len(all), p.Most())
				}
			},
			"wait":          func(t *rapid.T) { now += busyFor / 3 },
			"wait a little": func(t *rapid.T) { now += grace / 3 },
			"come": func(t *rapid.T) {
				now++
				var first *place // that would have to go
				ordinary, late, soon, lateIdle := 0, 0, false, false
				for _, c := range all {
					if c.late {
						late++
						lateIdle = lateIdle || isIdle(c)
					} else {
						ordinary++
						soon = soon || !isBusy(c) && !isIdle(c)
					}
					if first == nil && !c.late && isIdle(c) {
						first = c
					}
				}
				c, gone := p.add(new(nowhere), now)
				full := ordinary == p.most-p.kept
				if waits := full && first == nil && (soon || late == p.kept && !lateIdle); waits || c == nil {
					if waits != (c == nil) {
						t.Fatalf("of %d places %d and %d are taken; waits: %v, want %v", p.most, ordinary, late, c == nil, waits)
					}
					return
				}
				switch {
				case c.late != (full && first == nil):
					t.Fatalf("of %d places %d are taken, idle: %v; late: %v", p.most, ordinary, first != nil, c.late)
				case !c.late && full && gone != first, !full && gone != nil:
					t.Fatalf("%p goes, want %p", gone, first)
				case gone != nil && !isIdle(gone):
					t.Fatalf("one that is not idle goes")
				}
				if gone != nil {
					drop(gone)
				}
				all = append(all, c)
			},
			"change": func(t *rapid.T) {
				if len(all) == 0 {
					return
				}
				c := rapid.SampledFrom(all).Draw(t, "connection")
				if c.late {
					return // these are never busy
				}
				now++
				drop(c)
				all = append(all, c)
				c.read, c.busy = true, rapid.Bool().Draw(t, "busy")
				c.patient, c.since = c.busy && rapid.Bool().Draw(t, "patient"), now
			},
			"go": func(t *rapid.T) {
				if len(all) == 0 {
					return
				}
				c := rapid.SampledFrom(all).Draw(t, "connection")
				c.Close()
				c.Close()
				if drop(c); !c.Conn.(*nowhere).closed {
					t.Fatal("it is not closed")
				}
			},
		})
	})
}

// Ensure that a request finds its connection's place, and that one without any is none.
func TestPlaceOfRequest(t *testing.T) {
	p := NewPlaces(nil, "test", 2, slog.New(slog.DiscardHandler))
	request := func(c net.Conn) *http.Request {
		ctx := t.Context()
		if c != nil {
			ctx = p.ConnContext(context.Background(), c)
		}
		return new(http.Request).WithContext(ctx)
	}
	first, _ := p.add(new(nowhere), 0)
	done := Busy(request(first))
	Patient(request(first))
	late, gone := p.add(new(nowhere), time.Hour)
	if gone != nil || !Kept(request(late)) || Kept(request(first)) {
		t.Errorf("beside a stream: %v goes, kept for health: %v and %v, want none, and the second", gone, Kept(request(first)), Kept(request(late)))
	}
	done()
	if c, gone := p.add(new(nowhere), 2*time.Hour); gone != first || c.late {
		t.Errorf("after the stream: %v goes, late: %v, want the first, and no", gone, c.late)
	}
	Busy(request(nil))()
	Patient(request(nil))
	if Kept(request(nil)) {
		t.Error("a request without a place counts as one for health")
	}
}
