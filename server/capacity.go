package server

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/fdtable"
)

// FDTables says how loops hold their descriptors.
type FDTables string

const (
	// FDTablesAuto is FDTablesPerLoop when MaxConnections is more than one
	// table has room for and the platform can, else FDTablesShared.
	FDTablesAuto FDTables = "auto"
	// FDTablesShared is the one table of the process.
	FDTablesShared FDTables = "shared"
	// FDTablesPerLoop gives each loop's thread a table of its own, so that the
	// descriptor limit counts for each loop and not for all together. Only on
	// Linux.
	FDTablesPerLoop FDTables = "per-loop"
)

const (
	// maxTable is the number of descriptors that a table has room for at most,
	// even if the limit is higher: 16 million.
	maxTable = 1 << 24
	// maxLoops is the number of event loops at most. With a descriptor table each,
	// every one is a thread.
	maxLoops = 1024
)

// DescriptorLimit raises the soft limit on open descriptors to the hard one and
// returns it. A limit that cannot be raised stays as it is. Safe for concurrent use.
func DescriptorLimit() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 256 // POSIX promises less, every platform here gives more
	}
	if limit.Cur < limit.Max {
		raised := unix.Rlimit{Cur: limit.Max, Max: limit.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			limit = raised
		}
	}
	return int(min(limit.Cur, math.MaxInt32))
}

// Spare returns how many descriptors of the process's table are kept, under a
// limit, for all that is no client of the public port: the admin and ops ports,
// engines, files, and the loops' own. For example 625 of 20,000. The descriptors of
// the other ports have to be bounded by it.
func Spare(limit int) int { return sharedSpare(limit).others }

// capacity is how many streams and connections the server may hold, and in which tables.
type capacity struct {
	limit    int  // descriptors in one table
	perLoop  bool // whether each loop has a table
	loops    int
	table    roomOf // each table
	room     int    // streams that the tables have room for
	streams  int    // streams that are let in: the connection limit
	channels int    // that streams may be on
}

// roomOf is how many clients one descriptor table has room for.
type roomOf struct {
	streams int // at most
	sockets int // more by those that get no stream
}

// spare is the room that is kept from streams in a descriptor table.
type spare struct {
	others   int // for all that is no client of the public port
	answered int // for clients that get no stream: answered, or told to come back
}

// sharedSpare is that of the process's one table, loopSpare that of a table per
// loop, which has nothing beside clients but descriptors that were open at the start.
func sharedSpare(limit int) spare { return halves(min(max(min(limit, maxTable)/16, 128), 2048)) }
func loopSpare(limit int) spare   { return halves(min(max(min(limit, maxTable)/64, 64), 1024)) }

func halves(n int) spare { return spare{n - n/2, n / 2} }

// in returns the room of a table with as many descriptors as limit.
func (s spare) in(limit int) roomOf {
	return roomOf{streams: max(limit-s.others-s.answered, 1), sockets: max(limit-s.others, 2)}
}

// planCapacity decides on tables and loops by cfg and the descriptor limit.
func planCapacity(cfg *Config, limit int) (capacity, error) {
	p := capacity{limit: min(limit, maxTable), loops: cfg.Loops}
	spare := sharedSpare(p.limit)
	p.table = spare.in(p.limit)
	switch cfg.FDTables {
	case FDTablesShared:
	case FDTablesPerLoop:
		if err := fdtable.Supported(); err != nil {
			return p, fmt.Errorf("%w: descriptor tables %q: %w; use %q or %q", ErrConfig, cfg.FDTables, err, FDTablesShared, FDTablesAuto)
		}
		p.perLoop = true
	case FDTablesAuto, "":
		p.perLoop = cfg.MaxConnections > p.table.streams && fdtable.Supported() == nil
	default:
		return p, fmt.Errorf("%w: descriptor tables %q, want %q, %q or %q", ErrConfig, cfg.FDTables, FDTablesAuto, FDTablesShared, FDTablesPerLoop)
	}
	if p.perLoop {
		spare = loopSpare(p.limit)
		p.table = spare.in(p.limit)
	}
	if p.loops == 0 {
		p.loops = runtime.GOMAXPROCS(0)
		if p.perLoop { // the kernel spreads connections evenly, but not to the last one
			each := p.table.streams - p.table.streams/16
			p.loops = min(max(p.loops, (cfg.MaxConnections+each-1)/each), maxLoops)
		}
	}
	// A loop has a waker, which is in every table, a poller and a listener or two.
	tables, own := 1, 3*p.loops
	if cfg.Listen != "" && cfg.TLSListen != "" {
		own += p.loops
	}
	if p.perLoop {
		tables, own = p.loops, p.loops+2 // the ferry
	}
	spare.others = max(spare.others, own+16)
	p.table = spare.in(p.limit)
	p.room = tables * p.table.streams
	p.streams = p.room
	if cfg.MaxConnections > 0 {
		p.streams = cfg.MaxConnections
	}
	if p.channels = cfg.MaxChannels; p.channels == 0 {
		p.channels = 4 * p.streams
	}
	return p, nil
}

