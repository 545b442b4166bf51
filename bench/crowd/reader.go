package crowd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"millrace/internal/eventstream"
)

// reader is an event stream that reads all the time, and comes back where it was if it ends.
type reader struct {
	kind  Kind
	order *order
	open  *opener
	seen  *seen
	ready chan struct{} // closed when the stream is open for the first time
	once  sync.Once
}

// again is the time until a reader that has ended comes back.
const again = 50 * time.Millisecond

func (r *reader) run(ctx context.Context) {
	defer r.open.client.CloseIdleConnections() // HTTP/2 keeps its own
	events := eventstream.Reader{Strict: true}
	for ctx.Err() == nil {
		open, err := r.follow(ctx, &events)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errFault):
			r.seen.fault(r.kind, err)
		case open:
			r.seen.end(r.kind, err)
		} // else it comes back in vain, and what it misses is found missing
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// errFault is wrapped by what a reader must never see.
var errFault = errors.New("fault")

// follow reads one stream until it ends, and tells whether it was open before.
func (r *reader) follow(ctx context.Context, events *eventstream.Reader) (open bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := r.open.stream(ctx, r.order.channels(), events.LastID)
	if err != nil {
		return false, err
	}
	defer body.Close()
	events.Reset(bufio.NewReader(body))
	from := place(events.LastID)
	resumes := events.LastID != ""
	for {
		e, err := events.Next()
		if errors.Is(err, eventstream.ErrStrict) {
			return open, fmt.Errorf("%w: %w", errFault, err)
		}
		if err != nil {
			return open, err
		}
		if e.Type == "millrace.gap" {
			return open, fmt.Errorf("%w: a gap: %s", errFault, e.Data)
		}
		if e.Type == "millrace.start" {
			if resumes && !strings.Contains(e.Data, `"resumed":true`) {
				return open, fmt.Errorf("%w: not resumed after %s: %s", errFault, e.ID, e.Data)
			}
			r.once.Do(func() { close(r.ready) })
			from, open = place(e.ID), true
			continue
		}
		if e.Empty {
			continue
		}
		if !open {
			return open, fmt.Errorf("%w: an event before millrace.start: %.60q", errFault, e.Data)
		}
		if here := place(e.ID); here.epoch != from.epoch || here.sequence <= from.sequence {
			return open, fmt.Errorf("%w: id %s after %v", errFault, e.ID, from)
		} else {
			from = here
		}
		at, err := r.order.take(e.Data)
		if err != nil {
			return open, fmt.Errorf("%w: %w", errFault, err)
		}
		r.seen.arrived(time.Since(at))
	}
}

// position is an event id in its parts.
type position struct {
	epoch    string
	sequence uint64
}

func place(id string) position {
	epoch, number, _ := strings.Cut(id, "-")
	sequence, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return position{}
	}
	return position{epoch, sequence}
}
