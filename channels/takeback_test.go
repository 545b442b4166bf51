package channels

import (
	"bytes"
	"slices"
	"testing"

	"millrace/internal/handover"
)

// Ensure that an inbox which is taken back has everything that it had not served, once and in
// order, also what the logs have dropped meanwhile: messages from before the upgrade.
func TestTakeBackOfDropped(t *testing.T) {
	for _, tt := range []struct {
		name  string
		taken int    // messages that the loop has taken when it is handed over
		leave bool   // it has no stream on the other channel by then
		want  string // data of the messages that it gets
	}{
		{"all wait", 0, false, "abcdef"},
		{"some are taken", 2, false, "abcdef"},
		{"all are taken", 4, false, "abcdef"},
		{"a channel was left", 2, true, "acef"},
	} {
		b := NewBroker(Options{History: 1})
		b.backlog = 0
		in := b.NewInbox(func() {})
		chans, _ := in.Attach(nil, []byte("/a"), []byte("/b"))
		publish := func(channel string, data ...byte) {
			for _, c := range data {
				if _, err := b.Publish(channel, Event{Data: bytes.Repeat([]byte{c}, 100)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		publish("/a", 'a')
		publish("/b", 'b')
		publish("/a", 'c')
		publish("/b", 'd')
		taken := in.Take(nil)
		kept := slices.Clone(taken[:tt.taken])
		in.msgs = append(in.msgs, taken[tt.taken:]...)
		tap, err := b.Tap(handover.Version)
		if err != nil {
			t.Fatal(err)
		}
		if tt.leave {
			in.Detach(chans[1])
			chans = chans[:1]
		}
		k, _ := in.HandOver(kept)
		clear(kept) // it is the loop's
		if in.unserved != 0 {
			t.Errorf("%s: %d bytes count as unserved though the loop has moved", tt.name, in.unserved)
		}
		publish("/a", 'e', 'f')
		if first := b.channels["/a"].log.at(0).Seq; first <= 3 {
			t.Fatalf("%s: message %d is kept: there is nothing to be tested", tt.name, first)
		}
		in.TakeBack(k, chans...)
		tap.Close()
		var got []byte
		msgs := in.Take(nil)
		for _, m := range msgs {
			got = append(got, m.Wire[len("data: ")])
		}
		if string(got) != tt.want {
			t.Errorf("%s: the loop gets %q, want %q", tt.name, got, tt.want)
		}
		in.Served(msgs)
		if in.unserved != 0 || b.channels["/a"].loops[0].unserved != 0 {
			t.Errorf("%s: %d bytes count as unserved, but all have been", tt.name, in.unserved)
		}
		in.TakeBack(b.seq, chans...)
		if again := in.Len(); again > 0 {
			t.Errorf("%s: %d messages come again", tt.name, again)
		}
	}
}
