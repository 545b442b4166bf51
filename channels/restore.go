package channels

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"millrace/internal/handover"
)

// restoreHead sets what the broker has beside its channels.
func (b *Broker) restoreHead(r *handover.Reader) error {
	var h handover.BrokerHead
	h.Parse(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Err() != nil {
		return nil
	}
	if b.successor.headed || h.Numbered != b.opts.Numbered || h.IDs != b.hasIDs() {
		return fmt.Errorf("%w: a head for a broker that numbers: %v, has ids: %v; want %v, %v",
			ErrRelay, h.Numbered, h.IDs, b.opts.Numbered, b.hasIDs())
	}
	b.successor.headed, b.successor.version = true, int(h.Version)
	b.epoch, b.seq, b.newest, b.ahead = h.Epoch, h.Seq, h.Newest, h.Ahead
	b.forgotten = forgotten{key: h.Key}
	if !b.opts.Numbered {
		if b.opts.Epoch = h.Epoch; len(h.Epoch) > epochSize { // it was not drawn
			b.measureIDs()
		}
	}
	return nil
}

// restorePage sets a page of the forgotten.
func (b *Broker) restorePage(r *handover.Reader) error {
	var p handover.ForgottenPage
	p.Parse(r)
	page, ok := parsePage(p.Buckets)
	if !ok || int(p.Index) >= len(b.forgotten.pages) {
		return fmt.Errorf("%w: page %d of %d bytes", ErrRelay, p.Index, len(p.Buckets))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgotten.pages[p.Index] = page
	return nil
}

// restoreChannel opens a channel, or sets the state of one. What is kept of it stays if it
// goes on after that.
func (b *Broker) restoreChannel(r *handover.Reader) error {
	var s handover.ChannelState
	s.Parse(r)
	if err := CheckName(s.Name); r.Err() != nil || err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.channels[string(s.Name)]
	if c == nil {
		c = b.openLocked(string(s.Name))
	}
	b.successor.channel = c
	if s.Flags&handover.ChannelCleared != 0 || s.Evicted > c.newest() {
		b.loseAllLocked(c, s.Evicted)
	}
	c.published = s.Published
	if refused := s.Flags&handover.ChannelRefused != 0; !refused {
		b.permitLocked(c)
	} else if !c.refused {
		c.refused = true
		b.refused++
	}
	if !c.followed || !b.successor.isRestored() { // no stream has begun
		c.gap, c.why, c.unfollowed = s.Gap, Gap(s.Why), s.Flags&handover.ChannelUnfollowed != 0
	}
	if !c.followed && s.Flags&handover.ChannelFollowed != 0 {
		c.setFollowed(&b.mu)
	}
	return nil
}

// newest returns the place of the newest message that c has had.
func (c *Channel) newest() uint64 {
	if n := c.log.count(); n > 0 {
		return max(c.evicted, c.log.at(n-1).Seq)
	}
	return c.evicted
}

// loseAllLocked drops what is kept of c: messages up to evicted may be missing.
func (b *Broker) loseAllLocked(c *Channel, evicted uint64) {
	if b.successor.isRestored() {
		b.clearLocked(c, c.log.count())
	} else {
		c.log = nil // nothing of it is in the list of all
	}
	c.evicted = evicted
	b.settleLocked(c)
}

// restoreMessage keeps a message of the history.
func (b *Broker) restoreMessage(r *handover.Reader) error {
	var k handover.KeptMessage
	k.Parse(r)
	c := b.successor.channel
	if r.Err() != nil {
		return nil
	}
	if c == nil {
		return fmt.Errorf("%w: message %d without a channel", ErrRelay, k.Seq)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if k.Seq <= c.newest() {
		return fmt.Errorf("%w: message %d of %q after %d", ErrRelay, k.Seq, c.name, c.newest())
	}
	m := &Message{Seq: k.Seq, Channel: c, Wire: bytes.Clone(k.Wire), Evicted: c.evicted}
	if b.opts.HistoryTTL > 0 {
		m.born = b.clock() - time.Duration(k.Age)
	}
	b.holdLocked(m)
	return nil
}

// holdLocked keeps a message: in the channel's log alone until all of the history has come.
func (b *Broker) holdLocked(m *Message) {
	if b.successor.isRestored() {
		b.retainLocked(m)
		return
	}
	if m.Channel.log == nil {
		m.Channel.log = new(log)
	}
	m.Channel.log.push(m)
}

// endRestore puts all messages into the list by age, which is the order of their places.
func (b *Broker) endRestore() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []*Message
	for _, c := range b.channels {
		for i := range c.log.count() {
			all = append(all, c.log.at(i))
		}
	}
	slices.SortFunc(all, func(x, y *Message) int { return cmp.Compare(x.Seq, y.Seq) })
	for _, m := range all {
		b.kept.push(m)
		if m.Seq == m.Channel.newest() {
			b.settleLocked(m.Channel)
		}
	}
	close(b.successor.restored)
}
