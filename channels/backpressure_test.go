package channels

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fill publishes to the channel until its loop has no room, and returns how
// many messages that took.
func fill(t *testing.T, b *Broker, channel string) (n int) {
	t.Helper()
	event := Event{Data: make([]byte, largestData)}
	for began := time.Now(); !b.fullLocked(b.channels[channel], new(Arrival), forLoops); n++ {
		if _, err := b.Publish(channel, event); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 0 {
			t.Fatalf("message %d waited %v with room in the inbox", n, waited)
		}
	}
	return n
}

func TestPublishGoesOnAfterServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{})
		in := b.NewInbox(func() {})
		in.Attach(nil, []byte("/a"))
		n := fill(t, b, "/a")
		if want := channelShare / (DefaultMaxEventBytes + messageOverhead); n < want || n > want+1 {
			t.Errorf("%d messages wait for the loop, want %d", n, want)
		}
		const publishers = 5
		done := make(chan error, publishers)
		for range publishers {
			go func() {
				_, err := b.Publish("/a", Event{})
				done <- err
			}()
		}
		synctest.Wait()
		msgs := in.Take(nil)
		if len(done) != 0 || len(msgs) != n {
			t.Fatalf("%d publishers went on and %d messages wait, want 0 and %d", len(done), len(msgs), n)
		}

		time.Sleep(time.Second)
		in.Served(msgs[:0])
		synctest.Wait()
		if len(done) != 0 {
			t.Fatalf("%d publishers went on with nothing served: to take is not to serve", len(done))
		}
		in.Served(msgs[:1])
		synctest.Wait()
		if len(done) != publishers {
			t.Fatalf("%d publishers went on after one message was served, want %d", len(done), publishers)
		}
		for range publishers {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := len(in.Take(nil)); got != publishers {
			t.Errorf("took %d messages, want %d", got, publishers)
		}
	})
}

func TestPublishGivesUp(t *testing.T) {
	for _, opts := range []Options{{}, {PublishTimeout: 70 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			timeout := opts.PublishTimeout
			if timeout == 0 {
				timeout = DefaultPublishTimeout
			}
			b := NewBroker(opts)
			in := b.NewInbox(func() {})
			in.Attach(nil, []byte("/a"))
			n := fill(t, b, "/a")
			began, seq := time.Now(), b.seq
			go func() { // progress that makes no room does not prolong the wait
				time.Sleep(timeout / 2)
				in.Served(nil)
			}()
			if got, err := b.Publish("/a", Event{}); got.Receivers != 0 || !errors.Is(err, ErrBusy) {
				t.Errorf("Publish = %v, %v, want 0, %v", got, err, ErrBusy)
			}
			if waited := time.Since(began); waited != timeout {
				t.Errorf("gave up after %v, want %v", waited, timeout)
			}
			if msgs := in.Take(nil); len(msgs) != n || b.seq != seq {
				t.Errorf("a refused event left %d messages and sequence %d, want %d and %d", len(msgs), b.seq, n, seq)
			}
			b.verify(t)
		})
	}
}

// Ensure that one loop's backlog is nobody else's.
func TestPublishPastACrowdedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{})
		slow, quick := b.NewInbox(func() {}), b.NewInbox(func() {})
		slow.Attach(nil, []byte("/slow"))
		quick.Attach(nil, []byte("/quick"))
		fill(t, b, "/slow")
		waiting := make(chan error)
		go func() {
			_, err := b.Publish("/slow", Event{})
			waiting <- err
		}()
		synctest.Wait()
		began := time.Now()
		for range 100 {
			mustPublish(t, b, "/quick", "x", 1)
			mustPublish(t, b, "/nobody", "x", 0)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %v for a loop that does not listen", waited)
		}
		if err := <-waiting; !errors.Is(err, ErrBusy) {
			t.Errorf("Publish to the slow loop: %v, want %v", err, ErrBusy)
		}
		if got := len(quick.Take(nil)); got != 100 {
			t.Errorf("the quick loop got %d messages, want 100", got)
		}
	})
}

// Ensure that nobody waits for a loop that has left.
func TestPublishGoesOnAfterDetach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{})
		slow, quick := b.NewInbox(func() {}), b.NewInbox(func() {})
		chans, _ := slow.Attach(nil, []byte("/a"))
		fill(t, b, "/a")
		quick.Attach(nil, []byte("/a"))
		go func() {
			time.Sleep(time.Second)
			slow.Detach(chans...)
		}()
		began := time.Now()
		mustPublish(t, b, "/a", "x", 1)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v, want until the detach after 1s", waited)
		}
	})
}

