package admin

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"millrace/channels"
	"millrace/internal/testenv"
)

// cut is a broker that takes so many events, and is frozen then.
type cut struct {
	channels.Ports
	linked bool
	left   atomic.Int64
}

func (c *cut) Linked() bool { return c.linked }

func (c *cut) Publish(channel string, ev channels.Event) (channels.Receipt, error) {
	if c.left.Add(-1) < 0 {
		return channels.Receipt{}, channels.ErrFrozen
	}
	return c.Ports.Publish(channel, ev)
}

func (c *cut) PublishAll(batch []channels.Publication) {
	for i := range batch {
		batch[i].Receipt, batch[i].Err = c.Publish(batch[i].Channel, batch[i].Event)
	}
}

// heard writes down what it hears.
type heard struct{ lines []string }

func (h *heard) Hear(_ channels.Glob, channel string, data []byte) {
	h.lines = append(h.lines, fmt.Sprintf("%s %q", channel, data))
}

// Ensure that requests which are stopped after any event go on with the next one in the other
// server: every event is published once and in order, and replies are those of a server that
// nothing has stopped.
func TestStoppedRequests(t *testing.T) {
	const script = `"for i = 2, #ARGV do redis.call('publish', ARGV[i], ARGV[1]) end"`
	publishes := func(from, to int) (text string) {
		for i := from; i <= to; i++ {
			text += fmt.Sprintf("PUBLISH /a %d\r\n", i)
		}
		return text
	}
	for _, tt := range []struct {
		name, input string
		events      int // that are tried
	}{
		{"a pipeline", publishes(1, 4) + "PING\r\nSSE.PUBLISH /b x EVENT e RETRY 7\r\nSPUBLISH s y\r\nWHAT\r\nSSE.PUBLISH /b x OPTION\r\n" + publishes(5, 6), 8},
		{"a bad name within", publishes(1, 2) + "PUBLISH '' x\r\nPUBLISH __shard:x y\r\n" + publishes(3, 3), 4},
		{"a transaction", "MULTI\r\n" + publishes(1, 2) + "PING\r\n" + publishes(3, 4) + "EXEC\r\nECHO after\r\n" + publishes(5, 5), 5},
		{"a large transaction", "MULTI\r\n" + strings.Repeat("ECHO "+strings.Repeat("x", 30_000)+"\r\n", 5) + publishes(1, 2) + "EXEC\r\nPING\r\n", 2},
		{"a script", "EVAL " + script + " 1 key data /a /b /c\r\nPING\r\n" + publishes(1, 1), 4},
		{"a script with a bad name", "EVAL " + script + " 0 data /a '' /c\r\nPING\r\n", 3},
	} {
		for _, linked := range []bool{false, true} {
			run := func(t *testing.T, events int) (published []string, replies string) {
				broker := &cut{linked: linked}
				broker.left.Store(int64(events))
				u := upgradable(t, Config{}, func(p channels.Ports) Broker {
					broker.Ports = p
					return broker
				})
				var all heard
				for _, channel := range []string{"/a", "/b", "/c", channels.ShardPrefix + "s"} {
					broker.Observe(&all, channel)
				}
				nc := u.dial()
				if _, err := io.WriteString(nc, tt.input); err != nil {
					t.Fatal(err)
				}
				nc.CloseWrite()
				if events < tt.events {
					testenv.Eventually(t, "the broker is frozen", func() bool { return broker.left.Load() < 0 })
				}
				u.takeBack()
				broker.left.Store(1000)
				u.move()
				got, err := io.ReadAll(nc)
				if err != nil {
					t.Fatal(err)
				}
				u.stop()
				u.stop = func() {}
				return all.lines, string(got)
			}
			want, replies := run(t, tt.events)
			for events := range tt.events {
				t.Run(fmt.Sprintf("%s, linked: %v, after %d", tt.name, linked, events), func(t *testing.T) {
					if got, r := run(t, events); !slices.Equal(got, want) || r != replies {
						t.Errorf("published %q, want %q;\nreplies %.500q, want %.500q", got, want, r, replies)
					}
				})
			}
		}
	}
}

// Ensure that an event that waits for room does not hold the handover up, and is published
// once by the successor.
func TestWaitingPublisher(t *testing.T) {
	u := upgradable(t, Config{})
	inbox := u.broker.NewInbox(func() {})
	inbox.Attach(nil, []byte("/a"))
	nc := u.dial()
	const fit = 9 // more than the half of a MiB that one channel may take
	for range fit + 1 {
		if _, err := fmt.Fprintf(nc, "PUBLISH /a %s\r\n", strings.Repeat("x", 60_000)); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "the last event waits", func() bool {
		return u.now.commands.Load() == fit+1 && u.broker.Ports().Publishing().Published == fit
	})
	u.move()
	inbox.Served(inbox.Take(nil))
	exchange(t, nc, "PING\r\n", strings.Repeat(":1\r\n", fit+1)+"+PONG\r\n")
	if got := len(inbox.Take(nil)); got != 1 {
		t.Errorf("%d events after the handover, want the one that waited", got)
	}
}
