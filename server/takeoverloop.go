package server

import (
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/netpoll"
)

// castagnoli is the polynomial of LoopEnd.Sum.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// adopting is a loop of a successor that takes over, until it serves.
type adopting struct {
	head     handover.LoopHead
	reasons  []reason // by their numbers in records
	names    [][]byte // of the channels
	counts   []int32  // their subscribers
	ids      []streamID
	sum      uint32
	long     handover.Unpacker
	prepared bool
}

// errAlone says that the predecessor is dead, errStopped that the server is to stop, and
// errUnconnected that nobody has called LoopEnds.
var (
	errAlone       = errors.New("the predecessor is dead")
	errStopped     = errors.New("the server stops")
	errUnconnected = errors.New("the event loop is not connected with its predecessor")
)

// takeOverLoop waits for what the loop of the predecessor has, and returns when it is this loop's
// to serve, or with false when the server is to stop.
func (l *loop) takeOverLoop() bool {
	l.adopting = new(adopting)
	l.away.Store(true)
	defer l.leavePredecessor()
	err := errUnconnected
	if l.awaits != nil {
		err = l.receiveLoop()
	}
	if err == nil {
		l.adopting.prepared = true
		l.tellAdoption(Prepared, nil)
		err = l.awaitCommit()
	}
	if err != nil && err != errAlone && err != errStopped {
		l.tellAdoption(Failed, err)
		err = l.awaitPredecessor(-1)
	}
	switch {
	case err == errStopped:
		return false
	case !l.adopting.prepared:
		l.dropAdopted()
		if err := l.openListeners(); err != nil {
			l.server.failed <- err
			return false
		}
	}
	l.serveAdopted()
	return true
}

// leavePredecessor closes the connection that leads to the predecessor's loop, if there is one.
func (l *loop) leavePredecessor() {
	if l.awaits != nil {
		l.awaits.Close()
		l.awaits = nil
	}
}

