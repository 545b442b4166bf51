package server

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
)

// handed is a loop that has been handed over, or is being: it serves nobody and reads mail
// only. Its slots and descriptors stay until the successor is known to live or to be dead.
type handed struct {
	conn      *handover.Conn // nil once the loop has let go
	ids       []streamID     // of the connections, in the order of their records
	progress  []uint64       // of each, see noteProgress
	k, head   uint64         // see LoopHead
	stopped   time.Duration
	sent      handover.LoopEnd
	prepared  bool // the successor has said so
	committed bool
	unwatched bool // see unwatchCommitted
}

// restListeners has the loop accept nothing until it is handed over, and returns since when it
// does not.
func (l *loop) restListeners() (since time.Duration, err error) {
	if l.resting > 0 {
		return l.resting, nil
	}
	l.resting = max(l.server.clock(), 1)
	for _, ln := range l.listeners {
		l.wheel.Cancel(ln.descriptor)
		ln.paused, ln.crowded = true, false
	}
	return l.resting, nil
}

// resumeListeners takes restListeners back.
func (l *loop) resumeListeners() {
	l.resting = 0
	for _, ln := range l.listeners {
		l.wheel.Cancel(ln.descriptor)
		ln.resume()
	}
	l.wakeAgain()
}

// handOver stops the loop and sends all that is its own to the successor.
func (l *loop) handOver(conn *handover.Conn) (Moved, error) {
	conn.SetTimeout(handTimeout)
	for l.endOn(endSlice) { // or those streams would live on
	}
	l.settle()
	ended := l.endUnmovable()
	l.handed = &handed{conn: conn, stopped: l.server.clock()}
	l.away.Store(true)
	l.handed.k, l.handed.head = l.stop()
	moved := Moved{Loop: int(l.number), Closed: ended, K: l.handed.k}
	err := l.sendLoop(&moved)
	if err != nil {
		err = fmt.Errorf("hand event loop %d over: %w", l.number, err)
	}
	return moved, err
}

// stop ends the turn that is under way, wherever it is, and has no more messages come. It
// returns the sequence before the first message or gap that the loop has not served all
// subscribers with, and that of the newest: cursors tell of the others who has had what.
func (l *loop) stop() (k, head uint64) {
	t := &l.turn
	first := uint64(math.MaxUint64)
	if len(t.messages) > 0 {
		first = t.messages[0].Seq - 1
	}
	k, head = l.inbox.HandOver(t.taken[t.next-len(t.served):])
	t.release()
	clear(t.taken)
	clear(t.gaps)
	clear(t.merged)
	*t = turn{taken: t.taken[:0], gaps: t.gaps[:0], merged: t.merged[:0], groups: t.groups}
	return min(first, k), head
}

// endUnmovable ends connections that cannot be handed over, and returns how many.
func (l *loop) endUnmovable() (n int) {
	l.table.each(l.number, func(c *conn) {
		if c.state > stateListener && !l.isMovable(c) {
			l.end(c, reasonUpgrade)
			n++
		}
	})
	return n
}

// isMovable tells whether a connection can be handed over.
func (l *loop) isMovable(c *conn) bool {
	switch c.state {
	case stateHandshake: // crypto/tls has it
		return false
	case stateHTTP2: // else there is a decoder with a table
		return l.h2Of(c).Acknowledged()
	}
	return true
}

// sendLoop sends the loop's head, its channels and its connections.
func (l *loop) sendLoop(moved *Moved) error {
	h := l.handed
	l.table.each(l.number, func(c *conn) {
		if c.state > stateListener {
			h.ids = append(h.ids, c.id())
		}
	})
	moved.Connections, moved.Streams = len(h.ids), int(l.counters.streams.Load())
	if err := l.sendHead(moved); err != nil {
		return err
	}
	indexes, err := l.sendChannels()
	if err != nil {
		return err
	}
	sum, err := l.sendConnections(indexes)
	if err != nil {
		return err
	}
	if err := l.sendKeys(); err != nil {
		return err
	}
	if err := l.sendShared(indexes); err != nil {
		return err
	}
	end := handover.LoopEnd{Connections: uint32(len(h.ids)), Sum: sum}
	h.sent = end
	return h.conn.Send(handover.KindLoopEnd, handover.Encode(l.server.handing.version, &end))
}

// awaitPrepared waits until the successor has what sendLoop has sent.
func (l *loop) awaitPrepared() error {
	h := l.handed
	if h == nil || h.prepared || h.conn == nil {
		return errNotHanded
	}
	l.noteProgress() // while the successor prepares: nobody writes
	frame, err := h.conn.Expect(handover.KindPrepared)
	if err != nil {
		return fmt.Errorf("hand event loop %d over: %w", l.number, err)
	}
	var arrived handover.LoopEnd
	if err := handover.Decode(l.server.handing.version, frame.Payload, &arrived); err != nil {
		return err
	}
	if arrived != h.sent {
		return fmt.Errorf("hand event loop %d over: %d connections with the sum %08x have arrived, want %d with %08x", l.number, arrived.Connections, arrived.Sum, h.sent.Connections, h.sent.Sum)
	}
	h.prepared = true
	return nil
}

