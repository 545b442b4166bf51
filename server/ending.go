package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"millrace/channels"
)

const (
	// endSlice is how many streams are ended between two looks at the poller: each takes
	// two system calls.
	endSlice = slice / 16
	// maxEndings is how many orders to end streams a loop carries out at a time.
	maxEndings = 1024
	// maxKicked is how many users a loop tells apart that were kicked while verdicts were
	// under way. With more, all of these verdicts are asked for anew.
	maxKicked = 64
)

// ErrEndings is returned when too many orders to end streams are under way.
var ErrEndings = errors.New("too many orders to end streams are under way, try again")

// ending is streams of one loop that are being ended: those on a channel, those of a user, or
// those of a user on a channel.
type ending struct {
	channel *loopChannel // nil: any
	left    int          // subscribers of the channel that have not been visited, from the first on
	user    string       // empty: any
	next    link         // without a channel: the next of the user's streams
	spread  time.Duration
	ended   atomic.Int64
	over    chan struct{} // closed when all have been visited
	told    bool          // it is closed
}

// tell has EndStreams wait for the order no more.
func (e *ending) tell() {
	if !e.told {
		e.told = true
		close(e.over)
	}
}

// EndStreams ends the streams on a channel, those of a user, or those of a user on a channel;
// an empty name is any, and both are not empty. Each gets all that has been published, and is told
// when to come back, at a time drawn from how many they are. Verdicts that were under way
// for a user without a channel are asked for anew. EndStreams returns how many streams it has
// ended; with an error, which may be a StuckError, those of some loops are not yet. Safe for
// concurrent use.
func (s *Server) EndStreams(ctx context.Context, channel, user string) (ended int, err error) {
	if channel == "" && user == "" {
		return 0, errors.New("neither a channel nor a user whose streams are to be ended")
	}
	if s.taking.postpone(order{channel, user}) {
		return 0, nil
	}
	var shared *channels.Channel
	if channel != "" {
		if shared = s.broker.Find(channel); shared == nil {
			return 0, nil
		}
	}
	isLeft := false
	endings, err := askAll(ctx, s, func(l *loop) *ending { return l.startEnding(shared, user) })
	for _, e := range endings {
		if e == nil {
			err = errors.Join(err, ErrEndings)
			continue
		}
		select {
		case <-e.over:
		case <-ctx.Done():
			isLeft = true
		}
		ended += int(e.ended.Load())
	}
	if isLeft {
		err = errors.Join(err, fmt.Errorf("the rest are being ended: %w", ctx.Err()))
	}
	return ended, err
}

// startEnding has endOn end streams of the loop. It returns nil if too many are being ended.
func (l *loop) startEnding(channel *channels.Channel, user string) *ending {
	if len(l.endings) >= maxEndings {
		return nil
	}
	e := &ending{user: user, over: make(chan struct{})}
	streams := 0
	if channel != nil {
		if i, ok := l.byChannel.m[channel]; ok {
			e.channel = l.channels[i]
			e.left = len(e.channel.subscribers)
			streams = e.left * len(l.server.loops) // which the kernel spreads evenly
		}
	} else {
		l.noteKicked(user)
	}
	if ref, n := l.server.users.Find(user); user != "" && ref != 0 {
		streams = n
		if channel == nil {
			e.next = l.byUser.m[ref]
		}
	}
	e.spread = min(max(time.Duration(streams)*time.Millisecond, time.Second), time.Minute)
	l.endings = append(l.endings, e)
	if l.handed != nil { // it is carried out here only if the loop is taken back
		e.tell()
	}
	return e
}

// endOn goes on with ending streams: it visits no more than budget. It returns true when there
// is more to do.
func (l *loop) endOn(budget int) (more bool) {
	for len(l.endings) > 0 {
		e := l.endings[0]
		for {
			if budget == 0 {
				return true
			}
			budget--
			s := l.nextOf(e)
			if s == nil {
				break
			}
			if l.isOf(s, e.user) && !l.isLeaving(s) {
				e.ended.Add(1)
				l.dismiss(s, farewell{why: reasonKicked, retry: e.spread/10 + rand.N(e.spread)})
			}
		}
		e.tell()
		l.endings = slices.Delete(l.endings, 0, 1)
	}
	return false
}

// nextOf returns the next stream of those that are being ended, nil if there is none left.
func (l *loop) nextOf(e *ending) *stream {
	if e.channel == nil {
		if e.next == 0 {
			return nil
		}
		id := e.next.id()
		e.next = l.grantOf(id).after
		return l.at(id)
	}
	// From the end down, as fan-out does.
	if e.left = min(e.left, len(e.channel.subscribers)); e.left == 0 {
		return nil
	}
	e.left--
	return l.at(e.channel.subscribers[e.left])
}

// isOf tells whether a stream is a user's; an empty name is any.
func (l *loop) isOf(s *stream, user string) bool {
	if user == "" {
		return true
	}
	if !s.flags.is(granted) {
		return false
	}
	ref := l.grantOf(s.id()).user
	return ref != 0 && l.server.users.Name(ref) == user
}

// abandonEndings ends the wait for endings that are not done, when the loop ends.
func (l *loop) abandonEndings() {
	for _, e := range l.endings {
		e.tell()
	}
	l.endings = nil
}

// kicked are users whose streams were ended while requests waited for their verdicts. Such a
// verdict may have been given before that.
type kicked struct {
	users []kickedUser
	all   uint64 // serial of the newest request that is asked about anew for any user
}

type kickedUser struct {
	name   string
	serial uint64 // of the newest request at that time
}

// noteKicked has the verdicts under way that grant something to user asked for anew.
func (l *loop) noteKicked(user string) {
	k := &l.kicked
	switch {
	case len(l.undecided.m) == 0:
		k.users = nil
		return
	case len(k.users) >= maxKicked:
		k.all, k.users = l.serial, nil
		return
	}
	k.users = append(k.users, kickedUser{user, l.serial})
}

// since tells whether a user was kicked after the request with that serial was asked about.
func (k *kicked) since(serial uint64, user string) bool {
	return user != "" && (serial <= k.all || slices.ContainsFunc(k.users, func(u kickedUser) bool {
		return u.name == user && serial <= u.serial
	}))
}
