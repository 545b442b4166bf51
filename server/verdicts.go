package server

import (
	"bytes"
	"sync/atomic"
	"time"

	"millrace/internal/auth"
)

const (
	// verdictTimeout is how long a request waits for its verdict. Then its client is told to
	// come back.
	verdictTimeout = 10 * time.Second
	// maxAsked bounds the requests that authorizers have and have not answered, in bytes. A
	// request of a client that has left counts until it is answered.
	maxAsked = 64 << 20
	// askedOverhead is the memory of such a request beside its strings, in bytes.
	askedOverhead = 1 << 10
)

// undecided is a request whose verdict is to come. Its connection is in stateUndecided.
type undecided struct {
	request  *auth.Request
	to       asker
	lastID   []byte
	deadline time.Duration
	// serial tells the request from all others of the loop: the slot may be another
	// client's when the verdict comes.
	serial uint64
}

// question is one to an authorizer, which answers from any goroutine, once.
type question struct {
	loop   *loop
	id     streamID
	serial uint64
	size   int64
	closed atomic.Bool
}

// askAuthorizer hands a request to the authorizer. If it does not answer at once, the request waits.
func (l *loop) askAuthorizer(s *stream, u undecided) {
	l.serial++
	u.serial = l.serial
	q := &question{loop: l, id: s.id(), serial: u.serial, size: askedSize(u.request) + int64(len(u.lastID)+len(u.to.origin))}
	if l.server.asked.Add(q.size) > maxAsked {
		q.close()
		l.turnAway(s, u.to, reasonVerdicts)
		return
	}
	if v, ok := l.cfg.Authorizer.Authorize(u.request, l.server.wall(), q.answer); ok {
		q.close()
		l.decide(s, u.to, &v, u.lastID)
		return
	}
	u.to.origin, u.lastID = bytes.Clone(u.to.origin), bytes.Clone(u.lastID)
	l.dropHead(s) // which held them
	s.state = stateUndecided
	waiting := u // so that only what waits is on the heap
	l.undecided.set(s.id(), &waiting)
	l.countUndecided(1)
	l.scheduleStream(s)
}

// askedSize is the memory of a request as long as it is asked about, in bytes.
func askedSize(r *auth.Request) int64 {
	n := askedOverhead + len(r.Method) + len(r.Path) + len(r.Query) + len(r.Host) +
		len(r.Authorization) + len(r.Cookie) + len(r.Origin) + len(r.UserAgent) + len(r.FetchSite)
	for _, list := range [][]string{r.Channels, r.Signed} {
		for _, name := range list {
			n += len(name)
		}
	}
	return int64(n)
}

// close takes the request's size off the account. It returns false if that has been done.
func (q *question) close() bool {
	if q.closed.Swap(true) {
		return false
	}
	q.loop.server.asked.Add(-q.size)
	return true
}

// answer hands the verdict to the loop. Safe for concurrent use.
func (q *question) answer(v auth.Verdict) {
	if q.close() && q.loop.verdicts.posted.add(answer{q.id, q.serial, v}) {
		q.loop.waker.Signal()
	}
}

// answer is a verdict that has come, for the request with that serial.
type answer struct {
	id      streamID
	serial  uint64
	verdict auth.Verdict
}

// verdicts are the answers that the loop has not looked at yet. There are no more of them
// than questions.
type verdicts struct {
	posted posted[answer]
	taken  []answer // the loop's, taken[:next] are done
	next   int
}

// take returns the next answer. It returns false when there is none.
func (v *verdicts) take() (a answer, ok bool) {
	if v.next == len(v.taken) {
		clear(v.taken)
		v.taken, v.next = v.taken[:0], 0
		if cap(v.taken) > fewLeft { // a crowd's
			v.taken = nil
		}
		taken := v.posted.take(v.taken)
		if taken == nil {
			return answer{}, false
		}
		v.taken = taken
	}
	v.next++
	return v.taken[v.next-1], true
}

// takeVerdicts decides no more than budget requests whose verdicts have come. It returns
// true when there may be more.
func (l *loop) takeVerdicts(budget int) (more bool) {
	for range budget {
		a, ok := l.verdicts.take()
		if !ok {
			return false
		}
		u := l.undecided.m[a.id]
		if u == nil || u.serial != a.serial { // its client has left, or was told to come back
			l.counters.lateVerdicts.Add(1)
			continue
		}
		s := l.at(a.id)
		l.dropUndecided(s)
		s.state = stateHead
		if a.verdict.Status == auth.Granted && l.kicked.since(u.serial, a.verdict.User) {
			l.askAuthorizer(s, *u)
			continue
		}
		l.decide(s, u.to, &a.verdict, u.lastID)
	}
	return true
}

// undecidedDue has a client come back whose verdict takes too long.
func (l *loop) undecidedDue(s *stream) {
	u := l.undecided.m[s.id()]
	if l.now < u.deadline {
		l.scheduleStream(s)
		return
	}
	l.turnAway(s, u.to, reasonVerdictLate)
}

// turnAwayUndecided has no more than budget clients that wait for a verdict come back. It
// returns true when there are more.
func (l *loop) turnAwayUndecided(budget int, why reason) (more bool) {
	for id, u := range l.undecided.m {
		if budget == 0 {
			return true
		}
		budget--
		l.turnAway(l.at(id), u.to, why)
	}
	return false
}

// dropUndecided forgets the request of a connection that waits for its verdict.
func (l *loop) dropUndecided(s *stream) {
	l.undecided.remove(s.id())
	l.countUndecided(-1)
}

// countUndecided counts requests that wait: each may become a stream.
func (l *loop) countUndecided(n int64) {
	l.counters.undecided.Add(n)
	l.server.undecided.Add(n)
	l.occupancy.undecided.Add(n)
}

// hasPlace tells whether there is room for one more stream, were all requests that wait
// for a verdict to become one.
func (l *loop) hasPlace() bool {
	s, o := l.server, l.occupancy
	return s.streams.Load()+s.undecided.Load() < int64(s.capacity.streams) &&
		o.streams.Load()+o.undecided.Load() < int64(o.room.streams)
}
