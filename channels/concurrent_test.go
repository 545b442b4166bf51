package channels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// listener is a subscriber and what it was given.
type listener struct {
	chans    []*Channel
	attached uint64 // its cursor
	pulls    bool   // reads by Since, not from the inbox
	cursor   uint64 // it has everything up to here
	got      []uint64

	// The place of its detach in the order of messages lies in these bounds.
	detachedAfter, detachedBefore uint64
}

// everLater is the detach of those who stay.
const everLater = 1 << 62

func (l *listener) listens(c *Channel) bool { return slices.Contains(l.chans, c) }

func (l *listener) give(m *Message) {
	l.got = append(l.got, m.Seq)
	l.cursor = m.Seq
}

// testLoop is an event loop with listeners for connections.
type testLoop struct {
	t        *testing.T
	b        *Broker
	in       *Inbox
	woken    chan struct{}
	names    []string
	rand     *rand.Rand
	spare    []*Message
	now, all []*listener
}

func newTestLoop(t *testing.T, b *Broker, names []string, seed uint64) *testLoop {
	l := &testLoop{t: t, b: b, names: names, woken: make(chan struct{}, 1), rand: rand.New(rand.NewPCG(seed, 0))}
	l.in = l.b.NewInbox(func() {
		select {
		case l.woken <- struct{}{}:
		default:
		}
	})
	return l
}

// run serves, and lets listeners come and go, until stop is closed; then it
// serves what is left.
func (l *testLoop) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			l.serve()
			for _, s := range l.now {
				s.detachedAfter, s.detachedBefore = everLater, everLater
			}
			return
		case <-l.woken:
		default:
		}
		switch {
		case len(l.now) < 4 || len(l.now) < 12 && l.rand.IntN(2) == 0:
			l.attach()
		default:
			l.detach(l.rand.IntN(len(l.now)))
		}
		l.serve()
	}
}

func (l *testLoop) attach() {
	var names [][]byte
	for _, i := range l.rand.Perm(len(l.names))[:1+l.rand.IntN(2)] {
		names = append(names, []byte(l.names[i]))
	}
	s := &listener{pulls: l.rand.IntN(4) == 0}
	s.chans, s.attached = l.in.Attach(nil, names...)
	s.cursor = s.attached
	l.now = append(l.now, s)
	l.all = append(l.all, s)
}

func (l *testLoop) detach(i int) {
	s := l.now[i]
	l.now = slices.Delete(l.now, i, i+1)
	_, s.detachedAfter = l.in.Attach(nil)
	l.in.Detach(s.chans...)
	_, s.detachedBefore = l.in.Attach(nil)
}

// serve gives everything that waits to those who listen.
func (l *testLoop) serve() {
	_, posted := l.in.Attach(nil) // all up to here has been posted
	l.spare = l.in.Take(l.spare)
	for _, m := range l.spare {
		for _, s := range l.now {
			if !s.pulls && m.Seq > s.cursor && s.listens(m.Channel) {
				s.give(m)
			}
		}
	}
	for _, s := range l.now {
		for s.pulls {
			msgs, kept := l.in.CatchUp(nil, s.cursor, Told{}, 200, s.chans...)
			if !kept {
				l.t.Errorf("lapped at cursor %d with everything kept", s.cursor)
			}
			for _, m := range msgs {
				s.give(m)
			}
			if len(msgs) == 0 {
				break
			}
		}
		s.cursor = max(s.cursor, posted)
	}
	half := len(l.spare) / 2
	l.in.Served(l.spare[:half])
	l.in.Served(l.spare[half:])
}

