package channels

import (
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"millrace/internal/handover"
)

// begin begins an upgrade.
func (m *moveModel) begin(t *rapid.T) {
	var err error
	if m.tap, err = m.b.Tap(handover.Version); err != nil {
		t.Fatal(err)
	}
	opts := m.opts
	opts.Successor = true
	m.next = NewBroker(opts)
}

// send sends the successor all that there is.
func (m *moveModel) send(t *rapid.T) {
	for more := true; more; {
		var err error
		if more, err = m.tap.step(m.next); err != nil {
			t.Fatal(err)
		}
	}
}

// hand ends a loop here.
func (m *moveModel) hand(l *moveLoop) {
	l.k, l.head = l.in.HandOver(l.taken)
	l.taken, l.handed, l.chans = nil, true, nil
	for _, s := range l.streams {
		s.here = s.chans
		l.chans = append(l.chans, s.chans...)
	}
}

// attach begins a loop at the successor.
func (m *moveModel) attach(t *rapid.T, l *moveLoop) {
	counts := map[string]int32{}
	for _, s := range l.streams {
		for _, name := range s.names {
			counts[name]++
		}
	}
	var names []string
	var subscribers []int32
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		names, subscribers = append(names, name), append(subscribers, counts[name])
	}
	l.next = m.next.NewInbox(func() {})
	if m.next.seq < l.head { // for which it would wait
		m.send(t)
	}
	chans, err := l.next.AttachAt(nil, l.k, l.head, raw(names), subscribers)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.streams {
		s.chans = nil
		for _, name := range s.names {
			s.chans = append(s.chans, chans[slices.Index(names, name)])
		}
	}
}

// abort takes back what has moved, as when the successor has died: those that came to it come
// back by themselves.
func (m *moveModel) abort(t *rapid.T) {
	for _, l := range m.loops {
		if !l.handed {
			continue
		}
		l.taken = nil
		chans := slices.Clone(l.chans)
		slices.SortFunc(chans, func(x, y *Channel) int { return strings.Compare(x.name, y.name) })
		l.in.TakeBack(l.k, slices.Compact(chans)...)
		for _, s := range slices.Clone(l.streams) {
			if s.fresh {
				l.streams = slices.DeleteFunc(l.streams, func(other *moveStream) bool { return other == s })
				m.away = append(m.away, s)
				s.behind = false
				continue
			}
			s.chans = s.here
			l.chans = withoutEach(l.chans, s.chans)
		}
		l.in.Detach(l.chans...) // of streams that have ended
		l.handed, l.next, l.chans = false, nil, nil
	}
	m.tap.Close()
	m.b.Thaw()
	m.tap, m.next = nil, nil
}

// withoutEach returns list without one of each of some.
func withoutEach(list, some []*Channel) []*Channel {
	for _, c := range some {
		i := slices.Index(list, c)
		list = slices.Delete(list, i, i+1)
	}
	return list
}

// change has the successor take over.
func (m *moveModel) change(t *rapid.T) {
	s, err := m.b.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	m.send(t)
	if err := m.next.TakeOver(s); err != nil {
		t.Fatal(err)
	}
	m.b, m.tap, m.next = m.next, nil, nil
	for _, l := range m.loops {
		l.in, l.next, l.handed, l.chans = l.next, nil, false, nil
		for _, s := range l.streams {
			s.here, s.fresh = nil, false
		}
	}
}
