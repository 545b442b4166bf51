package link

import (
	"errors"
	"sync"
	"time"

	"millrace/channels"
)

const (
	// maxCrowd bounds the messages that wait in a crowd, in bytes, and maxCrowded the
	// channels.
	maxCrowd, maxCrowded = 16 << 20, 1024
	// itemOverhead is the memory of an item beside its data, in bytes.
	itemOverhead = 128
)

// crowd holds an engine's messages for channels that a loop has no room for. They
// wait here, in order, so that the session goes on with the other channels. Each
// channel has a goroutine, in the broker's line of publishers.
type crowd struct {
	mu       sync.Mutex
	channels map[string]*queue
	size     int // of all items, in bytes
}

// queue has the waiting messages of one channel, oldest first.
type queue struct{ items []item }

// item is an event, or the reason that one is missing at its place.
type item struct {
	arrival *channels.Arrival
	lost    error
}

func (i item) size() int {
	if i.arrival == nil {
		return itemOverhead
	}
	return i.arrival.Size() + itemOverhead
}

// hand delivers an item, at once or by the crowd. For the session's goroutine, which it
// does not make wait.
func (l *Link) hand(channel string, it item) {
	c := &l.crowd
	c.mu.Lock()
	if q := c.channels[channel]; q != nil {
		c.add(q, it)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock() // nobody else puts one in
	if it.lost != nil {
		l.interrupt(channel, it.lost)
		return
	}
	_, err := l.Feed.Offer(it.arrival)
	if err == nil {
		return
	}
	if errors.Is(err, channels.ErrBusy) {
		if q := c.open(channel, it); q != nil {
			go l.drain(channel, q)
			return
		}
	}
	l.interrupt(channel, err)
}

// open returns a new queue with its first item, nil if there are too many.
func (c *crowd) open(channel string, first item) *queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.channels) == maxCrowded {
		return nil
	}
	if c.channels == nil {
		c.channels = make(map[string]*queue)
	}
	q := new(queue)
	c.channels[channel] = q
	c.add(q, first)
	return q
}

// add puts an item at the end of a queue, or a loss where there is no room. Called with
// mu held.
func (c *crowd) add(q *queue, it item) {
	if c.size+it.size() > maxCrowd {
		it = item{lost: channels.ErrBusy}
	}
	if n := len(q.items); it.lost != nil && n > 0 && q.items[n-1].lost != nil {
		return // one after the other are one
	}
	q.items = append(q.items, it)
	c.size += it.size()
}

// take returns the oldest item, and ends the queue if there is none. Called by the
// queue's goroutine.
func (c *crowd) take(channel string, q *queue) (it item, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(q.items) == 0 {
		if c.channels[channel] == q {
			delete(c.channels, channel)
		}
		return it, false
	}
	it, q.items = q.items[0], q.items[1:]
	c.size -= it.size()
	return it, true
}

// forget drops the waiting messages of a channel.
func (c *crowd) forget(channel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.channels[channel]; q != nil {
		c.clear(q)
	}
}

// clear drops a queue's items. Called with mu held.
func (c *crowd) clear(q *queue) {
	for _, it := range q.items {
		c.size -= it.size()
	}
	q.items = nil
}

// drain delivers a queue's items, each when there is room. If there is none for as long
// as publishers wait, the rest of the queue is given up.
func (l *Link) drain(channel string, q *queue) {
	for {
		it, ok := l.crowd.take(channel, q)
		if !ok {
			return
		}
		if it.lost == nil {
			_, it.lost = l.Feed.Admit(it.arrival)
			if it.lost != nil {
				l.crowd.mu.Lock()
				l.crowd.clear(q)
				l.crowd.mu.Unlock()
			}
		}
		if it.lost != nil {
			l.interrupt(channel, it.lost)
		}
	}
}

// patience is how long a session may stand still for loops that have no room, which it
// has to where nothing may overtake: a moment each time, and a part of all time.
type patience struct {
	left time.Duration
	last time.Time
}

const (
	// maxPatience is the most at once, and patiencePart how much of all time, a tenth.
	maxPatience, patiencePart = 20 * time.Millisecond, 10
	// recovery is how long it may in all while it makes up for missed messages.
	recovery = 2 * channels.DefaultPublishTimeout
	// recheck is the time between two looks.
	recheck = 500 * time.Microsecond
)

// wait has is called until it returns true, and returns false when patience has ended.
func (p *patience) wait(is func() bool) bool {
	begun := time.Now()
	p.left = max(p.left, min(maxPatience, p.left+begun.Sub(p.last)/patiencePart))
	if p.last = begun; p.left < recheck {
		return false
	}
	for {
		time.Sleep(recheck)
		done, now := is(), time.Now()
		if done || now.Sub(begun) >= p.left {
			p.left, p.last = max(0, p.left-now.Sub(begun)), now
			return done
		}
	}
}
