package follow

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Ensure that a channel is asked for once, lingers, and is given up.
func TestLife(t *testing.T) {
	now := time.Unix(1000, 0)
	s := NewSet(5 * time.Second)
	s.clock = func() time.Time { return now }
	next := func(wantAsk, wantDrop string) {
		t.Helper()
		ask, drop, _ := s.Next(10)
		if got := fmt.Sprint(ask, drop); got != fmt.Sprintf("[%s] [%s]", wantAsk, wantDrop) {
			t.Fatalf("Next() = %s, want to ask [%s], to drop [%s]", got, wantAsk, wantDrop)
		}
	}
	if _, ready := s.Follow("a"); ready {
		t.Error("a new channel is ready")
	}
	<-s.Wake()
	next("a", "")
	next("", "")
	if !s.Confirm("a", 7) || s.Confirm("a", 8) || s.Confirm("b", 8) {
		t.Error("Confirm: want true for what is asked for, once, and else false")
	}
	s.Unfollow("a")
	<-s.Wake()
	if _, _, again := s.Next(10); !again.Equal(now.Add(5 * time.Second)) {
		t.Errorf("again at %v, want in 5 s", again)
	}
	if since, ready := s.Follow("a"); since != 7 || !ready {
		t.Errorf("back within the linger: since %d, ready %v, want 7, true", since, ready)
	}
	s.Unfollow("a")
	now = now.Add(4 * time.Second)
	s.Follow("a")
	s.Unfollow("a")
	now = now.Add(4 * time.Second)
	next("", "")
	now = now.Add(time.Second)
	next("", "a")
	if s.Len() != 0 {
		t.Errorf("%d channels are left, want none", s.Len())
	}
}

// Ensure that after a reset everything is asked for anew that has subscribers.
func TestReset(t *testing.T) {
	s := NewSet(time.Hour)
	for _, channel := range []string{"a", "b", "c"} {
		s.Follow(channel)
	}
	s.Next(2)
	s.Confirm("a", 1)
	s.Unfollow("b")
	s.Reset()
	ask, drop, _ := s.Next(10)
	slices.Sort(ask)
	if !slices.Equal(ask, []string{"a", "c"}) || len(drop) > 0 {
		t.Errorf("Next() = %q, %q, want a and c to be asked for", ask, drop)
	}
}

// Ensure that no more is asked for than an engine may have to answer, and that all
// is in the end.
func TestMaxAsked(t *testing.T) {
	s := NewSet(time.Hour)
	const n = 3 * maxAsked
	for i := range n {
		s.Follow(fmt.Sprint(i))
	}
	var asked []string
	confirmed := 0
	for confirmed < n {
		ask, _, _ := s.Next(1000)
		if len(ask) == 0 {
			if len(asked) == confirmed {
				t.Fatalf("nothing to ask for after %d of %d", confirmed, n)
			}
			select {
			case <-s.Wake():
			default:
			}
			for len(s.wake) == 0 && confirmed < len(asked) {
				s.Confirm(asked[confirmed], 0)
				confirmed++
			}
		}
		asked = append(asked, ask...)
		if waits := len(asked) - confirmed; waits > maxAsked {
			t.Fatalf("%d wait to be confirmed, want at most %d", waits, maxAsked)
		}
	}
}

// Ensure that nothing stays of channels that come and go while no session takes
// batches, and that no more does of those that the engine delivers than they are.
func TestBoundedWithoutSession(t *testing.T) {
	s := NewSet(time.Hour)
	const known = 3
	for i := range known {
		s.Follow(fmt.Sprint("ready ", i))
	}
	s.Next(known)
	for i := range known {
		s.Confirm(fmt.Sprint("ready ", i), 0)
	}
	for i := range 10_000 {
		fresh, ready := fmt.Sprint(i), fmt.Sprint("ready ", i%known)
		s.Follow(fresh)
		s.Unfollow(ready)
		s.Follow(ready)
		s.Unfollow(fresh)
		s.Unfollow(ready)
		s.Follow(ready)
		s.verify(t)
	}
	if n := s.Len() + s.wanted.len() + s.leaving.len(); n != known {
		t.Errorf("%d entries of maps and queues are left, want %d", n, known)
	}
}

// verify reports queues that are not what place makes of the channels.
func (s *Set) verify(t interface {
	Errorf(string, ...any)
	Helper()
}) {
	t.Helper()
	var wanted, leaving, refused, asked int
	for channel, e := range s.channels {
		var want *queue
		switch {
		case !e.until.IsZero():
			want = &s.leaving
			leaving++
		case e.state == stateWanted:
			want = &s.wanted
			wanted++
		case e.state == stateRefused:
			want = &s.refusals.refused
			refused++
		}
		if e.state == stateAsked {
			asked++
		}
		if e.in != want || e.channel != channel {
			t.Errorf("%q is in the queue %p, want %p (wanted %p, leaving %p)", channel, e.in, want, &s.wanted, &s.leaving)
		}
	}
	if asked != s.asked || wanted != s.wanted.len() || leaving != s.leaving.len() || refused != s.refusals.refused.len() {
		t.Errorf("%d are asked for, %d wanted, %d leaving, %d refused; the counter and the queues say %d, %d, %d, %d",
			asked, wanted, leaving, refused, s.asked, s.wanted.len(), s.leaving.len(), s.refusals.refused.len())
	}
	for e := s.leaving.first; e != nil && e.next != nil; e = e.next {
		if e.until.After(e.next.until) {
			t.Errorf("%q leaves at %v, before %q at %v", e.channel, e.until, e.next.channel, e.next.until)
		}
	}
}