// TestConcurrent holds, with loops and publishers at work at once, that every
// listener gets exactly what was published between its attach and its detach,
// in order, and that Publish counts exactly those who were attached.
func TestConcurrent(t *testing.T) {
	const loops, publishers, each = 4, 4, 1000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	names := []string{"/a", "/b", "/c", "/d", "/e"}
	b := NewBroker(Options{History: loops * publishers * each, PublishTimeout: time.Minute})
	stop := make(chan struct{})
	var serving, publishing sync.WaitGroup
	var all []*testLoop
	for i := range uint64(loops) {
		l := newTestLoop(t, b, names, seed+i)
		all = append(all, l)
		serving.Go(func() { l.run(stop) })
	}
	counts := make([][]int, publishers) // what Publish returned, by publisher and message
	for p := range counts {
		publishing.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1+uint64(p)))
			for i := range each {
				n, err := b.Publish(names[r.IntN(len(names))], Event{Data: fmt.Appendf(nil, "%d %d", p, i)})
				if err != nil {
					t.Errorf("publisher %d, message %d: %v", p, i, err)
				}
				counts[p] = append(counts[p], n.Receivers)
			}
		})
	}
	publishing.Wait()
	close(stop)
	serving.Wait()
	b.verify(t)
	if t.Failed() {
		return
	}

	// The order of all messages, and how many receivers each was said to have.
	var order []*Message
	var receivers []int
	next := make([]int, publishers)
	for m := b.kept.oldest; m != nil; m = m.newer {
		events, _ := decode(m.Wire)
		token, index, _ := strings.Cut(events[0].Data, " ")
		p, _ := strconv.Atoi(token)
		if index != strconv.Itoa(next[p]) {
			t.Fatalf("message %d is %s of publisher %d, want %d", m.Seq, index, p, next[p])
		}
		order = append(order, m)
		receivers = append(receivers, counts[p][next[p]])
		next[p]++
		if m.Seq != uint64(len(order)) {
			t.Fatalf("message %d stands at place %d", m.Seq, len(order))
		}
	}
	if len(order) != publishers*each {
		t.Fatalf("%d messages, want %d", len(order), publishers*each)
	}
	var listeners []*listener
	for _, l := range all {
		listeners = append(listeners, l.all...)
	}
	for i, s := range listeners {
		checkGot(t, i, s, order)
	}
	for _, name := range names {
		checkCounts(t, name, listeners, order, receivers)
	}
	t.Logf("%d listeners", len(listeners))
}

// checkGot holds that s got all of its channels' messages from its attach to
// where it stopped reading, which lies before its detach.
func checkGot(t *testing.T, i int, s *listener, order []*Message) {
	t.Helper()
	var want []uint64
	for _, m := range order {
		if m.Seq > s.attached && m.Seq <= s.cursor && s.listens(m.Channel) {
			want = append(want, m.Seq)
		}
	}
	if !slices.Equal(s.got, want) {
		t.Errorf("listener %d, attached at %d, read to %d: got %d messages, want %d:\n%v\n%v",
			i, s.attached, s.cursor, len(s.got), len(want), s.got, want)
	}
	if s.detachedAfter == everLater && s.cursor != order[len(order)-1].Seq {
		t.Errorf("listener %d stayed to the end, and read to %d only", i, s.cursor)
	}
}

// checkCounts holds that Publish's counts are those of listeners that came at
// their cursors and left, one by one, within the bounds that were seen.
func checkCounts(t *testing.T, name string, listeners []*listener, order []*Message, receivers []int) {
	t.Helper()
	left := 0
	for i, m := range order {
		if m.Channel.name != name {
			continue
		}
		came, leftAtLeast, leftAtMost := 0, 0, 0
		for _, s := range listeners {
			if s.attached >= m.Seq || !s.listens(m.Channel) {
				continue
			}
			came++
			if s.detachedBefore < m.Seq {
				leftAtLeast++
			}
			if s.detachedAfter < m.Seq {
				leftAtMost++
			}
		}
		gone := came - receivers[i]
		if gone < max(left, leftAtLeast) || gone > leftAtMost {
			t.Errorf("message %d on %s was counted for %d receivers: %d came, so %d had left, want %d to %d and no fewer than before (%d)",
				m.Seq, name, receivers[i], came, gone, leftAtLeast, leftAtMost, left)
		}
		left = gone
	}
}

// Ensure that channels that come and go under racing publishers leave nothing.
func TestConcurrentComeAndGo(t *testing.T) {
	b := NewBroker(Options{MaxKept: 2000})
	var wg sync.WaitGroup
	var received, counted atomic.Int64
	for range 4 {
		wg.Go(func() {
			in := b.NewInbox(func() {})
			var spare []*Message
			for i := range 3000 {
				chans, _ := in.Attach(nil, []byte{'/', byte('a' + i%3)})
				n, err := b.Publish(chans[0].Name(), Event{})
				if err != nil || n.Receivers < 1 {
					t.Errorf("Publish to one's own channel = %+v, %v, want at least 1, nil", n, err)
				}
				counted.Add(int64(n.Receivers))
				in.Detach(chans...)
				spare = in.Take(spare) // at most one subscriber here: what came, came for it
				received.Add(int64(len(spare)))
				in.Served(spare)
			}
		})
	}
	wg.Wait()
	b.verify(t)
	if received.Load() != counted.Load() {
		t.Errorf("%d messages received, Publish counted %d", received.Load(), counted.Load())
	}
	if len(b.channels) != 0 || b.kept.size != 0 {
		t.Errorf("%d channels and %d bytes are left, want none", len(b.channels), b.kept.size)
	}
}