// Ensure that a channel that is flooded leaves room for another on the same loop, and
// that what all channels together have in it is bounded.
func TestFloodLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{})
		in := b.NewInbox(func() {})
		in.Attach(nil, []byte("/big"), []byte("/other"), []byte("/small"))
		fill(t, b, "/big")
		for range 64 {
			go b.Publish("/big", Event{})
		}
		synctest.Wait()
		began := time.Now()
		mustPublish(t, b, "/small", "x", 1)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a publisher of another channel waited %v for a flood", waited)
		}
		fill(t, b, "/other")
		if _, err := offer(b, "/small", Event{}); !errors.Is(err, ErrBusy) {
			t.Errorf("with %d bytes waiting, another: %v, want %v", in.unserved, err, ErrBusy)
		}
		if most := maxUnserved + 2*(DefaultMaxEventBytes+2*messageOverhead); in.unserved > most {
			t.Errorf("%d bytes wait for a loop, want at most %d", in.unserved, most)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("Offer waited %v", waited)
		}
		time.Sleep(DefaultPublishTimeout) // the flood gives up
		synctest.Wait()
		if len(b.line) != 0 {
			t.Errorf("%d publishers left in the line", len(b.line))
		}
	})
}

// Ensure that publishers that wait for room are served in the order of arrival, over all
// channels of a loop, and that no later one overtakes.
func TestRoomInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{PublishTimeout: time.Hour})
		in := b.NewInbox(func() {})
		names := []string{"/a", "/b", "/c"}
		in.Attach(nil, []byte("/a"), []byte("/b"), []byte("/c"))
		for i := 0; ; i++ { // the loop has no room, though each channel has some of its share
			if _, err := offer(b, names[i%3], Event{Data: make([]byte, 10_000)}); err != nil {
				break
			}
		}
		const publishers = 30
		for i := range publishers {
			go b.Publish(names[i%3], Event{Data: []byte{byte('A' + i)}})
			synctest.Wait()
		}
		var got []byte
		for served := in.Take(nil); len(got) < publishers; {
			in.Served(served[:1])
			if len(served) > 1 {
				served = served[1:]
			} else {
				served = in.Take(nil)
			}
			b.Publish("/nobody", Event{}) // a chance for what has been let go
			synctest.Wait()
			in.mu.Lock()
			got = got[:0]
			for _, m := range slices.Concat(served, in.msgs) {
				if len(m.Wire) == len("data: A\n\n") {
					got = append(got, m.Wire[len("data: ")])
				}
			}
			in.mu.Unlock()
		}
		for i := range publishers {
			if got[i] != byte('A'+i) {
				t.Fatalf("served in the order %s", got)
			}
		}
		b.verify(t)
	})
}

// Ensure that a publisher waits for what readers need, for as long as they do and no
// longer than its timeout, and then publishes; and that nobody else waits.
func TestPublisherWaitsForReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, wakes := NewBroker(Options{}), atomic.Int32{}
		in := b.NewInbox(func() { wakes.Add(1) })
		chans, _ := in.Attach(nil, []byte("/a"), []byte("/b"))
		event := Event{Data: make([]byte, DefaultMaxEventBytes-100)} // the largest, but for its fields
		serve := func() { in.Served(in.Take(nil)) }
		for range backlogBytes / DefaultMaxEventBytes { // the log is full
			if _, err := b.Publish("/a", event); err != nil {
				t.Fatal(err)
			}
			serve()
		}
		c := chans[0]
		third := c.log.at(2).Seq
		if in.Need(c, third) {
			t.Fatal("awaited, with nobody waiting")
		}
		publish := func() time.Duration {
			began := time.Now()
			if _, err := b.Publish("/a", event); err != nil {
				t.Errorf("Publish: %v", err)
			}
			serve()
			return time.Since(began)
		}
		for range 2 { // the first two are not needed
			if waited := publish(); waited != 0 {
				t.Fatalf("waited %v for what nobody needs", waited)
			}
		}
		go func() {
			time.Sleep(time.Second)
			if asked := in.TakeAsked(nil); len(asked) != 1 || asked[0] != c || wakes.Load() == 0 {
				t.Errorf("asked for %d channels in %d wakes, want /a", len(asked), wakes.Load())
			}
			if !in.Need(c, third) {
				t.Error("a publisher waits, and the loop is not to tell when that changes")
			}
			if _, err := offer(b, "/b", event); err != nil {
				t.Errorf("on another channel: %v", err)
			}
			time.Sleep(time.Second)
			in.Need(c, c.log.at(1).Seq) // the reader has got on
		}()
		if waited := publish(); waited != 2*time.Second {
			t.Errorf("waited %v for a reader that took 2s", waited)
		}
		if waited := publish(); waited != DefaultPublishTimeout {
			t.Errorf("waited %v for a reader that does not get on, want %v", waited, DefaultPublishTimeout)
		}
		began := time.Now()
		if _, err := b.Feed().Deliver("/a", event); err != nil || time.Since(began) != 0 {
			t.Errorf("what an engine brought waited %v (%v)", time.Since(began), err)
		}
		b.verify(t)
	})
}

// offer prepares and offers an event.
func offer(b *Broker, channel string, ev Event) (Receipt, error) {
	a, err := b.Feed().Prepare(channel, ev, 0)
	if err != nil {
		return Receipt{}, err
	}
	return b.Feed().Offer(a)
}