// len counts, both ways.
func (q *queue) len() (n int) {
	var last *entry
	for e := q.first; e != nil; e = e.next {
		if e.prev != last || e.in != q {
			return -1
		}
		n, last = n+1, e
	}
	if q.last != last {
		return -1
	}
	return n
}

// Ensure that the engine and the subscribers agree in the end, whatever happened:
// against a model that has every subscription of the engine, which refuses some
// channels, and a batch with one of them as a whole.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		s := NewSet(10)
		s.clock = func() time.Time { return now }
		subscribers := make(map[string]bool)
		engine := make(map[string]bool)  // what the engine delivers
		ready := make(map[string]bool)   // and is known to
		refuses := make(map[string]bool) // what it does not
		refused := make(map[string]bool) // what it has refused since it was last asked
		var sent [][]string              // asked for and not answered
		step := func() (idle bool) {
			ask, drop, again := s.Next(rapid.IntRange(1, 4).Draw(t, "limit"))
			for _, channel := range drop {
				if engine[channel] && subscribers[channel] && !refused[channel] {
					t.Fatalf("%q is dropped, although it has subscribers", channel)
				}
				if !engine[channel] && !refuses[channel] && !refused[channel] {
					t.Fatalf("%q is dropped, which the engine neither delivers nor refuses", channel)
				}
				delete(engine, channel)
				delete(ready, channel)
			}
			if len(ask) > 0 {
				sent = append(sent, ask)
			}
			if len(ask)+len(drop) == 0 && !again.IsZero() {
				if !again.After(now) {
					t.Fatal("Next has nothing, and wants to be called at once")
				}
				now = again
			}
			return len(ask)+len(drop) == 0 && again.IsZero()
		}
		answer := func() {
			batch := sent[0]
			sent = sent[1:]
			if slices.ContainsFunc(batch, func(c string) bool { return refuses[c] }) {
				told := s.Refuse(batch...)
				if want := len(batch) == 1 && subscribers[batch[0]]; told != want {
					t.Fatalf("Refuse(%q) = %v, want %v", batch, told, want)
				}
				for _, channel := range batch {
					refused[channel] = true
				}
				return
			}
			for _, channel := range batch {
				delete(refused, channel)
				engine[channel], ready[channel] = true, true
				if !s.Confirm(channel, 0) {
					t.Fatalf("%q is not confirmed", channel)
				}
			}
		}
		names := []string{"a", "b", "c", "d", "e"}
		channel := rapid.SampledFrom(names)
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				if c := channel.Draw(t, "channel"); !subscribers[c] {
					subscribers[c] = true
					if _, got := s.Follow(c); got != ready[c] {
						t.Fatalf("%q: ready %v, want %v", c, got, ready[c])
					}
				}
			},
			"go": func(t *rapid.T) {
				if c := channel.Draw(t, "channel"); subscribers[c] {
					delete(subscribers, c)
					s.Unfollow(c)
				}
			},
			"permit": func(t *rapid.T) {
				c := channel.Draw(t, "channel")
				refuses[c] = !refuses[c] && !engine[c]
			},
			"wait": func(*rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 12).Draw(t, "time"))) },
			"next": func(*rapid.T) { step() },
			"answer": func(*rapid.T) {
				if len(sent) > 0 {
					answer()
				}
			},
			"again": func(*rapid.T) {
				if len(sent) == 0 {
					return
				}
				for _, channel := range sent[0] {
					engine[channel] = true
					s.Again(channel)
				}
				sent = sent[1:]
			},
			"lose": func(*rapid.T) {
				clear(engine)
				clear(ready)
				clear(refused)
				sent = nil
				s.Reset()
			},
			"": func(t *rapid.T) { s.verify(t) },
		})
		settle := func() {
			for rounds := 0; !step() || len(sent) > 0; rounds++ {
				for len(sent) > 0 {
					answer()
				}
				if want := countBoth(subscribers, refuses); s.refusals.refused.len() == want && want > 0 && rounds > 50 {
					return // they will be asked for once a minute
				}
			}
		}
		settle()
		for _, c := range names {
			if (subscribers[c] && !refuses[c]) != engine[c] {
				t.Fatalf("%q: has subscribers %v, is refused %v, the engine delivers it: %v", c, subscribers[c], refuses[c], engine[c])
			}
		}
		clear(refuses)
		now = now.Add(retryPeriod)
		settle()
		for _, c := range names {
			if subscribers[c] != engine[c] {
				t.Fatalf("%q, permitted since a minute: has subscribers %v, the engine delivers it: %v", c, subscribers[c], engine[c])
			}
			if subscribers[c] {
				s.Unfollow(c)
			}
		}
		clear(subscribers)
		settle()
		if s.Len() != 0 || s.refusals.refused.len() != 0 {
			t.Fatalf("without subscribers, %d channels are left, %d of them refused", s.Len(), s.refusals.refused.len())
		}
	})
}

// countBoth returns how many keys both sets have.
func countBoth(a, b map[string]bool) (n int) {
	for key, in := range a {
		if in && b[key] {
			n++
		}
	}
	return n
}
