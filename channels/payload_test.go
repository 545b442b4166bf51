package channels

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Ensure that any bytes are taken on the channels for which Options.Payload says so,
// from publishers and from other nodes, that observers get them as they are, and that
// all other channels refuse them, with streams and without.
func TestBinaryPayloads(t *testing.T) {
	var heard []string
	b := NewBroker(Options{History: 10, Epoch: "e",
		Payload: func(channel string) Payload {
			return map[string]Payload{"/binary": Binary, "/none": Unstreamed}[channel]
		},
		Decode: func(channel string, data []byte) ([]byte, error) {
			if channel == "/none" {
				t.Error("decoded for streams that there are none of")
			}
			if channel == "/binary" {
				return []byte("encoded"), nil
			}
			return data, nil
		},
	})
	in := b.NewInbox(func() {})
	chans, _ := in.Attach(nil, []byte("/binary"))
	b.Ports().Observe(ear{&heard}, "/binary", "/none", "/text", ShardPrefix+"s")
	b.Ports().ObserveGlob(ear{&heard}, "*")
	const bytes = "\xff\x00\r\n"
	for channel, want := range map[string]int{"/binary": 3, "/none": 2, ShardPrefix + "s": 1} {
		heard = nil
		if r, err := b.Publish(channel, Event{Data: []byte(bytes)}); r.Receivers != want || err != nil {
			t.Errorf("%s: %d receivers, %v, want %d", channel, r.Receivers, err, want)
		}
		if n := len(heard); n != min(want, 2) || heard[n-1] != channel+" "+bytes {
			t.Errorf("%s: heard %q", channel, heard)
		}
	}
	heard = nil
	_, err := b.Publish("/text", Event{Data: []byte(bytes)})
	if !errors.Is(err, ErrEventData) || !strings.Contains(err.Error(), "PATTERN=base64") || !strings.Contains(err.Error(), "PATTERN=none") || heard != nil {
		t.Errorf("/text: %v, heard %q", err, heard)
	}
	var sent []string
	for _, m := range in.Take(nil) {
		sent = append(sent, string(m.Wire))
	}
	if len(sent) != 1 || !strings.HasPrefix(sent[0], "data: encoded\n") {
		t.Errorf("streams got %q", sent)
	}
	for channel, want := range map[string]error{"/binary": nil, "/text": nil, "/none": ErrUnstreamed, ShardPrefix + "s": ErrUnstreamed} {
		if err := in.CheckStream(channel); !errors.Is(err, want) {
			t.Errorf("CheckStream(%q) = %v, want %v", channel, err, want)
		}
	}
	var start Start
	if in.Join(&start, []byte(Earliest), 1000, []byte("/none")); len(start.Missed) != 0 {
		t.Errorf("%d messages are kept that no stream can have", len(start.Missed))
	}
	in.Detach(slices.Concat(chans, start.Channels)...)
	b.verify(t)
}
