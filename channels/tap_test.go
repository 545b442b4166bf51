package channels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"millrace/internal/handover"
)

// step sends one batch of a tap to a successor's broker, and returns false if there was none.
func (t *Tap) step(to *Broker) (bool, error) {
	batch, size, err := t.take(nil)
	if err != nil || len(batch) == 0 {
		return false, err
	}
	if err := write(&handover.Writer{Version: t.version}, batch, to.Relay); err != nil {
		return false, err
	}
	t.wrote(batch, size)
	return true, nil
}

// sendAll sends everything that there is to a successor's broker.
func (t *Tap) sendAll(tb rapid.TB, to *Broker) {
	tb.Helper()
	for more := true; more; {
		var err error
		if more, err = t.step(to); err != nil {
			tb.Fatal(err)
		}
	}
}

// upgrade returns a broker, its tap and its successor, which has the history.
func upgrade(tb testing.TB, from *Broker, opts Options) (*Tap, *Broker) {
	tb.Helper()
	tap, err := from.Tap(handover.Version)
	if err != nil {
		tb.Fatal(err)
	}
	opts.Successor, opts.Epoch = true, ""
	to := NewBroker(opts)
	tap.sendAll(tb, to)
	tap.guards = false // this goroutine publishes and sends
	return tap, to
}

func publish(tb rapid.TB, b *Broker, channel, data string) {
	tb.Helper()
	if _, err := b.Publish(channel, Event{Data: []byte(data)}); err != nil {
		tb.Fatal(err)
	}
}

// wires returns what m have, one after the other.
func wires(m []*Message) string {
	var all []byte
	for _, m := range m {
		all = append(all, m.Wire...)
	}
	return string(all)
}

// Ensure that a successor's loop gets everything above K, and that ids go on after the switch.
func TestSwitch(t *testing.T) {
	opts := Options{History: 10, Epoch: "E"}
	from := NewBroker(opts)
	in := from.NewInbox(func() {})
	in.Attach(nil, []byte("/a"))
	publish(t, from, "/a", "one")
	publish(t, from, "/b", "two")
	in.Served(in.Take(nil))
	tap, to := upgrade(t, from, opts)
	publish(t, from, "/a", "three")
	k, head := in.HandOver(nil)
	if k != 2 {
		t.Errorf("HandOver() = %d, want 2", k)
	}
	publish(t, from, "/a", "four")
	tap.sendAll(t, to)
	moved := to.NewInbox(func() {})
	if _, err := moved.AttachAt(nil, k, head, [][]byte{[]byte("/a")}, []int32{1}); err != nil {
		t.Fatal(err)
	}
	if r, err := from.Publish("/a", Event{Data: []byte("five")}); err != nil || r.Receivers != 1 {
		t.Errorf("Publish() = %+v, %v, want 1 receiver", r, err)
	}
	if _, err := to.Publish("/a", Event{}); !errors.Is(err, ErrFrozen) {
		t.Errorf("Publish at the successor: %v, want %v", err, ErrFrozen)
	}
	s, err := from.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := from.Publish("/a", Event{}); !errors.Is(err, ErrFrozen) {
		t.Errorf("Publish after Freeze: %v, want %v", err, ErrFrozen)
	}
	if err := to.TakeOver(s); err == nil {
		t.Error("TakeOver before all has come: nil, want an error")
	}
	tap.sendAll(t, to)
	if err := to.TakeOver(s); err != nil {
		t.Fatal(err)
	}
	publish(t, to, "/a", "six")
	want := "data: three\nid: E-3\n\ndata: four\nid: E-4\n\ndata: five\nid: E-5\n\ndata: six\nid: E-6\n\n"
	if got := wires(moved.Take(nil)); got != want {
		t.Errorf("the moved loop gets %q, want %q", got, want)
	}
	if got := wires(in.Take(nil)); got != "" {
		t.Errorf("the loop that has moved gets %q here", got)
	}
	var start Start
	moved.Join(&start, []byte("E-1"), 1<<20, []byte("/b"))
	if got := wires(start.Missed); got != "data: two\nid: E-2\n\n" || !start.Resumed {
		t.Errorf("a client that comes back to the successor gets %q, resumed: %v", got, start.Resumed)
	}
	to.verify(t)
	to.sweep()
	to.verify(t)
}

// Ensure that a loop that is taken back gets what it has missed, in its place.
func TestTakeBack(t *testing.T) {
	from := NewBroker(Options{})
	in := from.NewInbox(func() {})
	chans, _ := in.Attach(nil, []byte("/a"), []byte("/b"))
	tap, to := upgrade(t, from, Options{})
	large := strings.Repeat("x", 50<<10)
	publish(t, from, "/a", "unserved")
	k, _ := in.HandOver(in.Take(nil))
	for i := range 2 * backlogBytes / len(large) { // above what a channel keeps
		publish(t, from, "/a", large)
		publish(t, from, "/b", fmt.Sprint(i))
		tap.sendAll(t, to)
	}
	in.TakeBack(k, chans...)
	tap.Close()
	from.sweep()
	got := in.Take(nil)
	in.Served(got)
	publish(t, from, "/b", "last")
	got = append(got, in.Take(nil)...)
	for i, m := range got {
		if m.Seq != k+uint64(i)+1 {
			t.Fatalf("message %d after the handover at %d is %d", i, k, m.Seq)
		}
	}
	if len(got) != int(from.seq-k) {
		t.Errorf("%d messages, want all %d", len(got), from.seq-k)
	}
	from.verify(t)
}

