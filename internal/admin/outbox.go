package admin

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"millrace/channels"
	"millrace/internal/resp"
)

// Bounds of the bytes that wait to be written.
const (
	// maxUnsent is how much may wait for a subscriber: a message above it ends the
	// connection. One message more may wait, so that a subscriber which reads gets a
	// message of any size.
	maxUnsent = 8 << 20

	// maxUnread is how much may wait for a client that has not subscribed: above
	// it nothing more is read from the client. One reply more may wait.
	maxUnread = 32 << 20

	// maxUnreadAll is how much may wait for all clients. Above it, each is read
	// from only after its waiting bytes have been sent.
	maxUnreadAll = 256 << 20
)

// errSlow ends a client that does not read.
var errSlow = errors.New("does not read")

// outbox has the bytes that wait for a client which does not take them at once: replies,
// and messages, which publishers put in without waiting. A goroutine of its own writes
// them, which is not there while writes to the connection are interrupted. Safe for
// concurrent use.
type outbox struct {
	nc   net.Conn      // what is written to
	wire *patient      // the connection within, or the same
	all  *atomic.Int64 // the sum of unsent over all outboxes of the server

	mu      sync.Mutex
	changed sync.Cond    // broadcast when something below has
	version resp.Version // in which messages are written
	waiting [][]byte     // bytes that have not been taken to be written, in blocks of some bufferSize
	spare   []byte       // a block that has been written
	unsent  int          // bytes that have not been written, taken or not; changed by count
	held    bool         // nothing is taken for the time being
	writing bool         // the goroutine is there
	ended   error        // why nothing will be written any more; nil while it is
}

// newOutbox returns an outbox whose owner has to close it.
func newOutbox(nc net.Conn, wire *patient, version resp.Version, all *atomic.Int64) *outbox {
	o := &outbox{nc: nc, wire: wire, version: version, all: all}
	o.changed.L = &o.mu
	wire.onInterrupt(o.goOn)
	o.goOn()
	return o
}

// goOn has the bytes written unless writes are interrupted, and wakes those that wait for
// something to change.
func (o *outbox) goOn() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing && o.mayWrite() {
		o.writing = true
		go o.write()
	}
	o.changed.Broadcast()
}

// Hear implements channels.Observer: it puts a message in, or ends the outbox if
// too much waits.
func (o *outbox) Hear(pattern channels.Glob, channel string, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsent >= maxUnsent {
		o.end(errSlow)
	}
	if o.ended != nil {
		return
	}
	size := len(pattern) + len(channel) + len(data)
	o.append(size, func(block []byte) []byte {
		if name, ok := strings.CutPrefix(channel, channels.ShardPrefix); ok {
			block = resp.AppendBulk(resp.AppendPush(block, 3, o.version), "smessage")
			channel = name
		} else if pattern == "" {
			block = resp.AppendBulk(resp.AppendPush(block, 3, o.version), "message")
		} else {
			block = resp.AppendBulk(resp.AppendPush(block, 4, o.version), "pmessage")
			block = resp.AppendBulk(block, string(pattern))
		}
		return resp.AppendBulk(resp.AppendBulk(block, channel), data)
	})
}

// put puts replies in.
func (o *outbox) put(replies []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended == nil {
		o.append(len(replies), func(block []byte) []byte { return append(block, replies...) })
	}
}

// append has f append about size bytes to those that wait. A large slice would hold its
// written part, and be copied as it grows; blocks do neither. Called with mu held.
func (o *outbox) append(size int, f func(block []byte) []byte) {
	last := len(o.waiting) - 1
	if last < 0 || len(o.waiting[last])+size > bufferSize {
		block := o.spare
		if o.spare = nil; block == nil && last >= 0 { // the client is behind, and the block will be full
			block = make([]byte, 0, bufferSize)
		}
		o.waiting = append(o.waiting, block[:0])
		last++
	}
	before := len(o.waiting[last])
	o.waiting[last] = f(o.waiting[last])
	o.count(len(o.waiting[last]) - before)
	o.changed.Broadcast()
}

// count changes unsent by n bytes. Called with mu held.
func (o *outbox) count(n int) {
	o.unsent += n
	o.all.Add(int64(n))
}

