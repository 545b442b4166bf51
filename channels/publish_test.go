package channels

import (
	"errors"
	"testing"
)

// Ensure that an event is decoded once on its way, wherever it comes from.
func TestDecodesOnce(t *testing.T) {
	decoded := 0
	b := NewBroker(Options{History: 9, Numbered: true, Decode: func(_ string, data []byte) ([]byte, error) {
		decoded++
		return data, nil
	}})
	b.Feed().SetEpoch("E", 2)
	b.NewInbox(func() {}).Attach(nil, []byte("/a"))
	ev := Event{Data: []byte("x")}
	for _, tt := range []struct {
		what    string
		deliver func() error
	}{
		{"Publish", func() error { _, err := b.Publish("/a", ev); return err }},
		{"Deliver", func() error { _, err := b.Feed().Deliver("/a", ev); return err }},
		{"Prepare, Offer in vain and Admit", func() error {
			a, err := b.Feed().Prepare("/a", ev, 20)
			if err != nil {
				return err
			}
			in := b.channels["/a"].loops[0].inbox
			in.unserved += maxUnserved
			if _, err := b.Feed().Offer(a); !errors.Is(err, ErrBusy) {
				t.Errorf("Offer to a crowded loop: %v, want %v", err, ErrBusy)
			}
			in.unserved -= maxUnserved
			_, err = b.Feed().Admit(a)
			return err
		}},
		{"Fill", func() error {
			if !b.Feed().Fill("/a", 0, []Kept{{Number: 4, Event: ev}}) {
				return errors.New("not filled")
			}
			return nil
		}},
	} {
		decoded = 0
		if err := tt.deliver(); err != nil || decoded != 1 {
			t.Errorf("%s: %v, decoded %d times, want once", tt.what, err, decoded)
		}
	}
}
