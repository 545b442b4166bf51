package nats

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"millrace/channels"
)

// allowed are the permissions of docs/scaling.md, but for channels below /rooms/ only.
var allowed = map[string]*server.Permissions{
	"": {
		Publish:   &server.SubjectPermission{Allow: []string{"millrace.rooms.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"millrace.rooms.>"}},
	},
	"?history=jetstream": {
		Publish: &server.SubjectPermission{Allow: []string{"$JS.API.>", "millrace.rooms.>", "millrace.=fence.*", "millrace.=mark.*"}},
		Subscribe: &server.SubjectPermission{Allow: []string{
			"=live.millrace.rooms.>", "=live.millrace.=fence.*", "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.millrace", "_INBOX.>",
		}},
	},
}

// Ensure that a publisher is told of a subject that the server does not allow, and streams
// are by a gap, and that all else goes on, with strangers asking for it all the time.
func TestRefused(t *testing.T) {
	for form, permissions := range allowed {
		t.Run("nats"+form, func(t *testing.T) {
			s := endServer(t, runServer(t, &server.Options{
				Port: server.RANDOM_PORT, JetStream: form != "", StoreDir: t.TempDir(),
				Users: []*server.User{{Username: "millrace", Password: "secret", Permissions: permissions}},
			}))
			n := startNode(t, "nats://millrace:secret@"+s.Addr().String()+form, Options{History: 100})
			room := n.Open("", "/rooms/42")
			n.Open("", "/anything").Want("gap backplane")
			both := n.Open("", "/rooms/43", "/else")
			both.Want("gap backplane")
			const publishers, each = 10, 20
			var running sync.WaitGroup
			for i := range publishers {
				running.Go(func() {
					for j := range each {
						name, want := fmt.Sprintf("/refused/%d/%d", i, j), nats.ErrPermissionViolation
						if i%2 == 0 {
							name, want = "/rooms/42", nil
						}
						if _, err := n.Broker.Publish(name, channels.Event{Data: []byte("x")}); !errors.Is(err, want) {
							t.Errorf("Publish on %s: %v, want %v", name, err, want)
						}
						n.Open("", fmt.Sprintf("/strange/%d/%d", i, j)).Want("gap backplane")
					}
				})
			}
			running.Wait()
			for range publishers / 2 * each {
				room.Want("x")
			}
			n.Publish("/rooms/43", "y")
			both.Want("y")
			room.WantNothing()
			if _, err := n.Broker.Publish("/rooms/42", channels.Event{}); err != nil {
				t.Errorf("Publish on /rooms/42 behind what was refused: %v", err)
			}
			if err := n.Broker.Health(); err != nil {
				t.Errorf("the node is off the engine: %v", err)
			}
		})
	}
}

// Ensure that channels above the server's limit of subscriptions get their gap, and those
// below it their messages.
func TestTooManySubscriptions(t *testing.T) {
	const limit = 5
	s := endServer(t, runServer(t, &server.Options{Port: server.RANDOM_PORT, MaxSubs: limit}))
	n := startNode(t, s.ClientURL(), Options{})
	heard, refused := 0, 0
	for i := range 2 * limit {
		c := n.Open("", fmt.Sprint("/", i))
		if refused < limit && i >= limit {
			c.Want("gap backplane")
			refused++
			continue
		}
		n.Publish(fmt.Sprint("/", i), "x")
		c.Want("x")
		heard++
	}
	if heard != limit {
		t.Errorf("%d channels are heard, want %d", heard, limit)
	}
}
