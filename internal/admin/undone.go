package admin

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/resp"
)

// When the connection is to go on in another process, a request that waits is not waited for:
// it is put back, and done there. One that has been done in part is put back as a request for
// the rest, whose reply completes the one that has begun.

// putBack has a request come first when the connection goes on, after those that have been
// put back before. execute does no others until then.
func (c *conn) putBack(args [][]byte) {
	c.server.commands.Add(-1) // it comes again
	c.undone = resp.AppendCommand(c.undone, args...)
}

// putBackEvent puts back the request to publish an event.
func (c *conn) putBackEvent(channel string, ev channels.Event) {
	name, isShard := strings.CutPrefix(channel, channels.ShardPrefix)
	switch {
	case isShard:
		c.putBack([][]byte{[]byte("SPUBLISH"), []byte(name), ev.Data})
	case ev.Type == "" && ev.Retry == 0:
		c.putBack([][]byte{[]byte("PUBLISH"), []byte(channel), ev.Data})
	default:
		milliseconds := strconv.FormatInt(int64(ev.Retry/time.Millisecond), 10)
		c.putBack([][]byte{[]byte("SSE.PUBLISH"), []byte(channel), ev.Data,
			[]byte("EVENT"), []byte(ev.Type), []byte("RETRY"), []byte(milliseconds)})
	}
}

// publishBefore is publishBatch for a request that is being executed: it returns false if it
// has put the request back, with those before it.
func (c *conn) publishBefore() bool {
	c.publishBatch()
	if len(c.undone) > 0 {
		c.putBack(c.request)
		return false
	}
	return true
}

// takeUndone puts the requests that have been put back before the bytes that were received
// after them, and tells whether there are any.
func (c *conn) takeUndone() bool {
	if len(c.undone) == 0 {
		return false
	}
	c.received(append(c.undone, c.buf[c.from:c.to]...))
	c.undone = nil
	return true
}

// received has the buffer hold these bytes, and makes them its own. fill reads after them.
func (c *conn) received(p []byte) {
	c.buf, c.from, c.to = slices.Grow(p, bufferSize)[:max(len(p), bufferSize)], 0, len(p)
	c.parser = resp.Parser{Limits: c.parser.Limits, Verbatim: verbatim} // which has kept a place in them
}

// restOf returns the request for what is left to be done of an EVAL: to publish on these
// channels. Those that have been refused are among them, so that the reply tells it.
func restOf(script []byte, left []channels.Publication) [][]byte {
	args := [][]byte{[]byte("EVAL"), bytes.Clone(script), []byte("0"), left[0].Event.Data}
	for _, p := range left {
		args = append(args, []byte(p.Channel))
	}
	return args
}
