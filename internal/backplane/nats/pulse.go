package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"millrace/internal/backplane/link"
)

const (
	// pulsePeriod is the time between two fences that show that the stream is alive, and
	// silence how long none may come back.
	pulsePeriod, silence = 2 * time.Second, 7 * time.Second
	// leaderElected is told by servers when a stream has a new leader.
	leaderElected = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
)

var (
	errLeader = errors.New("the stream has a new leader, which may have left something out")
	errSilent = fmt.Errorf("stored messages do not come back within %v", silence)
	errOld    = errors.New("history=jetstream needs NATS 2.10 or newer: update it, or leave the option out")
	errEpoch  = errors.New("the stream is another one")
)

// openHistory prepares the form with history.
func (s *session) openHistory(ctx context.Context) (err error) {
	h := s.history
	if v := s.conn.ConnectedServerVersion(); isBefore(v, 2, 10) {
		return fmt.Errorf("the server is NATS %s: %w", v, errOld)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.subjects, s.keeper = h.live, link.NewKeeper(s.Link, s)
	s.js, err = jetstream.New(s.conn, jetstream.WithPublishAsyncTimeout(timeout), jetstream.WithPublishAsyncMaxPending(maxUnacked))
	if err != nil {
		return err
	}
	if s.stream, err = h.open(ctx, s.js); err != nil {
		return fmt.Errorf("the stream %s: %w", h.stream, err)
	}
	s.epoch = epochOf(s.stream.CachedInfo())
	if err := s.skipDelivered(ctx); err != nil {
		return err
	}
	for _, subject := range []string{h.live + h.fence, leaderElected + h.stream} {
		if _, err := s.conn.ChanSubscribe(subject, s.messages); err != nil {
			return err
		}
	}
	s.pulse, s.beat = time.Tick(pulsePeriod), time.Now()
	return s.mark(ctx)
}

// isBefore tells whether a version is known to be older than major.minor.
func isBefore(version string, major, minor int) bool {
	var a, b int
	n, _ := fmt.Sscanf(version, "%d.%d", &a, &b)
	return n == 2 && (a < major || a == major && b < minor)
}

// skipDelivered sees to it that no number comes twice, when the stream has lost messages
// that were delivered.
func (s *session) skipDelivered(ctx context.Context) error {
	head := s.Feed.Head() // before the fence: in a successor, the predecessor raises it
	last, err := s.history.setFence(ctx, s.js)
	if err != nil || last > head {
		return err
	}
	s.Log.Error("the stream has lost messages that were delivered: it is purged, since numbers must not come twice",
		"stream", s.history.stream, "last", last, "delivered", head)
	return s.stream.Purge(ctx, jetstream.WithPurgeSequence(firstSequence()))
}

// mark sets a mark.
func (s *session) mark(ctx context.Context) error {
	s.marked = time.Now()
	return s.history.setMark(ctx, s.js, s.marked)
}

// sendPulse looks after the stream.
func (s *session) sendPulse(ctx context.Context) error {
	if time.Since(s.beat) > silence {
		return errSilent
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return err
	}
	if epochOf(info) != s.epoch {
		return errEpoch
	}
	if time.Since(s.marked) >= markPeriod {
		if err := s.mark(ctx); err != nil {
			return err
		}
	}
	return s.conn.PublishMsg(s.history.fenceMessage())
}
