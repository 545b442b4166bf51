package channels

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// gapModel is what streams must see of a broker that loses something now and then:
// everything that was delivered, in order, and between it a gap for each loss.
type gapModel struct {
	b         *Broker
	epoch     int
	number    uint64 // the engine's newest
	delivered []*Message
	losses    map[string]uint64 // by channel, the place of the newest
	loops     []*gapLoop
	away      []*gapStream
	restarted uint64 // where the newest epoch begins, and its gap is
}

// gapLoop does with its streams what a loop does.
type gapLoop struct {
	in      *Inbox
	taken   []*Message
	streams []*gapStream
}

type gapStream struct {
	names  []string
	chans  []*Channel
	cursor uint64 // as the loop has it
	behind bool
	reader Told

	began  uint64 // what is above concerns it
	had    uint64 // the newest message or gap that it has had
	told   uint64 // the newest gap
	lastID string
}

// see is s getting a message or a gap.
func (m *gapModel) see(t *rapid.T, s *gapStream, got *Message) {
	if got.Seq <= s.had {
		t.Fatalf("a stream on %v that has had %d gets %d", s.names, s.had, got.Seq)
	}
	if strings.Contains(string(got.Wire), GapType) {
		s.told = got.Seq
	}
	m.complete(t, s, got.Seq-1)
	s.had = got.Seq
	_, id, _ := strings.Cut(string(got.Wire), "\nid: ")
	s.lastID = strings.TrimSpace(id)
}

// complete checks that s has had all up to a place, before which it is told of losses. Of
// several on a channel it is told at the newest.
func (m *gapModel) complete(t *rapid.T, s *gapStream, place uint64) {
	for _, d := range m.delivered {
		if d.Seq > max(s.had, s.began) && d.Seq <= place && slices.Contains(s.chans, d.Channel) {
			t.Fatalf("a stream on %v that has had %d misses %d of %s", s.names, s.had, d.Seq, d.Channel.name)
		}
	}
	for _, name := range s.names {
		if loss := m.losses[name]; loss > max(s.began, s.told) && loss <= place {
			t.Fatalf("a stream on %v that began at %d, and was told of a gap at %d, is at %d, and not told of the loss at %d on %s",
				s.names, s.began, s.told, place, loss, name)
		}
	}
}

