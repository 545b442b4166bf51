package channels

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// moveModel is what streams must see of brokers that hand over to each other, or begin to:
// the same as of one. It has what was delivered and lost, in the order of whichever broker
// gave the places.
type moveModel struct {
	opts      Options
	b         *Broker // numbers
	tap       *Tap    // of b, nil unless an upgrade is under way
	next      *Broker // its successor
	number    uint64  // the engine's newest
	now       int     // counts messages and losses
	delivered []delivery
	losses    []delivery
	loops     []*moveLoop
	away      []*moveStream
}

// delivery is a message, or a loss, which has no wire form.
type delivery struct {
	now  int
	seq  uint64
	name string
	wire []byte
}

// moveLoop does with its streams what a loop does, in one process or the other.
type moveLoop struct {
	in, next *Inbox // of b and of its successor, nil unless attached there
	handed   bool
	k, head  uint64
	chans    []*Channel // of b, with the streams that had come when it was handed over
	taken    []*Message
	streams  []*moveStream
}

// moveStream is a stream. Its channels are those of the broker that has its loop.
type moveStream struct {
	names  []string
	chans  []*Channel
	here   []*Channel // of b, while the loop is the successor's
	cursor uint64
	behind bool
	reader Told
	fresh  bool   // it has come to the successor, which alone knows of it
	began  uint64 // what is above concerns it
	had    uint64 // the newest message or gap that it has had
	told   int    // when it was told of a gap
	lastID string
	stays  bool // it never leaves
}

// inbox returns the one that serves, nil while the loop is on its way.
func (l *moveLoop) inbox() *Inbox {
	if !l.handed {
		return l.in
	}
	return l.next
}

// see is s getting a message or a gap.
func (m *moveModel) see(t *rapid.T, s *moveStream, got *Message) {
	if got.Seq <= s.had {
		t.Fatalf("a stream on %v that has had %d gets %d", s.names, s.had, got.Seq)
	}
	if strings.Contains(string(got.Wire), GapType) {
		s.told = m.now
	} else if i := slices.IndexFunc(m.delivered, func(d delivery) bool { return d.seq == got.Seq }); i < 0 || !bytes.Equal(m.delivered[i].wire, got.Wire) {
		t.Fatalf("a stream on %v gets %q, which was not delivered", s.names, got.Wire)
	}
	m.complete(t, s, got.Seq-1)
	s.had = got.Seq
	_, id, _ := strings.Cut(string(got.Wire), "\nid: ")
	s.lastID = strings.TrimSpace(id)
}

// complete checks that s has had all up to a place, before which it is told of losses. Of
// several on a channel it is told at the newest.
func (m *moveModel) complete(t *rapid.T, s *moveStream, place uint64) {
	for _, d := range m.delivered {
		if d.seq > max(s.had, s.began) && d.seq <= place && slices.Contains(s.names, d.name) {
			t.Fatalf("a stream on %v that has had %d, and is brought to %d, misses %d of %s", s.names, s.had, place, d.seq, d.name)
		}
	}
	newest := map[string]delivery{}
	for _, d := range m.losses {
		newest[d.name] = d
	}
	for _, name := range s.names {
		if loss := newest[name]; loss.seq > s.began && loss.now > s.told && loss.seq <= place {
			t.Fatalf("a stream on %v that began at %d, and was last told of a gap before message %d, is at %d, and not told of the loss at %d on %s",
				s.names, s.began, s.told, place, loss.seq, name)
		}
	}
}

func (m *moveModel) publish(t *rapid.T, channel string, size int) {
	var err error
	ev := Event{Data: bytes.Repeat([]byte{byte('a' + m.number%26)}, size)}
	m.number += 2
	if m.opts.Numbered {
		_, err = m.b.Feed().DeliverAt(channel, ev, m.number)
	} else {
		_, err = m.b.Feed().Deliver(channel, ev)
	}
	if err != nil {
		t.Fatal(err)
	}
	log := m.b.channels[channel].log
	got := log.at(log.count() - 1)
	m.now++
	m.delivered = append(m.delivered, delivery{m.now, got.Seq, channel, got.Wire})
}

func (m *moveModel) lose(t *rapid.T, names []string) {
	if m.opts.Numbered && rapid.Bool().Draw(t, "with a number of its own") {
		m.number += 2
		m.b.Feed().Advance(m.number)
	}
	m.b.Feed().Interrupted(names...)
	m.now++
	for _, name := range names {
		m.losses = append(m.losses, delivery{m.now, m.b.channels[name].gap, name, nil})
	}
}

