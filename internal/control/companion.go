package control

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/auth/ticket"
)

const (
	// maxOrders bounds the orders to end streams that are kept during an upgrade.
	maxOrders = 1 << 16
	// maxRecent is the least number of the newest tickets of which other nodes are told when an
	// upgrade is over: well above those that are opened while the predecessor can tell nothing.
	maxRecent = 1 << 14
)

// companion is the other process of an upgrade, from the time when it knows the kicks and the
// spent tickets on. Both processes serve clients meanwhile, so what one learns it tells the
// other: a kick counts in both from the same moment, and a ticket that was opened in one opens
// nothing in the other.
//
// The streams of a kick end where they are. Those that have moved may get nothing but messages
// until the switch, so the successor ends them then; and the predecessor repeats its orders if
// it takes its streams back.
type companion struct {
	tell    atomic.Pointer[func(data []byte)] // nil: there is none
	holding atomic.Bool                       // of a successor: until Switched

	telling sync.Mutex     // so that numbers are told in order
	told    uint64         // number of the newest message that is to be answered, guarded by telling
	heard   atomic.Uint64  // up to which they have been
	waiting chan []byte    // messages of other nodes that are to be told
	untold  sync.WaitGroup // of waiting

	mu      sync.Mutex
	orders  map[end]struct{} // of a successor: held; of a predecessor: given since Accompany
	between bool             // orders are kept
	recent  []ticket.Opened  // the newest of those that were opened, see keepOpened
}

// told is what one process of an upgrade tells the other. Numbers are theirs alone: what a
// message of a third node says is in Message, word for word.
type told struct {
	Message json.RawMessage `json:"message,omitempty"`
	Number  uint64          `json:"number,omitempty"` // of a message that is to be answered
	Heard   uint64          `json:"heard,omitempty"`  // the answer: up to which number
}

// Accompany has tell called with everything that the other process of an upgrade is to
// Hear: kicks, orders to end streams and tickets that were opened, of this process and of
// other nodes. tell is never called on an event loop and may wait, within bounds; the reply to
// a kick comes after it.
//
// With nil there is no other process any more. If a predecessor has taken its streams back, all
// of them must be served again by then: orders that were given meanwhile are given once more,
// since streams that had moved have not heard them. Safe for concurrent use.
func (c *Control) Accompany(tell func(data []byte)) {
	if tell == nil {
		c.companion.tell.Store(nil)
		c.repeat()
		return
	}
	c.companion.keep()
	c.companion.tell.Store(&tell)
	c.begin()
}

// Switched tells a successor that it may write anything: the streams end of which it has heard
// kicks. Call it once.
func (c *Control) Switched() {
	c.companion.holding.Store(false)
	c.companion.tell.Store(nil)
	c.repeat()
}

// Hear takes in what the other process has told. It does not wait for event loops or for an
// engine. Safe for concurrent use.
func (c *Control) Hear(data []byte) {
	k := &c.companion
	var t told
	if err := json.Unmarshal(data, &t); err != nil {
		c.log.Error("what the other process of the upgrade says cannot be understood", "error", err)
		return
	}
	for old := k.heard.Load(); old < t.Heard && !k.heard.CompareAndSwap(old, t.Heard); old = k.heard.Load() {
	}
	if len(t.Message) == 0 {
		return
	}
	m, ok := c.take(t.Message)
	if !ok {
		return
	}
	if t.Number > 0 && k.holding.Load() { // the predecessor does not answer, so that not both can wait
		c.pass(told{Heard: t.Number})
	}
	if !c.cfg.Broker.Linked() || k.holding.Load() && k.keepOpened(m.Opened) {
		return
	}
	for _, o := range m.Opened { // the successor does not reach other nodes yet
		c.noteOpened(o)
	}
}

// take does what a message says, unless it is one of this process or no message.
func (c *Control) take(data []byte) (m message, ok bool) {
	if err := json.Unmarshal(data, &m); err != nil {
		c.log.Error("what another process says cannot be understood", "error", err)
		return m, false
	}
	if m.From == c.node {
		return m, false
	}
	c.obey(&m, time.Now())
	return m, true
}

