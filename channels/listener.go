package channels

import (
	"math"
	"slices"
	"sync/atomic"
)

// Listener hears what is published on channels beside the streams, as it was
// published. It must be comparable: it is known by its value.
type Listener interface {
	// Hear is called once for every event, in the one order and by one goroutine at a
	// time, and must not keep data. Publishers wait for it, so it must neither block nor
	// call the broker. pattern is the one that it listens with, "" for the channel itself.
	Hear(pattern Pattern, channel string, data []byte)
}

// heard is a pattern with those who listen with it, one or more, each once.
type heard struct {
	pattern   Pattern
	number    uint64     // grows from pattern to pattern
	listeners []Listener // never changes, another takes its place. Guarded by Broker.mu
}

// patterns are those that somebody listens with, in the order of their numbers. There may
// be thousands, so events are matched with them before the broker's lock is taken: the
// list never changes, another takes its place. Storing is guarded by Broker.mu.
type patterns struct {
	list  atomic.Pointer[[]*heard]
	newer uint64 // number of the newest ever
}

// all returns the present list.
func (p *patterns) all() []*heard {
	if list := p.list.Load(); list != nil {
		return *list
	}
	return nil
}

// matches are the patterns that a name fits, of those up to a number.
type matches struct {
	heard []*heard
	upTo  uint64
}

// match goes through all patterns. Safe for concurrent use.
func (p *patterns) match(name string) (m matches) {
	if byNameAlone(name) {
		return matches{upTo: math.MaxUint64}
	}
	all := p.all()
	for _, h := range all {
		if h.pattern.Match(name) {
			m.heard = append(m.heard, h)
		}
	}
	if len(all) > 0 {
		m.upTo = all[len(all)-1].number
	}
	return m
}

// add goes through the patterns that have come since. Called with Broker.mu held.
func (p *patterns) add(m *matches, name string) {
	all := p.all()
	first := len(all)
	for first > 0 && all[first-1].number > m.upTo {
		first--
	}
	for _, h := range all[first:] {
		if h.pattern.Match(name) {
			m.heard = append(m.heard, h)
		}
	}
}

// Listen has l hear channels from now on, those that it does not hear already. It
// counts as a subscriber of each. The names must pass CheckName.
func (b *Broker) Listen(l Listener, names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[name]
		if c == nil {
			c = b.open(name)
		}
		if !slices.Contains(c.listeners(), l) {
			c.setListeners(withOne(c.listeners(), l))
			c.subscribers++
			b.joined(c)
		}
	}
}

// Unlisten takes back Listen. When it returns, l is not called for the channels any
// more.
func (b *Broker) Unlisten(l Listener, names ...string) {
	defer b.hear()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[name]
		if c == nil {
			continue
		}
		if i := slices.Index(c.listeners(), l); i >= 0 {
			c.setListeners(withoutAt(c.listeners(), i))
			c.subscribers--
			b.left(c)
		}
	}
	b.tidy()
}

// ListenPattern has l hear, from now on, every channel whose name fits p. Of what
// is published on other nodes these are the channels that somebody on this node
// subscribes to by name: a pattern has no channel followed.
func (b *Broker) ListenPattern(l Listener, p Pattern) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var h *heard
	if i := b.findPattern(p); i >= 0 {
		h = b.patterns.all()[i]
	} else {
		b.patterns.newer++
		h = &heard{pattern: p, number: b.patterns.newer}
		list := withOne(b.patterns.all(), h)
		b.patterns.list.Store(&list)
	}
	if !slices.Contains(h.listeners, l) {
		h.listeners = withOne(h.listeners, l)
	}
}

// UnlistenPattern takes back ListenPattern. When it returns, l is not called for the
// pattern any more.
func (b *Broker) UnlistenPattern(l Listener, p Pattern) {
	defer b.hear()
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.findPattern(p)
	if i < 0 {
		return
	}
	h := b.patterns.all()[i]
	if j := slices.Index(h.listeners, l); j >= 0 {
		h.listeners = withoutAt(h.listeners, j)
	}
	if len(h.listeners) == 0 {
		list := withoutAt(b.patterns.all(), i)
		b.patterns.list.Store(&list)
	}
}

func (b *Broker) findPattern(p Pattern) int {
	return slices.IndexFunc(b.patterns.all(), func(h *heard) bool { return h.pattern == p })
}

// Patterns returns how many patterns somebody listens with.
func (b *Broker) Patterns() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.patterns.all())
}

// withOne returns a list with one more at its end, and withoutAt one that lacks a place. The
// one before is left as it is, since somebody may be going through it.
func withOne[T any](list []T, more T) []T { return append(slices.Clip(list), more) }

func withoutAt[T any](list []T, i int) []T { return slices.Delete(slices.Clone(list), i, i+1) }