// open has s begin, with its last id if it has one.
func (m *moveModel) open(t *rapid.T, l *moveLoop, s *moveStream, maxBytes int) {
	in := l.inbox()
	if in == nil {
		t.Skip("the loop is on its way")
	}
	if l.handed { // else it begins at an earlier place, as it may
		m.send(t)
	}
	var start Start
	if !in.Join(&start, []byte(s.lastID), maxBytes, raw(s.names)...) {
		t.Fatal("a channel is not followed")
	}
	s.chans, s.cursor, s.reader, s.behind, s.fresh = start.Channels, start.Cursor, start.Told, false, l.handed
	s.had, s.told, s.began = start.Cursor, 0, start.Head
	if _, number, ok := parseID([]byte(s.lastID)); ok {
		s.began = m.b.sequence(number)
	}
	if start.Gap != NoGap {
		s.told = m.now
	}
	_, id, _ := strings.Cut(string(in.AppendStart(nil, &start)), "\nid: ")
	s.lastID = strings.TrimSpace(id)
	m.complete(t, s, start.Cursor)
	l.streams = append(l.streams, s)
	for _, got := range start.Missed {
		m.see(t, s, got)
		s.cursor = got.Seq
	}
	if s.behind = maxBytes == 1 && len(start.Missed) > 0; !s.behind {
		s.cursor = max(s.cursor, start.Head)
	}
}

func raw(names []string) (raw [][]byte) {
	for _, name := range names {
		raw = append(raw, []byte(name))
	}
	return raw
}

// turn does one turn of a loop, of at most most messages and as many gaps. A stream for
// which falls returns true is behind after the first that it gets. It returns false when
// there was nothing.
func (m *moveModel) turn(t *rapid.T, l *moveLoop, most int, falls func() bool) bool {
	in := l.inbox()
	if in == nil {
		return false
	}
	l.taken = append(l.taken, in.Take(nil)...)
	next := min(most, len(l.taken))
	var after uint64
	if next < len(l.taken) {
		after = l.taken[next].Seq
	}
	gaps, more := in.Gaps(nil, after, most)
	for more && next > 0 && l.taken[next-1].Seq > gaps[len(gaps)-1].Seq {
		next--
	}
	turn := slices.Concat(l.taken[:next], gaps)
	slices.SortStableFunc(turn, func(x, y *Message) int { return int(int64(x.Seq - y.Seq)) })
	in.Served(l.taken[:next])
	l.taken = l.taken[next:]
	for _, s := range l.streams {
		for _, got := range turn {
			if s.behind || got.Seq <= s.cursor || !slices.Contains(s.chans, got.Channel) {
				continue
			}
			m.see(t, s, got)
			s.cursor = got.Seq
			if s.behind = falls(); s.behind {
				s.reader = Told{}
			}
		}
		if len(turn) > 0 && len(s.names) > 1 && !s.behind {
			end := turn[len(turn)-1].Seq
			if more {
				end--
			}
			s.cursor = max(s.cursor, end)
		}
	}
	return len(turn) > 0
}

// catchUp brings a stream that is behind on.
func (m *moveModel) catchUp(t *rapid.T, l *moveLoop, s *moveStream, maxBytes int) {
	missed, kept := l.inbox().CatchUp(nil, s.cursor, s.reader, maxBytes, s.chans...)
	if !kept {
		t.Fatalf("a stream on %v is lapped at %d, though everything is kept", s.names, s.cursor)
	}
	for _, got := range missed {
		m.see(t, s, got)
		s.cursor = got.Seq
	}
	if len(missed) == 0 {
		s.behind = false
		s.cursor = max(s.cursor, s.reader.Gaps)
	}
}

// leave ends a stream, which may come back. The predecessor does not hear of it.
func (m *moveModel) leave(l *moveLoop, s *moveStream) {
	l.streams = slices.DeleteFunc(l.streams, func(other *moveStream) bool { return other == s })
	l.inbox().Detach(s.chans...)
	if l.handed {
		s.chans = s.here
	}
	s.behind = false
	m.away = append(m.away, s)
}

// Ensure that streams hear of brokers that hand over to each other, and take back, what they
// would hear of one: every message once, as it was first encoded, and every loss.
func TestHandoversAgainstModel(t *testing.T) {
	t.Run("an engine with numbers", func(t *testing.T) { testHandoversAgainstModel(t, true) })
	t.Run("one without", func(t *testing.T) { testHandoversAgainstModel(t, false) })
}

