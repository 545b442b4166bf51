package server

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/dialect"
	"millrace/internal/handover"
	"millrace/internal/handshake"
	"millrace/internal/limits"
	"millrace/internal/netpoll"
	"millrace/internal/tlsrecord"
	"millrace/timerwheel"
)

const (
	// tick is the resolution of the loop's timers.
	tick = 10 * time.Millisecond
	// slice is how much of one kind of work (writes, expired timers, accepts)
	// is done between two looks at the poller.
	slice = 512
	// maxUnwoken is how many ready descriptors and requests of HTTP/2 are served before a
	// wake: when thousands of clients leave at once, the others do not wait for all of them.
	maxUnwoken = 64
	// readSize is how much is read from a socket at once, in bytes.
	readSize = 16 << 10
)

// loop is one event loop. All of it, unless a field is marked otherwise, belongs to the
// goroutine that runs it.
type loop struct {
	server *Server
	number int32
	cfg    *Config
	broker *channels.Broker

	poller   netpoll.Poller
	waker    *netpoll.Waker  // signal: safe for concurrent use
	inbox    *channels.Inbox // posting: safe for concurrent use
	mail     chan func()     // questions from outside, see ask: safe for concurrent use
	stopping atomic.Bool     // safe for concurrent use
	gone     chan struct{}   // closed when it has ended: safe for concurrent use
	away     atomic.Bool     // it is being handed over or taken over, and need not turn: safe for concurrent use
	counters counters        // reading: safe for concurrent use

	now     time.Duration // loop time, as of the event being served
	wheel   *timerwheel.Wheel[timers]
	expired func(i int32) // l.expire, bound once
	alarm   *time.Timer   // signals the waker at the wheel's next deadline
	armed   time.Duration // when it will
	busy    bool          // work is left, and the waker's descriptor is readable
	unwoken int           // descriptors, and requests of HTTP/2, served since the last wake

	connections
	authorization
	subscriptions
	scratch
	drain      drain                    // once Server.Drain has begun
	phases     *rand.Rand               // of pings
	nextNotice map[string]time.Duration // by message: when it may be logged again

	resting  time.Duration  // since when it accepts nothing, since it is to be handed over; 0: it does
	handed   *handed        // once it is being handed over
	awaits   *handover.Conn // leads to the predecessor's loop, if there is one
	adopting *adopting      // until it serves what that had
	holding  bool           // streams that were taken over get messages only, see holds
	stalled  []streamID     // of them, those that are behind and would get a gap next
}

// connections are the sockets of a loop, from its listener on.
type connections struct {
	table      *table
	occupancy  *occupancy                        // safe for concurrent use
	extra      int64                             // streams whose socket has another one
	unfinished peaked[streamID, *unfinishedHead] // those whose request head has come in part
	peers      peaked[streamID, netpoll.Peer]    // only if Config.keepsPeers
	listeners  []*listener                       // the open ones
	hand       streamID                          // the slot that makeRoom looks at next
	secured
	h2Conns
}

// authorization has the loop's requests that an authorizer decides on.
type authorization struct {
	serial    uint64                       // of the newest request
	undecided peaked[streamID, *undecided] // those that wait
	verdicts  verdicts                     // posting: safe for concurrent use
	byUser    peaked[limits.UserRef, link] // the first stream of each user here
	endings   []*ending                    // streams that are being ended
	kicked    kicked                       // users whose were
}

// subscriptions are the streams of a loop, by channel, and the messages on their way to them.
type subscriptions struct {
	channels  []*loopChannel // by index; nil where unused
	unused    []int32        // indexes of channels
	byChannel peaked[*channels.Channel, int32]
	multi     peaked[streamID, []subscription] // streams on more than one channel
	readers   peaked[streamID, *slowReader]    // streams that are behind
	waiting   peaked[streamID, *waiter]        // streams that cannot start yet
	followed  followed                         // channels of those that can
	turn      turn                             // the fan-out under way
	early     early                            // the messages that do not wait for it
	needs     peaked[*loopChannel, need]       // of channels with readers that are behind
	surveys   []*loopChannel                   // those whose needs have to be told anew
	asked     []*channels.Channel              // the same, as they came from the inbox

	gzips      peaked[*loopChannel, int32] // gzip streams of channels that have some
	hasTime    func() bool                 // tells whether the loop may go on compressing: until
	compressBy time.Duration               // then
}

