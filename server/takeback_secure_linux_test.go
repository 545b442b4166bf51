package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that of loops which a dead successor had, those that were not committed go on with TLS
// and HTTP/2, since their keys are still there; that those which were end without a word, and
// that no client misses or gets twice what was published at any moment of that.
func TestTakeBackSecured(t *testing.T) {
	for _, via := range []ssetest.Transport{ssetest.TLS, ssetest.H2} {
		t.Run(via.String(), func(t *testing.T) {
			opts := channels.Options{History: 100, Epoch: "E"}
			s, broker := startOver(t, via, Config{Loops: 2, Drain: 50 * time.Millisecond}, opts)
			deadline := time.Now().Add(patience)
			var clients []*ssetest.Client
			for range 16 {
				c := &ssetest.Client{Via: via, Target: "/x"}
				if err := c.Open(addressOf(s, via), deadline); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Close)
				clients = append(clients, c)
			}
			published := 0
			publish := func() {
				published++
				if _, err := broker.Publish("/x", channels.Event{Data: fmt.Append(nil, published)}); err != nil {
					t.Fatal(err)
				}
			}
			publish()
			u := succeed(t, s, opts)
			order := s.LoopOrder()
			moved := u.hand(order[0])
			u.commit(order[0])
			publish()
			testenv.Eventually(t, "the successor's streams have what was published", func() bool {
				return int(u.next.Stats().Deliveries) == moved.Streams
			})
			u.hand(order[1])
			publish()
			u.next.LetGo()
			u.next.Close()
			if err := s.SendCommit(order[1]); !errors.Is(err, errGone) {
				t.Errorf("a commit to a successor that has gone: %v, want %v", err, errGone)
			}
			taken, err := s.TakeBack()
			if err != nil || taken.Severed != moved.Connections || taken.Connections != len(clients)-moved.Connections {
				t.Errorf("%+v, %v; want %d severed of %d", taken, err, moved.Connections, len(clients))
			}
			u.tap.Close()
			publish()
			cut := 0
			for i, c := range clients {
				for next := 1; next <= published; {
					ev, err := c.Next()
					switch {
					case err != nil:
						if cut++; cut > moved.Streams {
							t.Fatalf("client %d ends, although only %d may: %v", i, moved.Streams, err)
						}
						if err := c.Open(addressOf(s, via), deadline); err != nil {
							t.Fatal(err)
						}
					case ev.Data == "":
					case ev.Data != fmt.Sprint(next):
						t.Fatalf("client %d gets %q, want %d", i, ev.Data, next)
					default:
						next++
					}
				}
			}
			if cut != moved.Streams {
				t.Errorf("%d clients were cut off, want %d", cut, moved.Streams)
			}
			if n := s.Stats(); n.Secure != int64(len(clients)) || n.Streams != int64(len(clients)) {
				t.Errorf("%d connections with TLS and %d streams, want %d", n.Secure, n.Streams, len(clients))
			}
		})
	}
}
