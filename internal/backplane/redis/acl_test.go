package redis

import (
	"strings"
	"testing"

	"millrace/channels"
)

// Ensure that a name that the ACL of Redis refuses concerns that channel only: its
// streams are told, all others get everything, and when it is allowed it is heard.
func TestNameRefused(t *testing.T) {
	for _, query := range []string{"", "?history=streams"} {
		for _, tt := range []struct {
			name  string
			rules []any // what the user may have of channels and keys
		}{
			{"channels", []any{"~*", "&/rooms/*", "&{millrace:0}:stream:/rooms/*", "&{millrace:0}:node:*"}},
			{"keys", []any{"~{millrace:0}:clock", "~{millrace:0}:stream:/rooms/*", "&*"}},
		} {
			if query == "" && tt.name == "keys" {
				continue
			}
			t.Run(tt.name+query, func(t *testing.T) {
				server := startProcess(t)
				server.do(append([]any{"ACL", "SETUSER", "node", "on", ">secret", "+@all"}, tt.rules...)...)
				address := "redis://node:secret@" + server.address() + "/" + query
				node, other := startNode(t, address), startNode(t, address)
				rooms := []string{"/rooms/1", "/rooms/2", "/rooms/3"}
				before := node.Open("", rooms...)
				stranger := node.Open("", "/anything")
				stranger.Want("gap backplane")
				mixed := node.Open("", "/rooms/1", "/else")
				mixed.Want("gap backplane")
				after := node.Open("", rooms...)
				after.WantNothing()
				_, err := other.Broker.Publish("/anything", channels.Event{Data: []byte("x")})
				if err == nil || !strings.Contains(err.Error(), "was not published") {
					t.Errorf("publishing on a refused channel: %v, want an error that says that it was not published", err)
				}
				for _, room := range rooms {
					other.Publish(room, room)
				}
				before.Want(rooms...)
				after.Want(rooms...)
				mixed.Want(rooms[0])
				if node.Broker.Health() != nil {
					t.Errorf("the node's health: %v, want it connected", node.Broker.Health())
				}
				if n := node.Broker.Ports().Figures().Refused; n != 2 {
					t.Errorf("%d channels are refused, want 2", n)
				}
				stranger.Close()
				mixed.Close()
				if n := node.Broker.Ports().Figures().Refused; n != 0 {
					t.Errorf("%d channels are refused when their subscribers have left, want none", n)
				}
				server.do("ACL", "SETUSER", "node", "allchannels", "allkeys")
				allowed := node.Open("", "/anything")
				allowed.WantNothing()
				other.Publish("/anything", "heard")
				allowed.Want("heard")
			})
		}
	}
}