// scratch is memory that is used over and over: for one connection at a time, while it is
// served.
type scratch struct {
	request   httpparse.Request
	buf       []byte                // what was read
	sealed    []byte                // a record
	out       []byte                // what is to be written
	path      []byte                // of the request, decoded
	target    dialect.Asked         // what it asks for
	names     [][]byte              // the channels of its grant,
	nameBytes []byte                // which stand here
	start     channels.Start        // of a stream
	chans     []*channels.Channel   // of a stream
	missed    []*channels.Message   // those that a stream lacks
	forms     [][]byte              // compressed, of those
	runs      [][]*channels.Message // the same, by channel
}

// newLoop makes a loop and its waker. Everything else is opened by the goroutine
// that it lives on, which may have a descriptor table of its own.
func newLoop(s *Server, number int32, table *table, taken *occupancy, keys *keys) (*loop, error) {
	l := &loop{
		server: s, number: number, cfg: &s.cfg, broker: s.broker,
		armed: math.MaxInt64,
		mail:  make(chan func(), mailSize),
		gone:  make(chan struct{}),
		connections: connections{
			table: table, occupancy: taken,
			unfinished: newPeaked[streamID, *unfinishedHead](),
			peers:      newPeaked[streamID, netpoll.Peer](),
			secured: secured{
				keys:       keys,
				parts:      newPeaked[streamID, []byte](),
				handshakes: newPeaked[streamID, *handshaking](),
				rests:      newRests(),
			},
			h2Conns: newH2Conns(&s.cfg),
		},
		authorization: authorization{
			undecided: newPeaked[streamID, *undecided](),
			byUser:    newPeaked[limits.UserRef, link](),
		},
		subscriptions: subscriptions{
			byChannel: newPeaked[*channels.Channel, int32](),
			multi:     newPeaked[streamID, []subscription](),
			readers:   newPeaked[streamID, *slowReader](),
			waiting:   newPeaked[streamID, *waiter](),
			needs:     newPeaked[*loopChannel, need](),
			gzips:     newPeaked[*loopChannel, int32](),
			followed:  followed{left: everybody},
		},
		scratch:    scratch{buf: make([]byte, max(handshake.MaxUnread+readSize, tlsrecord.MaxRecord)+readSize)},
		phases:     rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		nextNotice: make(map[string]time.Duration),
	}
	l.expired = l.expire
	l.hasTime = func() bool { return l.server.clock() < l.compressBy }
	l.overNotify = l.notifyHandshake
	l.wheel = timerwheel.New(timers{table}, tick, 0)
	var err error
	if l.waker, err = netpoll.OpenWaker(); err != nil {
		return nil, err
	}
	l.inbox = l.broker.NewInbox(l.waker.Signal)
	l.alarm = time.AfterFunc(math.MaxInt64, l.waker.Signal)
	return l, nil
}

// live is the loop's goroutine: it opens the poller and the listener, tells
// opened, serves from Start to Close, and closes everything. err is why it
// cannot.
func (l *loop) live(err error, opened chan<- error) {
	defer close(l.gone)
	if err == nil {
		l.poller, err = netpoll.OpenPoller()
	}
	if err != nil {
		opened <- err
		return
	}
	defer l.poller.Close()
	defer l.hangUp()
	l.table.claim(l.waker.FD(), l.number, slot{stream: stream{state: stateWake}})
	if err = l.poller.Watch(l.waker.FD()); err == nil && l.cfg.Successor == nil {
		err = l.openListeners()
	}
	opened <- err
	l.awaitStart()
	if err != nil || l.stopping.Load() {
		return
	}
	if l.cfg.Successor != nil && !l.takeOverLoop() {
		return
	}
	if err := l.poller.Run(l.on); err != nil {
		l.server.failed <- fmt.Errorf("event loop %d: %w", l.number, err)
	}
}

