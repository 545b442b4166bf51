package channels

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Ensure that messages between nodes are heard by nodes alone, and that nobody else can
// tell them anything.
func TestControl(t *testing.T) {
	b := NewBroker(Options{History: 10})
	var others []string
	e := ear{&others}
	b.Ports().ObserveGlob(e, "*")
	b.Ports().ObserveGlob(e, ControlChannel)
	var told []string
	stop := b.HearControl(func(data []byte) { told = append(told, string(data)) })
	if _, err := b.Publish(ControlChannel, Event{Data: []byte("x")}); !errors.Is(err, ErrName) {
		t.Errorf("Publish: %v, want %v", err, ErrName)
	}
	batch := []Publication{{Channel: ControlChannel, Event: Event{Data: []byte("x")}}}
	if b.PublishAll(batch); !errors.Is(batch[0].Err, ErrName) {
		t.Errorf("PublishAll: %v, want %v", batch[0].Err, ErrName)
	}
	if err := b.NewInbox(nil).CheckStream(ControlChannel); !errors.Is(err, ErrUnstreamed) {
		t.Errorf("CheckStream: %v, want %v", err, ErrUnstreamed)
	}
	for _, data := range []string{strings.Repeat("x", maxControl+1), "\xff"} {
		if err := b.Tell([]byte(data)); err == nil {
			t.Errorf("Tell(%.20q) was taken", data)
		}
	}
	if err := b.Tell([]byte("hello")); err != nil {
		t.Errorf("Tell: %v", err)
	}
	stop()
	if err := b.Tell([]byte("again")); err != nil {
		t.Errorf("Tell: %v", err)
	}
	if !slices.Equal(told, []string{"hello"}) || others != nil {
		t.Errorf("told %q, and others heard %q, want hello alone", told, others)
	}
	if _, kept := b.Ports().Lookup(ControlChannel); kept {
		t.Error("the channel is kept")
	}
}