// awaitUnsent waits until less than so many bytes are unsent, or nothing is if too
// much waits for all clients, and returns why they never will be if that is so. A
// client that takes nothing ends the wait after writeTimeout. It returns errInterrupted when
// reads from the connection are interrupted.
func (o *outbox) awaitUnsent(bytes int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.ended == nil && (o.unsent >= bytes || o.unsent > 0 && o.all.Load() > maxUnreadAll) {
		if interrupted, _ := o.wire.interrupted(); interrupted {
			return errInterrupted
		}
		o.changed.Wait()
	}
	return o.ended
}

// hold keeps new bytes from being written, until it is called with false.
func (o *outbox) hold(held bool) {
	o.mu.Lock()
	o.held = held
	o.changed.Broadcast()
	o.mu.Unlock()
}

// speak changes the version in which messages are written.
func (o *outbox) speak(version resp.Version) {
	o.mu.Lock()
	o.version = version
	o.mu.Unlock()
}

// close stops the goroutine and returns why it had stopped before, nil if it had
// not. nc is open unless there was a reason.
func (o *outbox) close() error {
	o.mu.Lock()
	why := o.ended
	o.end(net.ErrClosed)
	o.awaitStopLocked()
	o.mu.Unlock()
	return why
}

// before puts bytes before all that wait.
func (o *outbox) before(unsent []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended == nil && len(unsent) > 0 {
		o.waiting = slices.Insert(o.waiting, 0, unsent)
		o.count(len(unsent))
	}
}

// stop returns once the goroutine has ended, which writes have to have been interrupted for,
// with the number of bytes that wait.
func (o *outbox) stop() (unsent int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.awaitStopLocked()
	return o.unsent
}

// bytes returns those that wait after stop. They stay.
func (o *outbox) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Join(o.waiting, nil)
}

func (o *outbox) awaitStopLocked() {
	for o.writing {
		o.changed.Wait()
	}
}

// end has nothing written any more; a write under way returns. Called with mu held.
func (o *outbox) end(why error) {
	if o.ended == nil {
		o.ended, o.waiting = why, nil
		o.count(-o.unsent)
		o.wire.SetWriteDeadline(past)
		o.changed.Broadcast()
		if !o.writing {
			o.hangUp()
		}
	}
}

// hangUp closes the connection if the outbox has ended and its owner has not ended it, so
// that the owner does not go on reading. Called with mu held.
func (o *outbox) hangUp() {
	if o.ended != nil && o.ended != net.ErrClosed {
		o.wire.Close()
	}
}

// write writes the waiting bytes until the outbox ends, or writes are interrupted.
func (o *outbox) write() {
	for block := o.take(nil); block != nil; block = o.take(block) {
		rest, more := block, true
		for more && len(rest) > 0 {
			n, err := o.nc.Write(rest[:min(len(rest), bufferSize)])
			rest = rest[n:]
			more = o.wrote(rest, n, err)
		}
		if !more {
			block = nil // the rest of it may wait
		}
	}
}

// take returns the first block that waits, for one that has been written. It waits until
// there is one, and returns nil when the goroutine has to end.
func (o *outbox) take(written []byte) (block []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cap(written) <= 2*bufferSize {
		o.spare = written
	}
	for o.mayWrite() && (o.held || len(o.waiting) == 0) {
		o.changed.Wait()
	}
	if !o.mayWrite() {
		o.writing, o.spare = false, nil
		o.changed.Broadcast()
		o.hangUp()
		return nil
	}
	block = o.waiting[0]
	o.waiting[0] = nil
	if o.waiting = o.waiting[1:]; len(o.waiting) == 0 {
		o.waiting = nil
	}
	return block
}

// mayWrite tells whether the goroutine has something to do. Called with mu held.
func (o *outbox) mayWrite() bool {
	_, interrupted := o.wire.interrupted()
	return o.ended == nil && !interrupted
}

// wrote notes that n bytes have been written of a block, and tells whether to write the rest
// of it.
func (o *outbox) wrote(rest []byte, n int, err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended != nil {
		return false
	}
	o.count(-n)
	o.changed.Broadcast()
	switch {
	case err == errInterrupted:
		o.waiting = slices.Insert(o.waiting, 0, rest)
		return false
	case errors.Is(err, os.ErrDeadlineExceeded): // see patient
		o.end(errSlow)
	case err != nil:
		o.end(err)
	}
	return o.ended == nil
}
