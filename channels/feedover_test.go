package channels

import (
	"slices"
	"testing"
)

// Ensure that a successor keeps what its loops have yet to attach for, though no channel has a
// stream there and it keeps no history.
func TestSuccessorKeepsAll(t *testing.T) {
	from := NewBroker(Options{})
	in := from.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	tap, to := upgrade(t, from, Options{})
	k, _ := in.HandOver(nil)
	publish(t, from, "/a", "x")
	publish(t, from, "/b", "x")
	tap.sendAll(t, to)
	to.sweep()
	moved := to.NewInbox(func() {})
	if _, err := moved.AttachAt(nil, k, k, [][]byte{[]byte("/a")}, []int32{1}); err != nil {
		t.Fatal(err)
	}
	if got := wires(moved.Take(nil)); got != "data: x\n\n" {
		t.Errorf("the moved loop gets %q", got)
	}
}

// listed is a backplane that follows what it is told to, and nothing by itself.
type listed struct{ Backplane }

func (listed) Follow(string) (uint64, bool) { return 0, false }
func (listed) Unfollow(string)              {}

// Ensure that a backplane that takes over continues channels without a gap, and finds those
// that wait, that nobody listens to, and that observers hear.
func TestContinue(t *testing.T) {
	b := NewBroker(Options{Backplane: listed{}})
	in := b.NewInbox(func() {})
	in.Attach(nil, []byte("/followed"), []byte("/new"), []byte("/later"))
	b.Ports().Observe(&control{}, "/heard")
	f := b.Feed()
	f.Followed(0, nil, "/followed")
	names := []string{"/followed", "/new", "/later", "/heard", "/none"}
	if got, want := f.Waiting(names...), []string{"/new", "/later", "/heard"}; !slices.Equal(got, want) {
		t.Errorf("%q wait, want %q", got, want)
	}
	f.Continue(0, func(name string) bool { return name != "/later" }, names...)
	if got, want := f.Waiting(names...), []string{"/later"}; !slices.Equal(got, want) {
		t.Errorf("%q wait, want %q", got, want)
	}
	if gaps, _ := in.Gaps(nil, 0, 100); len(gaps) > 0 {
		t.Errorf("%d channels are told of a gap", len(gaps))
	}
	f.Followed(0, nil, "/followed")
	if gaps, _ := in.Gaps(nil, 0, 100); len(gaps) != 1 {
		t.Errorf("%d channels are told of a gap after a second time, want 1", len(gaps))
	}
	var idle []string
	f.Idle(func(name string) { idle = append(idle, name) }, names...)
	if want := []string{"/none"}; !slices.Equal(idle, want) {
		t.Errorf("nobody listens to %q, want %q", idle, want)
	}
	if got, want := f.Heard(), []string{"/heard"}; !slices.Equal(got, want) {
		t.Errorf("observers hear %q, want %q", got, want)
	}
}
