package server

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"millrace/channels"
)

// Ensure that a request head of which little has come takes little, whatever
// fan-out has needed before: its buffer is none of fan-out's.
func TestUnfinishedHeadsTakeWhatCame(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	_, peer := h.stream("/x")
	for range 3 { // turns of 100 kB, whose buffers are used again
		for range 10 {
			publish(t, h.broker, "/x", strings.Repeat("x", 10_000), 1)
		}
		h.turnOver()
		received(peer)
	}
	for i := range 100 {
		fd, client := h.connect()
		unixWrite(t, client, "GET /x HTTP/1.1\r\n")
		h.on(fd, true, false)
		if got := cap(h.unfinished.m[streamID(fd)].b); got > 64 {
			t.Fatalf("head %d, of 17 bytes, is kept in %d", i, got)
		}
		unix.Close(client)
	}
}