// Flush returns when the other process has been told everything that other nodes have said so
// far. Safe for concurrent use.
func (c *Control) Flush() { c.companion.untold.Wait() }

// passLater is pass for a caller that must not wait, for as long as there is room.
func (c *Control) passLater(data []byte) {
	k := &c.companion
	if k.tell.Load() == nil {
		return
	}
	k.untold.Add(1)
	select {
	case k.waiting <- slices.Clone(data):
	default: // a kick that the other process does not know of would let somebody in
		c.pass(told{Message: data})
		k.untold.Done()
	}
}

// passOn passes what passLater has noted.
func (c *Control) passOn() {
	for {
		select {
		case data := <-c.companion.waiting:
			c.pass(told{Message: data})
			c.companion.untold.Done()
		case <-c.done:
			return
		}
	}
}

// pass tells the other process, if there is one.
func (c *Control) pass(t told) {
	tell := c.companion.tell.Load()
	if tell == nil {
		return
	}
	if data, err := json.Marshal(t); err == nil {
		(*tell)(data)
	} else {
		c.log.Error("the other process of the upgrade cannot be told", "error", err)
	}
}

// passNumbered is pass of a message that is to be answered, and returns its number.
func (c *Control) passNumbered(message []byte) (number uint64) {
	k := &c.companion
	k.telling.Lock()
	defer k.telling.Unlock()
	k.told++
	c.pass(told{Message: message, Number: k.told})
	return k.told
}

// heardTime is how long a kick waits for the other process to know of it.
const heardTime = time.Second

// awaitHeard returns when the other process has heard a message of that number: from then on
// it lets nobody in against it.
func (c *Control) awaitHeard(number uint64) {
	k := &c.companion
	for end := time.Now().Add(heardTime); k.tell.Load() != nil && k.heard.Load() < number; time.Sleep(100 * time.Microsecond) {
		if k.holding.Load() {
			return
		}
		if time.Now().After(end) {
			c.log.Warn("the other process of the upgrade does not answer: it may not know of a kick yet")
			return
		}
	}
}

// repeat gives the orders that were kept, and tells other nodes of the tickets.
func (c *Control) repeat() {
	k := &c.companion
	k.mu.Lock()
	orders, recent := k.orders, k.recent
	k.orders, k.recent, k.between = nil, nil, false
	k.mu.Unlock()
	if len(orders) > 0 {
		c.running.Go(func() {
			for e := range orders {
				if _, err := c.end(e); err != nil {
					c.log.Error("a kick during an upgrade", "error", err)
				}
			}
		})
	}
	if len(recent) > 0 {
		c.running.Go(func() {
			for part := range slices.Chunk(recent, maxOpened) {
				c.announce(part)
			}
		})
	}
}

// keepOpened has other nodes told of tickets when the upgrade is over: a successor does so with
// all, since the predecessor may no longer get to it, and a predecessor with those that it cannot
// tell of. It returns false if there is no upgrade.
func (k *companion) keepOpened(some []ticket.Opened) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.between {
		return false
	}
	k.recent = append(k.recent, some...)
	if n := len(k.recent); n >= 2*maxRecent {
		k.recent = slices.Delete(k.recent, 0, n-maxRecent)
	}
	return true
}

// keep has orders kept from now on.
func (k *companion) keep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.between = true
}

// kept is what became of an order.
type kept uint8

const (
	given  kept = iota // orders are not kept
	noted              // it will be given when the upgrade is over
	noRoom             // there are too many
)

// note keeps an order if orders are to be kept.
func (k *companion) note(e end) kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.between {
		return given
	}
	if k.orders == nil {
		k.orders = make(map[end]struct{})
	}
	if _, known := k.orders[e]; !known && len(k.orders) == maxOrders {
		return noRoom
	}
	k.orders[e] = struct{}{}
	return noted
}
