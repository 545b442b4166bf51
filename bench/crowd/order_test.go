package crowd

import (
	"errors"
	"strings"
	"testing"
)

// Ensure that a client takes exactly what was published, in its order and once.
func TestOrder(t *testing.T) {
	p, q := newPublisher("/a", 40), newPublisher("/b", 40)
	for range 5 {
		p.next()
		q.next()
	}
	p.lost(2) // without a reply: it may have been delivered, or not
	damaged := p.payload(1)
	damaged = damaged[:len(damaged)-1] + "!"
	for _, tt := range []struct {
		name string
		data []string
		last error // of the last one
	}{
		{"all", []string{p.payload(1), p.payload(2), p.payload(3), q.payload(1)}, nil},
		{"without what had no reply", []string{p.payload(1), p.payload(3)}, nil},
		{"lost", []string{q.payload(1), q.payload(3)}, errLost},
		{"lost at the beginning", []string{q.payload(2)}, errLost},
		{"repeated", []string{q.payload(1), q.payload(2), q.payload(1)}, errRepeated},
		{"a byte", []string{damaged}, errDamaged},
		{"cut short", []string{p.payload(1)[:30]}, errDamaged},
		{"of another channel", []string{"/c 1 "}, errDamaged},
		{"not yet published", []string{p.payload(6)}, errDamaged},
		{"no number", []string{"/a x"}, errDamaged},
	} {
		o := newOrder(p, q)
		for i, data := range tt.data {
			_, err := o.take(data)
			if want := tt.last; i == len(tt.data)-1 && !errors.Is(err, want) || i < len(tt.data)-1 && err != nil {
				t.Errorf("%s: after %q: %v, want %v", tt.name, tt.data[:i+1], err, want)
			}
		}
	}
}

// Ensure that what has not come is named, and what may not have been published is not waited for.
func TestMissing(t *testing.T) {
	p := newPublisher("/a", 40)
	o := newOrder(p)
	for n := uint64(1); n <= 3; n++ {
		p.next()
	}
	o.take(p.payload(1))
	if got := o.missing(); got != "/a 2 to 3" {
		t.Errorf("missing %q, want /a 2 to 3", got)
	}
	p.lost(3)
	o.take(p.payload(2))
	if got := o.missing(); got != "" {
		t.Errorf("missing %q, want nothing", got)
	}
	if got := p.payload(2); len(got) != 40 || !strings.HasPrefix(got, "/a 2 ") {
		t.Errorf("payload %q, want 40 bytes that begin with the channel and the number", got)
	}
}
