package server

import (
	"strings"
	"testing"

	"millrace/channels"
)

// Ensure that nothing is kept of what a channel's readers need when the last of them leaves
// between the visit that told and the end of its group.
func TestNeedsGoWithTheirChannel(t *testing.T) {
	h := turnByHand(t, Config{}, channels.Options{})
	fd, _ := h.stream("/a")
	narrow(t, fd)
	for !h.conn(fd).flags.is(behind) {
		publish(t, h.broker, "/a", strings.Repeat("x", 1000), 1)
		h.turnOver()
	}
	publish(t, h.broker, "/a", "x", 1)
	if more := h.fanOut(1); !more || len(h.turn.groups) != 1 || h.turn.groups[0].need == 0 {
		t.Fatalf("fanOut(1) = %t with %d groups, want a group under way whose reader needs something", more, len(h.turn.groups))
	}
	h.end(h.conn(fd), reasonClient)
	h.turnOver()
	if len(h.needs.m) > 0 || len(h.channels) != len(h.unused) {
		t.Errorf("%d needs are left of %d channels", len(h.needs.m), len(h.channels)-len(h.unused))
	}
}
