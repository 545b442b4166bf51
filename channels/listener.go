package channels

import (
	"slices"
	"strings"
)

// Listener hears what is published on channels beside the streams, as it was
// published. It must be comparable: it is known by its value.
type Listener interface {
	// Hear is called once for every event, in the one order, and must not keep
	// data. It runs under the broker's lock, so it must neither block nor call the
	// broker. pattern is the one that it listens with, "" for the channel itself.
	Hear(pattern Pattern, channel string, data []byte)
}

// heard is a pattern with those who listen with it, one or more, each once.
type heard struct {
	pattern   Pattern
	listeners []Listener
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
			c.setListeners(append(c.listeners(), l))
			c.subscribers++
			b.joined(c)
		}
	}
}

// Unlisten takes back Listen. When it returns, l is not called for the channels any
// more.
func (b *Broker) Unlisten(l Listener, names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		c := b.channels[name]
		if c == nil {
			continue
		}
		if i := slices.Index(c.listeners(), l); i >= 0 {
			c.setListeners(slices.Delete(c.listeners(), i, i+1))
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
	i := b.findPattern(p)
	if i < 0 {
		i = len(b.patterns)
		b.patterns = append(b.patterns, heard{pattern: p})
	}
	if h := &b.patterns[i]; !slices.Contains(h.listeners, l) {
		h.listeners = append(h.listeners, l)
	}
}

// UnlistenPattern takes back ListenPattern.
func (b *Broker) UnlistenPattern(l Listener, p Pattern) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.findPattern(p)
	if i < 0 {
		return
	}
	h := &b.patterns[i]
	if j := slices.Index(h.listeners, l); j >= 0 {
		h.listeners = slices.Delete(h.listeners, j, j+1)
	}
	if len(h.listeners) == 0 {
		b.patterns = slices.Delete(b.patterns, i, i+1)
	}
}

func (b *Broker) findPattern(p Pattern) int {
	return slices.IndexFunc(b.patterns, func(h heard) bool { return h.pattern == p })
}

// Patterns returns how many patterns somebody listens with.
func (b *Broker) Patterns() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.patterns)
}

// tell has an event heard on c, which is nil if there is no such channel, and then
// by pattern. It returns the number of the latter, each of which received the event
// once more. Called with mu held.
func (b *Broker) tell(c *Channel, name string, data []byte) (byPattern int) {
	if c != nil {
		for _, l := range c.listeners() {
			l.Hear("", name, data)
		}
	}
	if strings.HasPrefix(name, ShardPrefix) {
		return 0
	}
	for i := range b.patterns {
		h := &b.patterns[i]
		if !h.pattern.Match(name) {
			continue
		}
		for _, l := range h.listeners {
			l.Hear(h.pattern, name, data)
		}
		byPattern += len(h.listeners)
	}
	return byPattern
}