func testHandoversAgainstModel(t *testing.T, numbered bool) {
	all := []string{"/a", "/b", "/c"}
	rapid.Check(t, func(t *rapid.T) {
		m := newMoveModel(numbered, all)
		name, loop := rapid.SampledFrom(all), rapid.SampledFrom(m.loops)
		maxBytes := rapid.SampledFrom([]int{1, 1 << 30})
		stream := func(t *rapid.T, wanted func(*moveStream) bool) (*moveLoop, *moveStream) {
			l := loop.Draw(t, "loop")
			some := slices.DeleteFunc(slices.Clone(l.streams), func(s *moveStream) bool { return !wanted(s) })
			if len(some) == 0 || l.inbox() == nil {
				t.Skip("nobody")
			}
			return l, rapid.SampledFrom(some).Draw(t, "stream")
		}
		publish := func(t *rapid.T) {
			m.publish(t, name.Draw(t, "channel"), rapid.SampledFrom([]int{0, 10, 40 << 10}).Draw(t, "size"))
		}
		turn := func(t *rapid.T) {
			m.turn(t, loop.Draw(t, "loop"), rapid.IntRange(1, 3).Draw(t, "most"), func() bool { return rapid.IntRange(0, 3).Draw(t, "falls") == 0 })
		}
		upgrading := func(t *rapid.T) {
			if m.tap == nil {
				t.Skip("no upgrade is under way")
			}
		}
		step := func(t *rapid.T) {
			upgrading(t)
			if _, err := m.tap.step(m.next); err != nil {
				t.Fatal(err)
			}
		}
		move := func(t *rapid.T) {
			upgrading(t)
			switch l := loop.Draw(t, "loop"); {
			case !l.handed:
				m.hand(l)
			case l.next == nil && m.next.successor.isRestored():
				m.attach(t, l)
			}
		}
		actions := map[string]func(*rapid.T){
			"publish": publish, "publish2": publish,
			"lose": func(t *rapid.T) { m.lose(t, rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "channels")) },
			"come": func(t *rapid.T) {
				s := &moveStream{names: rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "channels")}
				m.open(t, loop.Draw(t, "loop"), s, 1<<30)
			},
			"come back": func(t *rapid.T) {
				if l := loop.Draw(t, "loop"); len(m.away) > 0 && l.inbox() != nil {
					s := m.away[0]
					m.away = m.away[1:]
					m.open(t, l, s, maxBytes.Draw(t, "max bytes"))
				}
			},
			"leave": func(t *rapid.T) {
				l, s := stream(t, func(s *moveStream) bool { return !s.stays })
				m.leave(l, s)
			},
			"turn": turn, "turn2": turn,
			"catch up": func(t *rapid.T) {
				l, s := stream(t, func(s *moveStream) bool { return s.behind })
				m.catchUp(t, l, s, maxBytes.Draw(t, "max bytes"))
			},
			"begin": func(t *rapid.T) {
				if m.tap == nil {
					m.begin(t)
				}
			},
			"send": step, "send2": step, "move": move, "move2": move,
			"take back": func(t *rapid.T) {
				if upgrading(t); rapid.IntRange(0, 2).Draw(t, "really") == 0 {
					m.abort(t)
				}
			},
			"switch": func(t *rapid.T) {
				upgrading(t)
				if !slices.ContainsFunc(m.loops, func(l *moveLoop) bool { return l.next == nil }) {
					m.change(t)
				}
			},
			"": func(t *rapid.T) {
				if m.tap == nil && !m.b.unsettled.is {
					m.b.verify(t)
				}
			},
		}
		t.Repeat(actions)
		m.finish(t)
	})
}

func newMoveModel(numbered bool, all []string) *moveModel {
	m := &moveModel{opts: Options{History: 1000, Numbered: numbered, Backplane: new(engine)}}
	m.b = NewBroker(m.opts)
	if numbered {
		m.b.Feed().SetEpoch("E0", 0)
	}
	for range 2 {
		m.loops = append(m.loops, &moveLoop{in: m.b.NewInbox(func() {})})
	}
	// Nothing is followed anew.
	s := &moveStream{names: all, stays: true}
	s.chans, s.cursor = m.loops[0].in.Attach(nil, raw(all)...)
	m.loops[0].streams = append(m.loops[0].streams, s)
	m.b.Feed().Followed(0, nil, all...)
	return m
}

// finish ends an upgrade, and has all streams brought to the head.
func (m *moveModel) finish(t *rapid.T) {
	if m.tap != nil {
		m.abort(t)
	}
	for _, l := range m.loops {
		for m.turn(t, l, 2, func() bool { return false }) {
		}
		for _, s := range slices.Clone(l.streams) {
			for s.behind {
				m.catchUp(t, l, s, 1<<30)
			}
		}
		for _, s := range l.streams {
			m.complete(t, s, m.b.seq)
		}
		if l.in.unserved != 0 {
			t.Fatalf("%d bytes count as unserved, but all have been", l.in.unserved)
		}
		for name, c := range m.b.channels {
			if i := c.find(l.in); i >= 0 && c.loops[i].unserved != 0 {
				t.Fatalf("%d bytes of %s count as unserved, but all have been", c.loops[i].unserved, name)
			}
		}
	}
}
