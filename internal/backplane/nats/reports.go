package nats

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// reports are the errors that the server reports beside its answers: that a subject must
// not be published on, for example, or subscribed to. The client hands them
// over by a goroutine of its own, so one may still be under way when a flush that
// came after it is answered: settle waits for it.
type reports struct {
	conn   *nats.Conn
	astray func(error) // is given errors that belong to nothing under way

	mu         sync.Mutex
	recent     [16]error                // the newest that were handed over
	count      int                      // of all
	more       chan struct{}            // closed when there is another one
	publishing map[*publishing]struct{} // that are under way
	refused    map[string]error         // the subjects of a batch that is under way, with why they were refused, if so
	full       bool                     // there were too many subscriptions for the batch that is under way
}

// publishing is one message that is being published.
type publishing struct {
	subject string
	ctx     context.Context         // ends when it is refused
	refuse  context.CancelCauseFunc // of ctx, with the reason
}

// settled bounds the time that settle waits for an error that is not handed over, which
// should not be, or which is the same as one before.
const settled = 50 * time.Millisecond

// violation finds the operation that the server does not allow, and its subject.
var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription) to "(\S+)"`)

func newReports(astray func(error)) *reports {
	return &reports{more: make(chan struct{}), publishing: make(map[*publishing]struct{}), astray: astray}
}

// take takes in an error that the client hands over.
func (r *reports) take(err error) {
	r.mu.Lock()
	mine := r.assign(err)
	r.recent[r.count%len(r.recent)] = err
	r.count++
	close(r.more)
	r.more = make(chan struct{})
	r.mu.Unlock()
	if !mine {
		r.astray(err)
	}
}

// assign gives an error to the operation that it belongs to, if that is under way. Called
// with mu held.
func (r *reports) assign(err error) (found bool) {
	if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) && r.refused != nil {
		r.full = true
		return true
	}
	what := violation.FindStringSubmatch(err.Error())
	if what == nil {
		return false
	}
	if strings.EqualFold(what[1], "subscription") {
		if _, found = r.refused[what[2]]; found {
			r.refused[what[2]] = err
		}
		return found
	}
	for p := range r.publishing {
		if p.subject == what[2] {
			p.refuse(err)
			found = true
		}
	}
	return found
}

// begin notes that a subject is about to be published on, until end.
func (r *reports) begin(ctx context.Context, subject string) *publishing {
	ctx, refuse := context.WithCancelCause(ctx)
	p := &publishing{subject, ctx, refuse}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.publishing[p] = struct{}{}
	return p
}

// end takes back begin.
func (r *reports) end(all []*publishing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range all {
		p.refuse(nil)
		delete(r.publishing, p)
	}
}

// subscribe has do subscribe to subjects and flush, and returns those that the server
// has refused, with the reasons. full tells that it may have refused any, for they are too
// many.
func (r *reports) subscribe(subjects []string, do func() error) (refused map[string]error, full bool, err error) {
	all := make(map[string]error, len(subjects))
	for _, subject := range subjects {
		all[subject] = nil
	}
	r.mu.Lock()
	r.refused, r.full = all, false
	r.mu.Unlock()
	if err = do(); err == nil {
		r.settle()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = nil
	for subject, reason := range all {
		if reason == nil {
			delete(all, subject)
		}
	}
	return all, r.full, err
}

// settle waits until the refusals have been handed over that came before it. Each is a
// value of its own, and the client hands them over in order, so the last one tells.
func (r *reports) settle() {
	last := r.conn.LastError()
	full := errors.Is(last, nats.ErrMaxSubscriptionsExceeded) // which is always the same value
	if !full && !errors.Is(last, nats.ErrPermissionViolation) {
		return
	}
	timeout := time.After(settled)
	for {
		r.mu.Lock()
		done, more := !full && slices.Contains(r.recent[:], last), r.more
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-more:
		case <-timeout:
			return
		}
	}
}

// failed is called by the client for errors that do not end the connection.
func (s *session) failed(conn *nats.Conn, sub *nats.Subscription, err error) {
	switch {
	case sub == nil:
		s.reports.take(err)
		return
	case errors.Is(err, nats.ErrBadHeaderMsg) && s.keeper != nil:
		return // the message comes, without a sequence
	case !errors.Is(err, nats.ErrBadHeaderMsg) && !errors.Is(err, nats.ErrSlowConsumer):
		s.Log.Error("NATS reports an error", "error", err)
		conn.Close()
		return
	}
	channel, _ := channelOf(strings.TrimPrefix(sub.Subject, s.subjects))
	select {
	case s.lost <- channel:
	default:
		s.Log.Error("too much is lost to tell each channel: connecting again tells all", "error", err)
		conn.Close()
	}
}

// astray takes in a report of the server that belongs to nothing under way. It ends the
// session, unless the report is about a publish that was given up: its publisher was told.
func (s *session) astray(end context.CancelCauseFunc, err error) {
	what := violation.FindStringSubmatch(err.Error())
	if what == nil || !strings.EqualFold(what[1], "publish") || !s.isChannel(what[2]) {
		end(err)
	}
}

// isChannel tells whether events are published on a subject.
func (s *session) isChannel(subject string) bool {
	name, ok := strings.CutPrefix(subject, s.prefix)
	if ok {
		_, ok = channelOf(name)
	}
	return ok
}
