package server

import (
	"testing"

	"millrace/channels"
	"millrace/httpparse"
)

// Ensure that to read what a request asks for leaves nothing on the heap: what is left of
// each of a million connections makes the heap grow by what it has, until it is collected.
func TestRequestLeavesNothing(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	var r httpparse.Request
	if _, err := httpparse.Parse(&r, []byte("GET /rooms/42 HTTP/1.1\r\nHost: h\r\n\r\n"), 0, h.cfg.Head); err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		if err := h.target.Read(h.server.dialects, &r, "/rooms/42", 64); err != nil {
			t.Fatal(err)
		}
		if err := h.takeNames(h.target.Channels); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 || len(h.names) != 1 || string(h.names[0]) != "/rooms/42" {
		t.Errorf("%q with %v allocations, want /rooms/42 with none", h.names, n)
	}
}