// open has s begin, with its last id if it has one.
func (m *gapModel) open(t *rapid.T, l *gapLoop, s *gapStream, maxBytes int) {
	var start Start
	var raw [][]byte
	for _, name := range s.names {
		raw = append(raw, []byte(name))
	}
	if !l.in.Join(&start, []byte(s.lastID), maxBytes, raw...) {
		t.Fatal("a channel is not followed")
	}
	s.chans, s.cursor, s.reader, s.behind = start.Channels, start.Cursor, start.Told, false
	s.had, s.told, s.began = start.Cursor, 0, start.Head
	if epoch, number, ok := parseID([]byte(s.lastID)); ok {
		if ours := string(epoch) == m.b.epoch; ours {
			s.began = m.b.sequence(number)
		} else if start.Gap != GapRestart {
			t.Fatalf("a stream with the id %s of another epoch than %s is told %q", s.lastID, m.b.epoch, start.Gap)
		}
	}
	if start.Gap != NoGap {
		s.told = start.Head
	}
	_, id, _ := strings.Cut(string(l.in.AppendStart(nil, &start)), "\nid: ")
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

// turn does one turn of a loop, of at most most messages and as many gaps. A stream for
// which falls returns true is behind after the first that it gets. It returns false when
// there was nothing.
func (m *gapModel) turn(t *rapid.T, l *gapLoop, most int, falls func() bool) bool {
	l.taken = append(l.taken, l.in.Take(nil)...)
	next := min(most, len(l.taken))
	var behind uint64
	if next < len(l.taken) {
		behind = l.taken[next].Seq
	}
	gaps, more := l.in.Gaps(nil, behind, most)
	for more && next > 0 && l.taken[next-1].Seq > gaps[len(gaps)-1].Seq {
		next--
	}
	turn := slices.Concat(l.taken[:next], gaps)
	slices.SortStableFunc(turn, func(x, y *Message) int { return int(int64(x.Seq - y.Seq)) })
	l.in.Served(l.taken[:next])
	l.taken = l.taken[next:]
	for _, s := range l.streams {
		for _, got := range turn {
			if s.behind || got.Seq <= s.cursor || !slices.Contains(s.chans, got.Channel) {
				continue
			}
			toTell := slices.Contains(s.chans, got.Channel) && m.restarted > max(s.began, s.told) && strings.Contains(string(got.Wire), GapType)
			if toTell && !strings.Contains(string(got.Wire), GapRestart.String()) {
				t.Fatalf("a stream on %v is told first of the restart at %d by %q", s.names, m.restarted, got.Wire)
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

// catchUp brings a stream that is behind on. Where it has not had all of an epoch that is
// over, it is ended.
func (m *gapModel) catchUp(t *rapid.T, l *gapLoop, s *gapStream, maxBytes int) {
	missed, kept := l.in.CatchUp(nil, s.cursor, s.reader, maxBytes, s.chans...)
	if !kept {
		if s.cursor >= m.restarted {
			t.Fatalf("a stream on %v is lapped at %d, though everything is kept since %d", s.names, s.cursor, m.restarted)
		}
		m.leave(l, s)
		return
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

// leave ends a stream, which may come back.
func (m *gapModel) leave(l *gapLoop, s *gapStream) {
	l.streams = slices.DeleteFunc(l.streams, func(other *gapStream) bool { return other == s })
	l.in.Detach(s.chans...)
	s.behind = false
	m.away = append(m.away, s)
}

// lost notes the gaps that have come just now.
func (m *gapModel) lost(names ...string) {
	for _, name := range names {
		m.losses[name] = m.b.channels[name].gap
	}
}

// restart has the engine lose its history.
func (m *gapModel) restart() {
	m.epoch++
	m.number += 2
	m.b.Feed().SetEpoch(fmt.Sprint("E", m.epoch), m.number)
	m.restarted = m.b.seq
	m.delivered = nil // of which none is owed any more: all are told
	for name, c := range m.b.channels {
		if c.subscribers > 0 {
			m.lost(name)
		}
	}
}

// Ensure that every loss of an engine, on any channels and however often at one place, is
// told to every stream before later messages, live, to slow readers and to clients that come
// back, and that nothing else is missed or seen twice.
func TestGapsAgainstModel(t *testing.T) {
	t.Run("an engine with numbers", func(t *testing.T) { testGapsAgainstModel(t, true) })
	t.Run("one without", func(t *testing.T) { testGapsAgainstModel(t, false) })
}

func testGapsAgainstModel(t *testing.T, numbered bool) {
	all := []string{"/a", "/b", "/c"}
	rapid.Check(t, func(t *rapid.T) {
		opts := Options{History: 1000, Numbered: numbered, Backplane: new(engine)}
		m := &gapModel{b: NewBroker(opts), losses: map[string]uint64{}}
		if numbered {
			m.b.Feed().SetEpoch("E0", 0)
		}
		m.b.NewInbox(func() {}).Attach(nil, []byte("/a"), []byte("/b"), []byte("/c")) // nothing is followed anew
		m.b.Feed().Followed(0, nil, all...)
		m.loops = []*gapLoop{{in: m.b.NewInbox(func() {})}, {in: m.b.NewInbox(func() {})}}
		name, loop := rapid.SampledFrom(all), rapid.SampledFrom(m.loops)
		maxBytes := rapid.SampledFrom([]int{1, 1 << 30})
		stream := func(t *rapid.T, wanted func(*gapStream) bool) (*gapLoop, *gapStream) {
			l := loop.Draw(t, "loop")
			some := slices.DeleteFunc(slices.Clone(l.streams), func(s *gapStream) bool { return !wanted(s) })
			if len(some) == 0 {
				t.Skip("nobody")
			}
			return l, rapid.SampledFrom(some).Draw(t, "stream")
		}
		publish := func(t *rapid.T) {
			channel := name.Draw(t, "channel")
			m.number += 2
			var err error
			if numbered {
				_, err = m.b.Feed().DeliverAt(channel, Event{}, m.number)
			} else {
				_, err = m.b.Feed().Deliver(channel, Event{})
			}
			if err != nil {
				t.Fatal(err)
			}
			log := m.b.channels[channel].log
			m.delivered = append(m.delivered, log.at(log.count()-1))
		}
		lose := func(t *rapid.T) {
			names := rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "channels")
			if numbered && rapid.Bool().Draw(t, "with a number of its own") {
				m.number += 2
				m.b.Feed().Advance(m.number)
			}
			m.b.Feed().Interrupted(names...)
			m.lost(names...)
		}
		actions := map[string]func(*rapid.T){
			"publish": publish,
			"lose":    lose,
			"lose2":   lose,
			"come": func(t *rapid.T) {
				s := &gapStream{names: rapid.SliceOfNDistinct(name, 1, 3, rapid.ID[string]).Draw(t, "channels")}
				m.open(t, loop.Draw(t, "loop"), s, 1<<30)
			},
			"come back": func(t *rapid.T) {
				if len(m.away) == 0 {
					t.Skip("nobody is away")
				}
				s := m.away[0]
				m.away = m.away[1:]
				m.open(t, loop.Draw(t, "loop"), s, maxBytes.Draw(t, "max bytes"))
			},
			"leave": func(t *rapid.T) {
				l, s := stream(t, func(*gapStream) bool { return true })
				m.leave(l, s)
			},
			"turn": func(t *rapid.T) {
				m.turn(t, loop.Draw(t, "loop"), rapid.IntRange(1, 3).Draw(t, "most"), func() bool { return rapid.IntRange(0, 3).Draw(t, "falls") == 0 })
			},
			"catch up": func(t *rapid.T) {
				l, s := stream(t, func(s *gapStream) bool { return s.behind })
				m.catchUp(t, l, s, maxBytes.Draw(t, "max bytes"))
			},
			"": func(t *rapid.T) { m.b.verify(t) },
		}
		if numbered {
			actions["restart"] = func(*rapid.T) { m.restart() }
		}
		t.Repeat(actions)
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
		}
	})
}
