package server

import (
	"errors"
	"log/slog"
	"time"

	"millrace/internal/h2"
)

// DefaultMaxStreamsPerConnection is how many streams one connection of HTTP/2 may have, unless
// Config says otherwise. A browser has one connection for all of its tabs, and a stream above
// the limit waits in silence.
const DefaultMaxStreamsPerConnection = 256

// mostStreamsPerConnection is the most that Config may say: all of them are looked at together.
const mostStreamsPerConnection = 1024

// idlePatience is how long a connection of HTTP/2 may have no stream.
const idlePatience = time.Minute

// h2Conns is what a loop has of its connections of HTTP/2, beside their slots.
type h2Conns struct {
	reader  *h2.Reader // its Out has the frames that are to go to the connection that is served
	encoder *h2.Encoder
	block   []byte // a response head
	serving *conn  // the connection that is served, nil for none: see gather
	carries bool   // messages are among its frames
	// gathered is how many messages have their last byte there.
	gathered int
	failed   reason // for which settle is to end it, admitted for none
	conns    slab[h2Conn]
	shared   slab[sharedStream]
	grants   []*[chunkSize]grant         // of shared, by index
	tables   peaked[streamID, *h2.Table] // of connections that have not acknowledged our settings
	begun    peaked[streamID, []byte]    // the beginnings of frames whose rest is to come
	present  openStreams                 // those of serving
}

// h2Conn is what a connection of HTTP/2 has beside its slot, where slot.channel is its index:
// 48 bytes without a pointer.
type h2Conn struct {
	h2.Conn
	first    link   // of its streams
	turn     link   // the stream that catches up next, 0 for the first
	awaits   moment // since when something is awaited of the client, 0 for nothing: its settings, or the rest of a frame
	attached uint16 // streams that are on channels, and so take places
	leaving  reason // why it ends with its last stream, admitted for not at all
	broken   bool   // it does not wait for its streams
}

func newH2Conns(cfg *Config) h2Conns {
	return h2Conns{
		reader:  h2.NewReader(h2.Limits{Head: cfg.Head, Streams: cfg.MaxStreamsPerConnection}),
		encoder: h2.NewEncoder(),
		tables:  newPeaked[streamID, *h2.Table](),
		begun:   newPeaked[streamID, []byte](),
	}
}

// h2Of returns what a connection of HTTP/2 has beside its slot.
func (l *loop) h2Of(c *conn) *h2Conn { return l.conns.at(c.channel) }

// beginHTTP2 makes a connection one of HTTP/2, whose preface is to come.
func (l *loop) beginHTTP2(c *conn) {
	c.state = stateHTTP2
	c.channel = l.conns.claim()
	h := l.h2Of(c)
	*h = h2Conn{awaits: max(c.opened, 1)}
	h.Open(l.now)
	l.tables.set(c.id(), l.reader.NewTable())
	l.counters.http2.Add(1)
	l.firstPing(c)
	l.gather(c)
	l.reader.Out = l.reader.AppendSettings(l.reader.Out)
	l.scheduleH2(c)
}

// dropHTTP2 takes beginHTTP2 back, and ends all streams.
func (l *loop) dropHTTP2(c *conn, why reason) {
	if l.serving == c {
		l.serving, l.failed, l.reader.Out, l.gathered = nil, admitted, l.reader.Out[:0], 0
	}
	for s := range l.streamsOf(l.h2Of(c).first) {
		l.dropShared(&s.stream, why)
	}
	if c.flags.is(behind) {
		l.dropReader(&c.stream)
	}
	l.tables.remove(c.id())
	l.begun.remove(c.id())
	l.conns.release(c.channel)
	l.counters.http2.Add(-1)
}

// readFrames takes in what the client of a connection of HTTP/2 has sent.
func (l *loop) readFrames(c *conn) {
	n, did := l.read(c)
	if did == ended {
		return
	}
	id, h, in := c.id(), l.h2Of(c), l.buf[:n]
	begun := l.begun.m[id]
	if len(begun) > 0 {
		in = append(begun, in...)
	}
	l.gather(c)
	l.present = openStreams{l, c}
	taken, writable := 0, false
	for more := true; more; {
		ev, n, err := l.reader.Next(&h.Conn, l.tables.m[id], &l.present, l.now, in)
		in, taken = in[n:], taken+n
		if err != nil {
			l.breakFrames(c, err)
			return
		}
		switch ev.Kind {
		case h2.NeedMore:
			more = false
		case h2.Opened:
			l.serveShared(c, &ev)
		case h2.Refused:
			l.noteFault(c, ev.Err)
		case h2.Closed:
			why := reasonClient
			if ev.Err != nil {
				why = reasonFrames
				l.noteFault(c, ev.Err)
			}
			l.dropShared(&l.present.find(ev.ID).stream, why)
		case h2.Writable:
			writable = true
		}
	}
	if h.Acknowledged() {
		l.tables.remove(id)
	}
	switch {
	case len(in) > 0:
		l.begun.set(id, keep(begun, in))
	case begun != nil:
		l.begun.remove(id)
	}
	l.noteAwaited(c, taken > 0)
	if writable {
		l.catchUpShared(c)
	}
}

// noteAwaited notes since when something is awaited of the client. It has the header timeout
// for it, anew with each frame that it gets done.
func (l *loop) noteAwaited(c *conn, progress bool) {
	h := l.h2Of(c)
	switch {
	case !h.Acknowledged():
	case len(l.begun.m[c.id()])+len(l.parts.m[c.id()]) == 0:
		h.awaits = 0
	case h.awaits == 0 || progress:
		h.awaits = max(momentOf(l.now), 1)
		if l.cfg.HeaderTimeout > 0 {
			l.scheduleBy(c, l.now+l.cfg.HeaderTimeout)
		}
	}
}

// serveShared serves the request with which a client has opened a stream.
func (l *loop) serveShared(c *conn, ev *h2.Event) {
	l.unwoken++ // one read may bring a thousand
	s := l.openShared(c, ev.Stream)
	if ev.Err != nil {
		origin, _ := ev.Request.Get("origin")
		l.refuseError(s, asker{origin: origin}, ev.Err)
		return
	}
	l.serve(s, ev.Request)
}

// noteFault counts and logs that a client has broken the rules of HTTP/2.
func (l *loop) noteFault(c *conn, err error) {
	var fault *h2.Error
	if !errors.As(err, &fault) {
		return
	}
	l.counters.h2Faults.count(fault.Code)
	const msg = "a client has broken the rules of HTTP/2"
	if l.mayNotice(msg) {
		l.server.log(slog.LevelWarn, msg, "peer", l.peerOf(c).String(), "reason", err.Error())
	}
}

// breakFrames has a connection end of which no more frames can be taken in.
func (l *loop) breakFrames(c *conn, err error) {
	l.noteFault(c, err)
	h := l.h2Of(c)
	l.reader.Out = h.AppendGoAway(l.reader.Out, err)
	h.leaving, h.broken = reasonFrames, true
}

// retire has a connection of HTTP/2 take no more streams, and end with those that it has.
func (l *loop) retire(c *conn, why reason) {
	h := l.h2Of(c)
	if h.leaving != admitted {
		return
	}
	l.gather(c)
	l.reader.Out = h.AppendGoAway(l.reader.Out, nil)
	h.leaving = why
}