// occupancy is the room of one descriptor table, and how much of it is taken: by one
// loop, or by all that share the table. Safe for concurrent use.
type occupancy struct {
	room    roomOf
	common  int64 // sockets that it has room for beside the shares
	share   int64 // of each loop, for clients that are no streams
	sockets atomic.Int64
	streams atomic.Int64
	// undecided are requests that wait for a verdict: each may become a stream.
	undecided atomic.Int64
}

// newOccupancy returns those of a table that loops share. Half of what is kept for clients
// without a stream is theirs in equal shares, so that a crowd at one loop leaves the
// others some.
func newOccupancy(room roomOf, loops int) *occupancy {
	share := (room.sockets - room.streams) / 2 / loops
	return &occupancy{room: room, common: int64(room.sockets - loops*share), share: int64(share)}
}

// full tells whether the loop is to accept no more sockets.
func (l *loop) full() bool {
	n := &l.counters
	return l.occupancy.sockets.Load() >= l.occupancy.common && n.connections.Load()-n.streams.Load()+l.extra >= l.occupancy.share
}

const (
	// looksAtOnce bounds how many slots makeRoom looks at.
	looksAtOnce = 4096
	// crowdPatience is how long a client may take to send its request when others
	// need the place: less than the header timeout, more than a slow network takes.
	crowdPatience = time.Second
)

// makeRoom ends a connection of the loop that is no stream, and holds a place while
// others wait for one: a client that has been answered and does not close, or one
// that has not asked for anything in crowdPatience. It goes on where it stopped, so
// that each has its time. It returns false when it has found none.
func (l *loop) makeRoom() bool {
	size := streamID(l.table.size())
	for range looksAtOnce {
		c := l.table.owned(l.hand, l.number)
		if l.hand++; l.hand >= size {
			l.hand = 0
		}
		if c == nil {
			continue
		}
		switch c.state {
		case stateLinger:
			l.end(c, c.why)
			return true
		case stateHTTP2:
			isAnswered := c.flags.is(counted)
			if l.h2Of(c).first == 0 && (isAnswered || c.opened.age(l.now) > crowdPatience) {
				l.end(c, reasonCrowded)
				return true
			}
		case stateProxy, stateHello, stateHandshake, stateHead:
			if c.opened.age(l.now) > crowdPatience {
				l.end(c, reasonCrowded)
				return true
			}
		}
	}
	return false
}

// giveRoom ends a pause of accepting that waits for room: a connection of the loop has
// ended, or has been answered, so that makeRoom may end it.
func (l *loop) giveRoom() {
	for _, ln := range l.listeners {
		if ln.crowded {
			l.wheel.Cancel(ln.descriptor)
			ln.resume()
			l.wakeAgain()
		}
	}
}

// takeStream takes the place of a stream, under the connection limit and in the descriptor
// table. The streams of a socket have one place in the table together; each counts at the
// client's address. It returns why there is none.
func (l *loop) takeStream(s *stream) reason {
	if l.server.streams.Add(1) > int64(l.server.capacity.streams) {
		l.server.streams.Add(-1)
		return reasonOverload
	}
	if c := l.connOf(s); s.isShared() && l.h2Of(c).attached > 0 {
		if c.address != 0 && !l.server.addresses.Join(c.address) {
			l.server.streams.Add(-1)
			return reasonAddressLimit
		}
		l.extra++
	} else if l.occupancy.streams.Add(1) > int64(l.occupancy.room.streams) {
		l.occupancy.streams.Add(-1)
		l.server.streams.Add(-1)
		return reasonOverload
	}
	if s.isShared() {
		l.h2Of(l.connOf(s)).attached++
		l.counters.h2Streams.Add(1)
	}
	return admitted
}

// retakeStream is takeStream for one that another process has let in, whatever the bounds are.
func (l *loop) retakeStream(s *stream) {
	l.server.streams.Add(1)
	if !s.isShared() {
		l.occupancy.streams.Add(1)
		return
	}
	c := l.connOf(s)
	h := l.h2Of(c)
	if h.attached++; h.attached == 1 {
		l.occupancy.streams.Add(1)
	} else {
		if c.address != 0 {
			l.server.addresses.Restore(l.server.addresses.Network(c.address), false)
		}
		l.extra++
	}
	l.counters.h2Streams.Add(1)
}

// leaveStream gives back the place that takeStream took.
func (l *loop) leaveStream(s *stream) {
	l.server.streams.Add(-1)
	if s.isShared() {
		c := l.connOf(s)
		h := l.h2Of(c)
		l.counters.h2Streams.Add(-1)
		if h.attached--; h.attached > 0 {
			if c.address != 0 {
				l.server.addresses.Leave(c.address, false, l.now)
			}
			l.extra--
			return
		}
	}
	l.occupancy.streams.Add(-1)
}