// Ensure that a flood waits for a successor that takes nothing, and for none that is dead.
func TestTapHasCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := NewBroker(Options{PublishTimeout: time.Second})
		tap, to := upgrade(t, from, Options{})
		data := bytes.Repeat([]byte("x"), 50<<10)
		n := 0
		for ; n < 10*maxUntaken/len(data); n++ {
			if _, err := from.Publish("/a", Event{Data: data}); errors.Is(err, ErrBusy) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if size := n * len(data); size < maxUntaken/2 || size > maxUntaken+len(data) {
			t.Errorf("%d bytes were placed for a successor that takes nothing, want about %d", size, maxUntaken)
		}
		tap.sendAll(t, to)
		publish(t, from, "/a", "room")
		dead := errors.New("dead")
		if err := tap.Run(func([]byte) error { return dead }); !errors.Is(err, dead) {
			t.Errorf("Run() = %v, want %v", err, dead)
		}
		for range 2 * maxUntaken / len(data) {
			if _, err := from.Publish("/a", Event{Data: data}); err != nil {
				t.Fatalf("after the successor's death: %v", err)
			}
		}
		if _, err := from.Freeze(); !errors.Is(err, dead) {
			t.Errorf("Freeze() = %v, want %v", err, dead)
		}
		from.Thaw()
		tap.Close()
		publish(t, from, "/a", "as ever")
	})
}

// Ensure that a publisher's reply waits until the successor has the message, but not for
// long.
func TestRepliesWaitForRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := NewBroker(Options{})
		tap, err := from.Tap(handover.Version)
		if err != nil {
			t.Fatal(err)
		}
		let := make(chan struct{})
		go tap.Run(func([]byte) error { <-let; return nil })
		let <- struct{}{} // the history
		<-tap.Loaded()
		begun, done := time.Now(), make(chan error, 1)
		go func() { _, err := from.Publish("/a", Event{}); done <- err }()
		synctest.Wait()
		select {
		case <-done:
			t.Error("Publish has returned before its message was sent")
		default:
		}
		time.Sleep(maxAwait / 2)
		let <- struct{}{}
		if err := <-done; err != nil || time.Since(begun) != maxAwait/2 {
			t.Errorf("Publish has returned %v after %v, want nil after %v", err, time.Since(begun), maxAwait/2)
		}
		for range 3 { // a successor that hangs costs all publishers one wait together
			publish(t, from, "/a", "")
		}
		if waited := time.Since(begun); waited != maxAwait/2+maxAwait {
			t.Errorf("three publishes while the successor hangs take %v in all, want %v", waited-maxAwait/2, maxAwait)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := tap.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush() = %v, want %v", err, context.DeadlineExceeded)
		}
		cancel()
		close(let)
		if err := tap.Flush(t.Context()); err != nil {
			t.Errorf("Flush() = %v", err)
		}
		tap.Close()
	})
}

// Ensure that publishers in the line are let go by Freeze, with nothing placed.
func TestFreezeLetsPublishersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{MaxEventBytes: 2 << 20})
		in := b.NewInbox(func() {})
		in.Attach(nil, []byte("/a"))
		publish(t, b, "/a", strings.Repeat("x", maxUnserved))
		done := make(chan error, 2)
		go func() { _, err := b.Publish("/a", Event{}); done <- err }()
		go func() { _, err := b.Feed().Deliver("/a", Event{}); done <- err }()
		synctest.Wait()
		s, err := b.Freeze()
		if s.Seq != 1 || err != nil {
			t.Errorf("Freeze() = %+v, %v, want sequence 1", s, err)
		}
		if err := <-done; !errors.Is(err, ErrFrozen) {
			t.Errorf("Publish that waited: %v, want %v", err, ErrFrozen)
		}
		in.Served(in.Take(nil))
		synctest.Wait()
		if len(done) > 0 {
			t.Error("an engine's event was placed while publishers stand still")
		}
		b.Thaw()
		if err := <-done; err != nil {
			t.Errorf("an engine's event after Thaw: %v", err)
		}
	})
}

// Ensure that a tap sends what comes while it is sending, in order and once.
func TestTapIsFilledWhileItSends(t *testing.T) {
	b := NewBroker(Options{History: 1000})
	tap, to := upgrade(t, b, Options{History: 1000})
	tap.guards = true // so that there is nothing to send in between, too
	ended := make(chan error, 1)
	go func() { ended <- tap.Run(to.Relay) }()
	var publishing sync.WaitGroup
	for i := range 4 {
		publishing.Go(func() {
			for n := range 200 {
				publish(t, b, "/a", fmt.Sprintf("%d of %d", n, i))
			}
		})
	}
	publishing.Wait()
	tap.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if b.seq != to.seq {
		t.Errorf("the successor is at %d, want %d", to.seq, b.seq)
	}
}
