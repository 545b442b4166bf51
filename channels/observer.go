package channels

import (
	"slices"
	"sync/atomic"
)

// Observer hears the payloads of channels beside the streams, as they were published.
// It must be comparable: it is known by its value.
type Observer interface {
	// Hear is called once for every event, in the one order and by one goroutine at a
	// time, and must not keep data. Publishers wait for it, so it must neither block nor
	// call the broker. glob is the one that it observes by, "" for the channel itself.
	Hear(glob Glob, channel string, data []byte)
}

// heard is a glob with those that observe by it, one or more, each once.
type heard struct {
	glob      Glob
	number    uint64     // grows from glob to glob
	observers []Observer // never changes, another takes its place. Guarded by Broker.mu
}

// globs are those that somebody observes by, in the order of their numbers. There may
// be thousands, so events are matched with them before the broker's lock is taken: the
// list never changes, another takes its place. Storing is guarded by Broker.mu.
type globs struct {
	list  atomic.Pointer[[]*heard]
	newer uint64 // number of the newest ever
}

// all returns the present list.
func (g *globs) all() []*heard {
	if list := g.list.Load(); list != nil {
		return *list
	}
	return nil
}

// matches are the globs that a name fits, of those up to a number.
type matches struct {
	heard []*heard
	upTo  uint64
}

// match goes through all globs. Safe for concurrent use.
func (g *globs) match(name string) (m matches) {
	all := g.all()
	if len(all) == 0 {
		return matches{}
	}
	m.upTo = all[len(all)-1].number
	m.among(all, name)
	return m
}

// add goes through the globs that have come since.
func (g *globs) add(m *matches, name string) {
	all := g.all()
	first := len(all)
	for first > 0 && all[first-1].number > m.upTo {
		first--
	}
	if first < len(all) {
		m.among(all[first:], name)
	}
}

// among adds those that the name fits.
func (m *matches) among(all []*heard, name string) {
	if byNameAlone(name) {
		return
	}
	for _, h := range all {
		if h.glob.Match(name) {
			m.heard = append(m.heard, h)
		}
	}
}

// Observe has o hear channels from now on, those that it does not hear already. It
// counts as a subscriber of each. The names must pass CheckName.
func (p Ports) Observe(o Observer, names ...string) {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[name]
		if c == nil {
			c = b.openLocked(name)
		}
		if !slices.Contains(c.observers(), o) {
			c.setObservers(withOne(c.observers(), o))
			c.subscribers++
			b.joinedLocked(c, 1)
		}
	}
}

// Audience are observers of a channel.
type Audience struct {
	Channel   string
	Observers []Observer
}

// ObserveTogether is Observe of many observers, each once in an audience, which do not hear
// the channel already. Its time grows with their number, that of as many calls of Observe with
// the square of it.
func (p Ports) ObserveTogether(audiences ...Audience) {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range audiences {
		c := b.channels[h.Channel]
		if c == nil {
			c = b.openLocked(h.Channel)
		}
		c.setObservers(append(slices.Clip(c.observers()), h.Observers...))
		c.subscribers += int32(len(h.Observers))
		b.joinedLocked(c, int32(len(h.Observers)))
	}
}

// Unobserve takes back Observe. When it returns, o is not called for the channels any
// more.
func (p Ports) Unobserve(o Observer, names ...string) {
	b := p.Broker
	defer b.hear()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[name]
		if c == nil {
			continue
		}
		if i := slices.Index(c.observers(), o); i >= 0 {
			c.setObservers(withoutAt(c.observers(), i))
			c.subscribers--
			b.leftLocked(c)
		}
	}
	b.tidyLocked()
}

// ObserveGlob has o hear, from now on, every channel whose name fits g. Messages of
// other nodes come for channels to which a subscriber on this node has subscribed by
// name: a glob has no channel followed.
func (p Ports) ObserveGlob(o Observer, g Glob) {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	var h *heard
	if i := b.findGlobLocked(g); i >= 0 {
		h = b.globs.all()[i]
	} else {
		b.globs.newer++
		h = &heard{glob: g, number: b.globs.newer}
		list := withOne(b.globs.all(), h)
		b.globs.list.Store(&list)
	}
	if !slices.Contains(h.observers, o) {
		h.observers = withOne(h.observers, o)
	}
}

// UnobserveGlob takes back ObserveGlob. When it returns, o is not called for the glob
// any more.
func (p Ports) UnobserveGlob(o Observer, g Glob) {
	b := p.Broker
	defer b.hear()
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.findGlobLocked(g)
	if i < 0 {
		return
	}
	h := b.globs.all()[i]
	if j := slices.Index(h.observers, o); j >= 0 {
		h.observers = withoutAt(h.observers, j)
	}
	if len(h.observers) == 0 {
		list := withoutAt(b.globs.all(), i)
		b.globs.list.Store(&list)
	}
}

func (b *Broker) findGlobLocked(g Glob) int {
	return slices.IndexFunc(b.globs.all(), func(h *heard) bool { return h.glob == g })
}

// Globs returns how many globs somebody observes by.
func (p Ports) Globs() int {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.globs.all())
}

// withOne returns a list with one more at its end, and withoutAt one that lacks a place. The
// one before is left as it is, since somebody may be going through it.
func withOne[T any](list []T, more T) []T { return append(slices.Clip(list), more) }

func withoutAt[T any](list []T, i int) []T { return slices.Delete(slices.Clone(list), i, i+1) }
