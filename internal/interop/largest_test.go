package interop

import (
	"context"
	"net/http"
	"sort"
	"strings"
	"testing"
	"time"

	labs "github.com/r3labs/sse/v2"
	"github.com/tmaxmax/go-sse"

	"millrace/channels"
	"millrace/server"
)

// received is an event as a client hands it on.
type received struct{ ID, Type, Data string }

// isPublished tells whether somebody has published it.
func (e received) isPublished() bool {
	return e.Data != "" && !strings.HasPrefix(e.Type, "millrace.")
}

// goClients are the usual clients of Go programs, with their own bounds on lines
// and events. Each returns when ctx is done.
var goClients = []struct {
	name   string
	listen func(ctx context.Context, url string, got chan<- received)
}{
	{"r3labs/sse", func(ctx context.Context, url string, got chan<- received) {
		client := labs.NewClient(url)
		for ctx.Err() == nil { // it returns when the stream ends
			client.SubscribeWithContext(ctx, "", func(e *labs.Event) {
				got <- received{string(e.ID), string(e.Event), string(e.Data)}
			})
		}
	}},
	{"go-sse", func(ctx context.Context, url string, got chan<- received) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			panic(err)
		}
		connection := sse.DefaultClient.NewConnection(r)
		connection.SubscribeToAll(func(e sse.Event) {
			got <- received{e.LastEventID, e.Type, e.Data}
		})
		connection.Connect()
	}},
}

// Ensure that the largest event that is taken by default, in one line or in as
// many as there can be, reaches the usual clients of Go as they are by default: one
// that does not take an event would come back for it for ever.
func TestLargestEventsReachGoClients(t *testing.T) {
	for _, client := range goClients {
		t.Run(client.name, func(t *testing.T) {
			n := start(t, server.Config{Loops: 1}, 10)
			ctx, cancel := context.WithCancel(t.Context())
			got, done := make(chan received, 16), make(chan struct{})
			go func() {
				defer close(done)
				client.listen(ctx, "http://"+n.public+channel, got)
			}()
			defer func() { cancel(); <-done; http.DefaultClient.CloseIdleConnections() }()
			n.awaitSubscribers(1)
			for i, data := range []string{largest(n.broker, "x"), largest(n.broker, "x\n"), "small"} {
				if _, err := n.broker.Publish(channel, channels.Event{Data: []byte(data)}); err != nil {
					t.Fatal(err)
				}
				var e received
				for late := time.After(patience); !e.isPublished(); {
					select {
					case e = <-got:
					case <-late:
						t.Fatalf("event %d of %d bytes has not arrived; connections so far: %d", i+1, len(data), n.server.Stats().Accepted)
					}
				}
				if want := "e-" + string(rune('1'+i)); e.ID != want || e.Data != data {
					t.Fatalf("got event %q of %d bytes, want %q of %d", e.ID, len(e.Data), want, len(data))
				}
			}
			if accepted := n.server.Stats().Accepted; accepted != 1 {
				t.Errorf("the client has connected %d times, want once", accepted)
			}
		})
	}
}

// largest is the largest data that a broker takes of pieces and a last byte.
func largest(b *channels.Broker, piece string) string {
	data := func(pieces int) string { return strings.Repeat(piece, pieces) + "." }
	n := sort.Search(channels.DefaultMaxEventBytes, func(pieces int) bool {
		_, err := b.Feed().Prepare(channel, channels.Event{Data: []byte(data(pieces + 1))}, 0)
		return err != nil
	})
	return data(n)
}