// awaitPredecessor waits until something comes over a descriptor, if it is not -1. It returns
// errAlone when the predecessor is dead, and errStopped when the server is to stop. Meanwhile
// mail is read.
func (l *loop) awaitPredecessor(fd int) error {
	ready := []unix.PollFd{{Fd: l.waker.FD(), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	for {
		switch {
		case l.stopping.Load():
			return errStopped
		case l.server.taking.alone.Load():
			return errAlone
		}
		if _, err := unix.Poll(ready, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		if ready[0].Revents != 0 {
			l.waker.Drain()
			l.readMail()
		}
		if ready[1].Revents != 0 {
			return nil
		}
	}
}

// receiveLoop takes in what the predecessor's loop has, and says that all has come.
func (l *loop) receiveLoop() error {
	if err := l.awaitPredecessor(l.awaits.FD()); err != nil {
		return err
	}
	a, version := l.adopting, l.server.cfg.Successor.Version
	l.awaits.SetTimeout(handTimeout)
	frame, err := l.awaits.Expect(handover.KindLoop)
	if err != nil {
		return err
	}
	if err := l.takeHead(frame); err != nil {
		return err
	}
	for attached := false; ; {
		frame, err := l.awaits.Receive()
		if err != nil {
			return err
		}
		l.now = l.server.clock()
		if frame.Kind != handover.KindLoopChannels && !attached {
			attached = true
			if err := l.attachAll(); err != nil {
				closeFDs(frame.FDs)
				return err
			}
		}
		switch frame.Kind {
		case handover.KindLoopChannels:
			err = l.takeChannels(frame.Payload)
		case handover.KindPart:
			err = a.long.Part(frame.Payload)
		case handover.KindConnections:
			err = l.takeConnections(frame)
		case handover.KindKeys:
			err = l.takeKeys(frame.Payload)
		case handover.KindShared:
			err = l.takeShared(frame.Payload)
		case handover.KindLoopEnd:
			return l.confirm(frame.Payload, version)
		default:
			closeFDs(frame.FDs)
			err = fmt.Errorf("got %s among what belongs to an event loop", frame.Kind)
		}
		if err != nil {
			return err
		}
	}
}

// takeHead takes in what stands before all else, and the listeners.
func (l *loop) takeHead(frame handover.Frame) error {
	a := l.adopting
	if err := handover.Decode(l.server.cfg.Successor.Version, frame.Payload, &a.head); err != nil {
		closeFDs(frame.FDs)
		return err
	}
	a.ids = make([]streamID, 0, min(int(a.head.Connections), l.server.capacity.limit))
	for _, name := range a.head.Reasons {
		a.reasons = append(a.reasons, reasonOf(name))
	}
	for i, fd := range frame.FDs {
		isSecure := i >= int(a.head.Plain)
		if isSecure && l.cfg.TLS == nil || l.table.claim(int32(fd), l.number, slot{stream: stream{state: stateListener}}) == nil {
			closeFDs(frame.FDs[i:])
			return fmt.Errorf("listener %d of %d, with TLS: %v, cannot be served here", i, len(frame.FDs), isSecure)
		}
		l.listeners = append(l.listeners, &listener{descriptor: int32(fd), secure: isSecure, accepting: true})
		bound := &l.server.addr
		if isSecure {
			bound = &l.server.tlsAddr
		}
		addr, err := netpoll.AddressOf(int32(fd))
		if err == nil {
			bound.note(addr)
			err = l.poller.WatchEdge(int32(fd))
		}
		if err != nil {
			closeFDs(frame.FDs[i+1:])
			return err
		}
	}
	if uint32(l.number) != a.head.Loop {
		return fmt.Errorf("event loop %d got what belongs to event loop %d", l.number, a.head.Loop)
	}
	return nil
}

// reasonOf returns the reason with a name; for one that is unknown, that of a client told to
// come back.
func reasonOf(name string) reason {
	for r, known := range reasonNames {
		if known == name {
			return reason(r)
		}
	}
	return reasonOverload
}

// takeChannels takes in a part of the list of channels.
func (l *loop) takeChannels(payload []byte) error {
	a := l.adopting
	r := handover.NewReader(l.server.cfg.Successor.Version, payload)
	for r.Len() > 0 {
		var c handover.LoopChannel
		c.Parse(r)
		if r.Err() != nil {
			break
		}
		if err := channels.CheckName(c.Name); err != nil {
			return err
		}
		if c.Subscribers < 0 {
			return fmt.Errorf("channel %q has %d subscribers, want 0 or more", c.Name, c.Subscribers)
		}
		a.names = append(a.names, append([]byte(nil), c.Name...))
		a.counts = append(a.counts, c.Subscribers)
	}
	return r.Err()
}

// attachAll attaches the loop to its channels, from where the predecessor's has stopped.
func (l *loop) attachAll() error {
	a := l.adopting
	if len(a.names) != int(a.head.Channels) {
		return fmt.Errorf("%d channels have come, want %d", len(a.names), a.head.Channels)
	}
	if len(a.names) == 0 {
		return nil
	}
	attached, err := l.inbox.AttachAt(nil, a.head.K, a.head.Head, a.names, a.counts)
	if err != nil {
		return err
	}
	for i, channel := range attached {
		room := min(int(a.counts[i]), l.server.capacity.streams) // more may come, but so much is memory for what is told
		l.channels = append(l.channels, &loopChannel{shared: channel, subscribers: make([]streamID, 0, room)})
		l.byChannel.set(channel, int32(i))
	}
	a.names = nil
	return nil
}

// takeConnections takes in some connections.
func (l *loop) takeConnections(frame handover.Frame) error {
	a := l.adopting
	records, err := a.long.Records(frame.Payload)
	if err != nil {
		closeFDs(frame.FDs)
		return err
	}
	a.sum = crc32.Update(a.sum, castagnoli, records)
	r := handover.NewReader(l.server.cfg.Successor.Version, records)
	for i, fd := range frame.FDs {
		var record handover.Connection
		record.Parse(r)
		err := r.Err()
		if err == nil {
			err = checkCookie(fd, record.Cookie)
		}
		if err != nil {
			closeFDs(frame.FDs[i:])
			return err
		}
		if err := l.restore(int32(fd), &record); err != nil {
			closeFDs(frame.FDs[i+1:])
			return err
		}
	}
	if r.Len() > 0 {
		return fmt.Errorf("%d bytes behind the records of %d connections", r.Len(), len(frame.FDs))
	}
	return nil
}

// checkCookie reports that a descriptor is not that of the socket that it came for.
func checkCookie(fd int, want uint64) error {
	cookie, err := handover.Cookie(fd)
	if err == nil && cookie != want {
		err = fmt.Errorf("a socket with the cookie %x came with the record of %x", cookie, want)
	}
	return err
}

// confirm says that all has come.
func (l *loop) confirm(payload []byte, version int) error {
	a := l.adopting
	var sent handover.LoopEnd
	if err := handover.Decode(version, payload, &sent); err != nil {
		return err
	}
	arrived := handover.LoopEnd{Connections: uint32(len(a.ids)), Sum: a.sum}
	if arrived != sent || sent.Connections != a.head.Connections {
		return fmt.Errorf("%d connections with the sum %08x have come, want %d with %08x", arrived.Connections, arrived.Sum, sent.Connections, sent.Sum)
	}
	for i, ch := range l.channels {
		if n := a.counts[i]; len(ch.subscribers) != int(n) {
			return fmt.Errorf("%d subscribers of channel %d have come, want %d", len(ch.subscribers), i, n)
		}
	}
	if err := l.checkProtocols(); err != nil {
		return err
	}
	return l.awaits.Send(handover.KindPrepared, handover.Encode(version, &arrived))
}

// awaitCommit waits for the predecessor's word that the connections are this loop's.
func (l *loop) awaitCommit() error {
	if err := l.awaitPredecessor(l.awaits.FD()); err != nil {
		return err
	}
	_, err := l.awaits.Expect(handover.KindCommit)
	return err
}

// serveAdopted begins with what was taken over.
func (l *loop) serveAdopted() {
	l.adopting = nil
	l.now = l.server.clock()
	if l.holding = l.server.taking.isHolding(); !l.holding {
		l.startWaiting()
	}
	l.askAllAgain()
	l.wakeAgain()
	if err := l.sayServing(); err != nil && !l.server.taking.alone.Load() {
		l.server.log(slog.LevelError, "cannot tell the predecessor that an event loop serves", "error", err)
	}
	l.away.Store(false)
	l.tellAdoption(Serving, nil)
}

// sayServing tells the predecessor's loop, unless that is dead.
func (l *loop) sayServing() error {
	if l.awaits == nil {
		return nil
	}
	return l.awaits.Send(handover.KindServing, nil)
}

// tellAdoption tells how far the loop has taken over.
func (l *loop) tellAdoption(stage Stage, err error) {
	l.server.taking.adopted <- Adoption{
		Loop: int(l.number), Stage: stage, Err: err,
		Connections: int(l.counters.connections.Load()), Streams: int(l.counters.streams.Load()),
	}
}

// dropAdopted ends what a predecessor that is dead has not sent whole, and leaves the channels.
func (l *loop) dropAdopted() {
	a := l.adopting
	for i, ch := range l.channels {
		for range int(a.counts[i]) - len(ch.subscribers) { // which have not come
			l.inbox.Detach(ch.shared)
		}
		if len(ch.subscribers) == 0 {
			l.byChannel.remove(ch.shared)
			l.channels[i] = nil
			l.unused = append(l.unused, int32(i))
		}
	}
	l.table.each(l.number, func(c *conn) {
		if c.state > stateListener {
			l.end(c, reasonUpgrade)
		}
	})
	l.closeListeners()
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
