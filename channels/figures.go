package channels

import "strings"

// Info has the figures of one channel.
type Info struct {
	Name        string
	Subscribers int
	Published   uint64 // messages since the channel was opened
	Head        uint64 // as Receipt.Seq, of the newest message that is kept; 0 if none is
	Epoch       string // of Head
	History     int    // messages kept
	Bytes       int    // that these take
}

// Lookup returns the figures of a channel, false if there is none of that name.
func (p Ports) Lookup(name string) (Info, bool) {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.channels[name]
	if c == nil {
		return Info{}, false
	}
	return b.infoLocked(c), true
}

// Page appends to dst at most limit channels whose names begin with prefix, in
// the order of their names and from the first that is above after on; "" is
// below all. The names are bytes, compared as such. It takes a time of the
// number that it appends, and not of the number of channels.
func (p Ports) Page(dst []Info, prefix, after string, limit int) []Info {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ordered.from(max(prefix, after), func(c *Channel) bool {
		if limit == 0 || !strings.HasPrefix(c.name, prefix) {
			return false
		}
		if c.name != after {
			dst = append(dst, b.infoLocked(c))
			limit--
		}
		return true
	})
	return dst
}

// pageSize is how many channels a listing looks at while it holds up the broker.
const pageSize = 512

// Channels returns the names of the channels with at least one subscriber, sorted. It
// goes from page to page, so the listing is no snapshot: it has every channel that had
// subscribers all the time, and may have those that came or left meanwhile.
func (p Ports) Channels() []string {
	b := p.Broker
	names := []string{}
	var page []string // by itself: a long list that grows is copied, and not under the lock
	for after, more := "", true; more; {
		page, after, more = b.names(page[:0], after)
		names = append(names, page...)
	}
	return names
}

// names appends to dst the names with a subscriber among the next channels above
// after, and returns the last that it has looked at, and whether there may be more.
func (b *Broker) names(dst []string, after string) (names []string, last string, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, left := after, pageSize
	b.ordered.from(after, func(c *Channel) bool {
		if left == 0 {
			return false
		}
		if c.subscribers > 0 && c.name != after {
			dst = append(dst, c.name)
		}
		last = c.name
		left--
		return true
	})
	return dst, last, left == 0
}

// infoLocked describes c.
func (b *Broker) infoLocked(c *Channel) Info {
	i := Info{Name: c.name, Subscribers: int(c.subscribers), Published: c.published, History: c.log.count(), Bytes: c.log.bytes()}
	if c.log.count() > 0 {
		i.Head, i.Epoch = b.number(c.log.at(c.log.count()-1).Seq), b.epoch
	}
	return i
}

// Figures are those of a broker.
type Figures struct {
	Channels  int
	Messages  uint64       // published here or on another node, those without subscribers included
	Gaps      [Gaps]uint64 // by reason: one for a stream that came back, and one for a channel with streams
	Undecoded uint64       // events of other nodes that streams got as they were
	Refused   int          // channels with subscribers that the backplane's engine refuses
	Kept      int          // bytes of the messages that are kept
	MaxKept   int          // the most that may be kept
	Texts     int          // channels with gzip streams
	Fresh     uint64       // dictionaries that were begun before the text of one was full
}

// Figures returns the present figures.
func (p Ports) Figures() Figures {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	return Figures{Channels: len(b.channels), Messages: b.placed, Gaps: b.gaps, Undecoded: b.undecoded.Load(), Refused: b.refused,
		Kept: b.kept.size, MaxKept: b.opts.MaxKept, Texts: len(b.texts), Fresh: b.fresh}
}

// Subscribers returns how many subscribers the channel has on this node,
// observers included.
func (p Ports) Subscribers(channel string) int {
	b := p.Broker
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.channels[channel]; c != nil {
		return int(c.subscribers)
	}
	return 0
}