// sendHead sends what stands before all else, and the listeners.
func (l *loop) sendHead(moved *Moved) error {
	head := handover.LoopHead{
		Loop: uint32(l.number), K: moved.K, Head: l.handed.head, Keepalive: int64(l.cfg.Keepalive),
		Channels: uint32(len(l.byChannel.m)), Connections: uint32(moved.Connections),
		Reasons: reasonNames[:],
	}
	var fds []int
	for _, isSecure := range []bool{false, true} {
		for _, ln := range l.listeners {
			if ln.secure == isSecure {
				fds = append(fds, int(ln.descriptor))
			}
		}
		if !isSecure {
			head.Plain = uint8(len(fds))
		}
	}
	return l.handed.conn.Send(handover.KindLoop, handover.Encode(l.server.handing.version, &head), fds...)
}

// sendChannels sends the names of the loop's channels, and returns by their index in
// l.channels where they stand in the list.
func (l *loop) sendChannels() (indexes []int32, err error) {
	indexes = make([]int32, len(l.channels))
	p := handover.NewPacker(l.handed.conn, l.server.handing.version, handover.KindLoopChannels)
	n := int32(0)
	for i, ch := range l.channels {
		if ch == nil {
			continue
		}
		indexes[i] = n
		n++
		c := handover.LoopChannel{Name: []byte(ch.shared.Name()), Subscribers: int32(len(ch.subscribers))}
		if err := p.Add(&c); err != nil {
			return nil, err
		}
	}
	return indexes, p.Flush()
}

// sendConnections sends the connections with their records, and returns the sum of these.
func (l *loop) sendConnections(indexes []int32) (sum uint32, err error) {
	h := l.handed
	p := handover.NewPacker(h.conn, l.server.handing.version, handover.KindConnections)
	var r handover.Connection
	for _, id := range h.ids {
		c := l.table.at(id)
		if r, err = l.record(c, indexes); err != nil {
			return 0, err
		}
		if err := p.Add(&r, c.passenger()); err != nil {
			return 0, err
		}
	}
	return p.Sum(), p.Flush()
}

// commit makes the connections the successor's.
func (l *loop) commit() error {
	h := l.handed
	if h == nil || !h.prepared || h.committed || h.conn == nil {
		return errNotHanded
	}
	h.committed = true // from the first byte on
	if h.conn.HasEnded() {
		return fmt.Errorf("commit event loop %d: %w", l.number, errGone) // and the keys are still here
	}
	l.wipeKeys()
	return h.conn.Send(handover.KindCommit, nil)
}

// unwatchCommitted has the poller tell no more of what is the successor's: a registration lasts as
// long as the socket, in whatever process that is. It may come late, when the successor serves:
// what the poller tells of a loop that is handed over is passed over.
func (l *loop) unwatchCommitted() {
	if l.handed.unwatched {
		return
	}
	l.handed.unwatched = true
	for _, id := range l.handed.ids {
		if err := l.unwatch(l.table.at(id)); err != nil {
			l.server.log(slog.LevelError, "cannot stop watching a connection that is handed over", "error", err)
		}
	}
	for _, ln := range l.listeners {
		if err := l.poller.Unwatch(ln.descriptor); err != nil {
			l.server.log(slog.LevelError, "cannot stop watching a listener that is handed over", "error", err)
		}
	}
}

// awaitServing waits until the successor serves the connections, and returns for how long
// nobody did.
func (l *loop) awaitServing() (pause time.Duration, err error) {
	h := l.handed
	if h == nil || !h.committed || h.conn == nil {
		return 0, errNotHanded
	}
	_, err = h.conn.Expect(handover.KindServing)
	pause = l.server.clock() - h.stopped
	l.unwatchCommitted()
	return pause, err
}

// resume has the loop serve its connections again, which are where the successor, which is
// dead, has left them.
func (l *loop) resume() {
	h := l.handed
	l.handed = nil
	h.conn.Close()
	var all []*channels.Channel
	for channel := range l.byChannel.m {
		all = append(all, channel)
	}
	l.inbox.TakeBack(h.k, all...)
	l.startWaiting()
	l.resumeListeners()
	l.armed = math.MaxInt64
	l.away.Store(false)
	l.wakeAgain()
}

// letGo closes the descriptors that are another process's now.
func (l *loop) letGo() {
	if h := l.handed; h != nil && h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
	l.table.each(l.number, func(c *conn) {
		if c.state > stateListener {
			l.cancel(c)
			c.letGo()
		}
	})
	l.closeListeners()
}
