package link

import (
	"bytes"
	"testing"

	"millrace/channels"
)

// Ensure that an event that an engine delivers or keeps is told as a gap where it is too
// large for a stream, though its data alone would do.
func TestTooLargeForStreamsIsAGap(t *testing.T) {
	lines := channels.Event{Data: bytes.Repeat([]byte("\n"), channels.DefaultMaxEventBytes/2)}
	small := channels.Event{Data: []byte("small")}
	t.Run("delivered", func(t *testing.T) {
		l := newLink(channels.Options{})
		in := l.broker.NewInbox(func() {})
		in.Attach(nil, []byte("/a"))
		l.Feed.Followed(0, nil, "/a") // as if a session had asked for it
		l.Deliver("/a", lines)
		l.Deliver("/a", small)
		msgs := in.Take(nil)
		if !in.Gapped() || len(msgs) != 1 || string(msgs[0].Wire) != "data: small\n\n" {
			t.Errorf("gaps to be told: %v; %d messages; want a gap and the small event", in.Gapped(), len(msgs))
		}
	})
	t.Run("kept", func(t *testing.T) {
		l := newLink(channels.Options{Numbered: true, History: 10})
		in := l.broker.NewInbox(func() {})
		k := NewKeeper(l.Link, nil)
		l.Feed.SetEpoch("e", 0)
		in.Attach(nil, []byte("/a"))
		k.fill(Snapshot{Seq: 20, Channels: []string{"/a"}, Logs: []Log{{Kept: []channels.Kept{{Number: 10, Event: lines}, {Number: 12, Event: small}}}}})
		l.Feed.Followed(0, nil, "/a") // as if a session had asked for it
		var start channels.Start
		for _, tt := range []struct {
			id  string
			gap channels.Gap
		}{{"e-8", channels.GapEvicted}, {"e-10", channels.NoGap}} {
			begun := in.Join(&start, []byte(tt.id), 1<<20, []byte("/a"))
			if !begun || start.Gap != tt.gap || len(start.Missed) != 1 {
				t.Errorf("resumed at %s: begun %v, gap %q, %d missed; want gap %q and 1 missed", tt.id, begun, start.Gap, len(start.Missed), tt.gap)
			}
		}
	})
}
