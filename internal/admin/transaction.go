package admin

import (
	"bytes"

	"millrace/internal/resp"
)

// maxQueued is how many commands a transaction may have, and maxQueuedEvents its size,
// in the largest events.
const maxQueued, maxQueuedEvents = 1024, 16

// transaction has the commands between MULTI and EXEC, owned by the connection's
// goroutine. EXEC runs them in order, with a reply each. Other clients may publish
// between them: it is a queue, and no more.
type transaction struct {
	open    bool
	spoiled bool // something in it was refused, so none of it will run
	size    int  // of the arguments, in bytes
	entries []entry
}

// entry is a command that waits for EXEC, with its own copy of the arguments.
type entry struct {
	cmd  command
	args [][]byte
}

// queued returns how many commands wait, -1 outside of a transaction.
func (t *transaction) queued() int {
	if !t.open {
		return -1
	}
	return len(t.entries)
}

// spoil has EXEC run nothing, if there is a transaction.
func (t *transaction) spoil() {
	if t.open {
		*t = transaction{open: true, spoiled: true}
	}
}

// enqueue has a command wait for EXEC.
func (c *conn) enqueue(cmd command, args [][]byte) {
	t := &c.transaction
	if t.spoiled {
		c.out = resp.AppendSimple(c.out, "QUEUED")
		return
	}
	size := 0
	for _, arg := range args {
		size += len(arg)
	}
	if most := maxQueuedEvents * c.server.cfg.MaxEventBytes; len(t.entries) == maxQueued || t.size+size > most {
		c.fail("ERR the transaction is too large: want at most %d commands and %d bytes, %d times --max-event-bytes",
			maxQueued, most, maxQueuedEvents)
		t.spoil()
		return
	}
	t.add(cmd, args)
	c.out = resp.AppendSimple(c.out, "QUEUED")
}

// add has a command wait, with its own copy of the arguments.
func (t *transaction) add(cmd command, args [][]byte) {
	own := make([][]byte, len(args))
	for i, arg := range args {
		own[i] = bytes.Clone(arg)
		t.size += len(arg)
	}
	t.entries = append(t.entries, entry{cmd, own})
}

// multi answers MULTI.
func (c *conn) multi([][]byte) {
	if c.transaction.open {
		c.fail("ERR MULTI calls can not be nested")
		return
	}
	c.transaction.open = true
	c.ok()
}

// exec answers EXEC.
func (c *conn) exec([][]byte) {
	t := c.transaction
	c.transaction = transaction{}
	switch {
	case !t.open:
		c.fail("ERR EXEC without MULTI")
		return
	case t.spoiled:
		c.fail("EXECABORT Transaction discarded because of previous errors.")
		return
	}
	c.out = resp.AppendArray(c.out, len(t.entries))
	for i, e := range t.entries {
		c.perform(e.cmd, e.args)
		var err error
		if len(c.out) >= bufferSize {
			err = c.flush()
		}
		switch {
		case err == errInterrupted, len(c.undone) > 0, c.server.isReleasing():
			c.publishBatch()
			for _, e := range t.entries[i+1:] {
				c.putBack(e.args)
			}
			return
		case err != nil:
			c.hangup = true
			return
		}
	}
	c.publishBatch()
}

// discard answers DISCARD.
func (c *conn) discard([][]byte) {
	if !c.transaction.open {
		c.fail("ERR DISCARD without MULTI")
		return
	}
	c.transaction = transaction{}
	c.ok()
}

// watch answers WATCH key [key ...]. There are no keys, so none changes.
func (c *conn) watch([][]byte) {
	if c.transaction.open {
		c.fail("ERR WATCH inside MULTI is not allowed")
		return
	}
	c.ok()
}

func (c *conn) unwatch([][]byte) { c.ok() }