// awaitStart waits until the server is started. That of a successor reads mail meanwhile, with
// what belongs to no stream; another's does not turn yet, and has nothing to tell.
func (l *loop) awaitStart() {
	mail := l.mail
	if l.cfg.Successor == nil {
		mail = nil
	}
	for {
		select {
		case <-l.server.started:
			return
		case question := <-mail:
			question()
		}
	}
}

// on serves one ready descriptor. An event may be stale: its descriptor was closed
// while an earlier one was served, and taken anew by this loop or another. So it
// is a hint only. The slot says what to do, and a read tells what there is.
func (l *loop) on(fd int32, readable, writable bool) (stop bool) {
	c := l.table.owned(streamID(fd), l.number)
	if c == nil || l.handed != nil && c.state != stateWake {
		return false
	}
	l.now = l.server.clock()
	switch c.state {
	case stateWake:
		if l.stopping.Load() {
			return true
		}
		l.wake()
	case stateListener:
		ln := l.listenerOf(fd)
		ln.accepting = true
		if l.accept(ln) {
			l.wakeAgain()
		}
	case stateProxy, stateHello, stateHead:
		l.readHead(c)
	case stateHandshake:
		l.onHandshake(c, readable)
	case stateHTTP2:
		l.gather(c)
		if writable && c.flags.is(behind) && l.sendRest(&c.stream, l.readers.m[c.id()]) == sent {
			l.catchUpShared(c)
		}
		if readable {
			l.readFrames(c)
		}
	case stateStream:
		if writable && c.flags.is(behind) && l.catchUp(&c.stream) == ended {
			break
		}
		if readable {
			l.hear(c)
		}
	case stateUndecided, stateWaiting, stateLinger:
		l.hear(c)
	}
	if l.unwoken++; l.unwoken >= maxUnwoken { // the waker may come after all that is ready
		l.now = l.server.clock()
		l.wake()
		if l.stopping.Load() { // which the wake may have been for
			return true
		}
	}
	if l.handed == nil { // else its timers are another loop's, and those that are due would wake it over and over
		l.settle()
		l.arm()
	}
	l.counters.step.record(l.server.clock() - l.now)
	return false
}

// wake does a slice of everything that waits. While some is left, the waker's
// descriptor stays readable, so that the poller comes back here in its turn.
func (l *loop) wake() {
	l.unwoken = 0
	if l.busy = l.busy && l.handed == nil; !l.busy {
		l.waker.Drain()         // before looking: a later post signals again
		l.armed = math.MaxInt64 // the alarm may have been among the signals, even one that l.now does not know of
	}
	l.readMail()
	if l.handed != nil {
		return
	}
	l.takeHandshakes()
	more := l.dropSealed()
	more = l.wheel.Advance(l.now, slice, l.expired) || more
	more = l.takeVerdicts(slice) || more
	more = l.startFollowed(slice) || more
	more = l.fanOut(slice) || more
	for _, ln := range l.listeners {
		more = l.accept(ln) || more
	}
	more = l.endOn(endSlice) || more
	more = l.drainOn(slice) || more
	if more {
		l.wakeAgain()
	} else {
		l.busy = false // if it was true, one more wake follows, which drains
	}
}

// wakeAgain makes the poller return to wake after it has served the other ready
// descriptors.
func (l *loop) wakeAgain() {
	if !l.busy {
		l.busy = true
		l.waker.Signal()
	}
}

// arm sets the alarm to the wheel's next deadline, if that comes before the time that the
// alarm is set to.
func (l *loop) arm() {
	if at, ok := l.wheel.Next(); ok && at < l.armed && !l.busy {
		l.armed = at
		l.alarm.Reset(max(at-l.now, 0))
	}
}

// hangUp closes the listeners and every connection.
func (l *loop) hangUp() {
	defer l.drainOver()
	l.leavePredecessor()
	if l.handed != nil || l.adopting != nil { // what it has is another process's
		l.letGo()
	}
	l.settle()
	l.abandonEndings()
	l.table.each(l.number, func(c *conn) {
		switch c.state {
		case stateWake:
			l.cancel(c)
			c.release() // closed with the waker
		case stateListener:
			// closed below
		default:
			l.end(c, reasonShutdown)
		}
	})
	l.closeListeners()
}
