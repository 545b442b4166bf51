package node

import (
	"fmt"
	"slices"
	"time"

	"millrace/internal/handover"
)

// pageOf is how many addresses or kicks travel in one frame: well below handover.MaxPayload,
// so that relays need not wait for long.
const pageOf = 2048

// beside is what a successor keeps of KindBeside until it has all ports.
type beside struct {
	counters []handover.Counter
	times    []handover.Times
}

// sendBeside hands send, as payloads of KindBeside, what belongs to no loop and no channel:
// how fast clients may come, kicks, tickets that were opened, keys that were drawn, and what
// the metrics have counted. It may be called again: what has changed meanwhile adds up, or was
// told by control.
//
// Not among it are verdicts and keys of tokens, which are asked for anew, and users, whose
// streams bring their names.
func (n *Node) sendBeside(version int, send func(payload []byte) error) error {
	page := func(b handover.Beside) error { return send(handover.Encode(version, &b)) }
	b := n.public.Beside()
	addresses := b.Addresses
	b.Addresses = nil
	if n.tls.drawn != nil {
		b.SessionKeys = n.tls.drawn.Keys()
	}
	if n.ops != nil {
		b.Counters, b.Times = n.ops.Counters()
	}
	if err := page(b); err != nil {
		return err
	}
	for part := range slices.Chunk(addresses, pageOf) {
		if err := page(handover.Beside{Addresses: part}); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(n.access.kicks.Holding(), pageOf) {
		if err := page(handover.Beside{Kicks: part}); err != nil {
			return err
		}
	}
	if n.access.tickets != nil {
		return n.access.tickets.Travel(page)
	}
	return nil
}

// takeBeside takes in a payload of KindBeside.
func (n *Node) takeBeside(version int, payload []byte) error {
	var b handover.Beside
	if err := handover.Decode(version, payload, &b); err != nil {
		return fmt.Errorf("what stands beside loops and channels: %w", err)
	}
	now := time.Now()
	n.public.TakeBeside(&b)
	n.access.kicks.Follow(b.Kicks)
	if n.access.tickets != nil {
		if err := n.access.tickets.Follow(&b, now.Unix()); err != nil {
			return err
		}
	}
	if n.tls.drawn != nil {
		n.tls.drawn.Follow(b.SessionKeys, now)
	}
	if len(b.Counters) > 0 {
		n.beside = beside{b.Counters, b.Times}
	}
	return nil
}

// goOnCounting has metrics go on from those that have come, before anybody can ask for them.
func (n *Node) goOnCounting() {
	if n.ops != nil {
		n.ops.GoOnFrom(n.beside.counters, n.beside.times)
	}
}
