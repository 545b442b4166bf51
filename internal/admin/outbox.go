package admin

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"millrace/channels"
	"millrace/internal/resp"
)

// maxUnsent is how much may wait for a subscriber, in bytes: what is published
// above it ends the connection. One message more may wait, so that a subscriber
// which reads gets a message of any size.
const maxUnsent = 8 << 20

// errSlow ends a subscriber that does not read what it has subscribed to.
var errSlow = errors.New("does not read what it has subscribed to")

// outbox is what waits to be written to a subscriber: replies, and the messages
// that publishers put in, who never wait. A goroutine of its own writes it. Safe
// for concurrent use.
type outbox struct {
	nc      net.Conn
	stopped chan struct{} // closed when nothing is written any more

	mu      sync.Mutex
	changed sync.Cond    // broadcast when something below has
	version resp.Version // in which messages are written
	waiting []byte       // what has not been taken to be written
	unsent  int          // what has not been written, taken or not, in bytes
	held    bool         // nothing is taken for the time being
	ended   error        // why nothing will be written any more; nil while it is
}

// newOutbox returns an outbox whose owner has to close it.
func newOutbox(nc net.Conn, version resp.Version) *outbox {
	o := &outbox{nc: nc, version: version, stopped: make(chan struct{})}
	o.changed.L = &o.mu
	go o.write()
	return o
}

// Hear implements channels.Listener: it puts a message in, or ends the outbox if
// too much waits.
func (o *outbox) Hear(pattern channels.Pattern, channel string, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsent >= maxUnsent {
		o.end(errSlow)
	}
	if o.ended != nil {
		return
	}
	before := len(o.waiting)
	if pattern == "" {
		o.waiting = resp.AppendBulk(resp.AppendPush(o.waiting, 3, o.version), "message")
	} else {
		o.waiting = resp.AppendBulk(resp.AppendPush(o.waiting, 4, o.version), "pmessage")
		o.waiting = resp.AppendBulk(o.waiting, string(pattern))
	}
	o.waiting = resp.AppendBulk(o.waiting, channel)
	o.waiting = resp.AppendBulk(o.waiting, data)
	o.unsent += len(o.waiting) - before
	o.changed.Broadcast()
}

// put puts replies in.
func (o *outbox) put(replies []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended == nil {
		o.waiting = append(o.waiting, replies...)
		o.unsent += len(replies)
		o.changed.Broadcast()
	}
}

// awaitUnsent waits until less than so many bytes are unsent, and returns why they
// never will be if that is so. A client that reads nothing ends the wait after
// writeTimeout.
func (o *outbox) awaitUnsent(bytes int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.unsent >= bytes && o.ended == nil {
		o.changed.Wait()
	}
	return o.ended
}

// hold keeps what is put in from being written, until it is called with false.
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
	o.mu.Unlock()
	<-o.stopped
	return why
}

// end has nothing written any more; a write under way returns. Called with mu held.
func (o *outbox) end(why error) {
	if o.ended == nil {
		o.ended, o.waiting = why, nil
		o.nc.SetWriteDeadline(time.Unix(1, 0))
		o.changed.Broadcast()
	}
}

// write writes what is put in until the outbox ends. If that is not the owner's
// doing, it closes the connection, so that the owner does not go on reading.
func (o *outbox) write() {
	defer close(o.stopped)
	var taken []byte
	for o.take(&taken) {
		for rest := taken; len(rest) > 0; {
			n, err := o.nc.Write(rest[:min(len(rest), bufferSize)])
			rest = rest[n:]
			if !o.wrote(n, err) {
				break
			}
		}
	}
	o.mu.Lock()
	why := o.ended
	o.mu.Unlock()
	if why != net.ErrClosed {
		o.nc.Close()
	}
}

// take swaps what waits for taken, which has been written. It waits until there is
// something, and returns false when the outbox has ended.
func (o *outbox) take(taken *[]byte) bool {
	if cap(*taken) > 2*bufferSize {
		*taken = nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for (o.held || len(o.waiting) == 0) && o.ended == nil {
		o.changed.Wait()
	}
	*taken, o.waiting = o.waiting, (*taken)[:0]
	return o.goOn()
}

// wrote notes that n bytes have been written, and tells whether to write more.
func (o *outbox) wrote(n int, err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsent -= n
	o.changed.Broadcast()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.end(errSlow)
	case err != nil:
		o.end(err)
	}
	return o.goOn()
}

// goOn gives the next write its time, unless the outbox has ended. Called with mu
// held, because end must have the last word on the deadline.
func (o *outbox) goOn() bool {
	if o.ended == nil {
		o.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	return o.ended == nil
}
