package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"millrace/channels"
)

// Taking back. The predecessor keeps its slots and descriptors until the successor has taken
// over for good. If that one dies before, the kernel's ledger of each connection tells how many
// bytes it has written there (internal/netpoll/ledger_linux.go), and the log tells what they
// were: between commit and switch, a stream that has moved gets the rest of a message that was
// cut and then the messages above its cursor, in the broker's order, as stored forms with
// gzip, and nothing else. So each stream goes on where it stands, to the byte. What the log does
// not explain ends the stream: nothing is guessed.
//
// Of TLS and HTTP/2 the bytes do not tell what was sealed and which frames were sent, and keys
// are usable in one process at a time. Such connections of loops that were committed end.

// TakenBack is what became of the connections of loops that had been handed over.
type TakenBack struct {
	Connections int // that are served here again,
	Written     int // those of them to which the successor had written,
	Closed      int // those that had been closed meanwhile,
	Unexplained int // those of which the log does not tell what was written to them, and which end
	Severed     int // and those with TLS or HTTP/2, which end
}

// add adds what became of others.
func (t *TakenBack) add(other TakenBack) {
	t.Connections += other.Connections
	t.Written += other.Written
	t.Closed += other.Closed
	t.Unexplained += other.Unexplained
	t.Severed += other.Severed
}

// TakeBack has all loops serve again that were handed over, or were about to be. To be called
// after the successor's end has been seen only, or two processes would write to one stream. With
// an error, some loops do not serve. Safe for concurrent use.
func (s *Server) TakeBack() (TakenBack, error) {
	var all TakenBack
	var failed error
	var mu sync.Mutex
	var running sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, l := range s.loops {
		running.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			var taken TakenBack
			err := tell(l, func(l *loop) { taken = l.takeBack() })
			mu.Lock()
			defer mu.Unlock()
			all.add(taken)
			failed = errors.Join(failed, err)
		})
	}
	running.Wait()
	s.handing.underWay.Store(false)
	if failed != nil {
		failed = fmt.Errorf("take event loops back: %w", failed)
	}
	return all, failed
}

// noteProgress notes what has been written to each connection that is handed over, and to
// requests what has been read of them.
func (l *loop) noteProgress() {
	h := l.handed
	h.progress = make([]uint64, len(h.ids))
	for i, id := range h.ids {
		if c := l.table.at(id); l.isTakenBack(c) {
			h.progress[i], _ = c.progress()
		}
	}
}

// isTakenBack tells whether a connection can be taken back after a commit: while there are no
// keys and frames, or if its keys are still here, since the successor had gone before.
func (l *loop) isTakenBack(c *conn) bool {
	return l.hasKeys(c) || (!c.flags.is(secure) || c.state == stateHello) && c.state != stateHTTP2
}

// takeBack has the loop serve again what it has handed over.
func (l *loop) takeBack() (t TakenBack) {
	h := l.handed
	if h == nil {
		l.resumeListeners()
		return t
	}
	var severed []*conn
	if h.committed {
		l.unwatchCommitted()
		for i, id := range h.ids {
			if c := l.table.at(id); l.isTakenBack(c) {
				l.takeBackOne(c, h.progress[i], &t)
			} else {
				severed = append(severed, c)
			}
		}
		for _, ln := range l.listeners {
			if err := l.poller.WatchEdge(ln.descriptor); err != nil {
				l.server.log(slog.LevelError, "cannot watch a listener that is taken back", "error", err)
			}
		}
	} else {
		t.Connections = len(h.ids)
	}
	l.resume()
	t.Severed = len(severed)
	for _, c := range severed {
		l.sever(c)
	}
	return t
}

// takeBackOne takes back a connection to which another process has written what the kernel
// counts beyond noted.
func (l *loop) takeBackOne(c *conn, noted uint64, t *TakenBack) {
	why := reasonWrite
	if err := l.watch(c); err == nil { // before it can fall behind
		why = l.account(c, noted, t)
	}
	switch why {
	case admitted:
		if c.flags.is(behind) {
			l.watchRoom(c)
		}
		t.Connections++
		return
	case reasonClient:
		t.Closed++
	default:
		t.Unexplained++
	}
	l.end(c, why)
}

// account brings a connection to where another process has left it. It returns why that
// cannot be.
func (l *loop) account(c *conn, noted uint64, t *TakenBack) reason {
	now, open := c.progress()
	switch {
	case c.state == stateLinger:
		return admitted // nothing more is written, and what is read is for nothing
	case !open:
		return reasonClient // or the other process has ended it
	case now == noted:
		return admitted
	case now < noted || c.state != stateStream:
		return reasonUnexplained
	}
	t.Written++
	c.wrote = momentOf(l.now)
	return l.passOver(&c.stream, now-noted)
}

// passOver brings a stream past n bytes that another process has written to it. It returns
// why that cannot be.
func (l *loop) passOver(s *stream, n uint64) reason {
	told := channels.Told{}
	if r := l.readers.m[s.id()]; r != nil {
		taken := min(n, uint64(r.rest.left()))
		if r.rest.take(int(taken)); taken > 0 && r.rest.left() == 0 {
			l.written(s, r.messages)
			r.messages = 0
		}
		n -= taken
		told.Floors = r.told.Floors
	}
	told.Gaps = math.MaxUint64 // they wait for the switch, and are told anew
	for n > 0 {
		l.chans = l.channelsOf(s, l.chans[:0])
		var kept bool
		l.missed, kept = l.inbox.CatchUp(l.missed[:0], s.cursor, told, int(min(n, turnBytes)), l.chans...)
		if !kept {
			return reasonLapped
		}
		if len(l.missed) == 0 {
			return reasonUnexplained
		}
		n = l.passMessages(s, n)
		clear(l.missed)
	}
	return admitted
}

// passMessages brings a stream past the messages of l.missed, as far as n bytes go, and
// returns how many bytes are left. A message of which a part is in them is cut.
func (l *loop) passMessages(s *stream, n uint64) uint64 {
	p := parcel{messages: l.missed}
	if s.flags.is(gzipped) {
		p.forms = slices.Grow(l.forms[:0], len(l.missed))[:len(l.missed)]
		clear(p.forms) // all are stored
		l.forms = p.forms
	}
	for i, m := range l.missed {
		if n == 0 {
			return 0
		}
		s.cursor = m.Seq
		size := uint64(p.size(i))
		if n < size {
			l.fallBehind(s, p.restOf(i, int(n)), true)
			return 0
		}
		n -= size
		l.written(s, 1)
	}
	return n
}

// sever ends a connection of which this process has no keys any more, or does not know which
// frames were sent: without a word, and at a time of its own, since its client comes back at
// once.
func (l *loop) sever(c *conn) {
	l.forget(c, reasonUpgrade)
	c.state, c.why = stateLinger, reasonUpgrade
	l.counters.lingering.Add(1)
	l.schedule(c, l.now+rand.N(max(l.cfg.Drain, tick)))
}
