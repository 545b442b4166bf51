package ops

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"millrace/channels"
)

// maxUnread is how much may wait for a follower of a channel, in bytes. Followers are
// people: messages above it are dropped, and the follower is told how many.
const maxUnread = 256 << 10

// follow answers GET /follow?channel= with the events of a channel, as its
// subscribers get them, and with millrace.skipped where some were dropped. A
// follower is a subscriber as any, whom receivers count; publishers do not wait
// for it.
func (s *Server) follow(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "channel")
	channel := q.Get("channel")
	if err == nil {
		err = channels.CheckName([]byte(channel))
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	stream := s.beginStream(w, r)
	if stream == nil {
		return
	}
	defer s.streams.End()
	ctx, cancel := context.WithCancel(r.Context())
	f := follower{broker: s.cfg.Broker, woken: make(chan struct{}, 1), filled: make(chan struct{}, 1)}
	var following sync.WaitGroup
	following.Go(func() { f.run(ctx, channel) })
	defer following.Wait()
	defer cancel()
	for stream.err == nil {
		select {
		case <-ctx.Done():
			return
		case <-f.filled:
			stream.write(f.take())
		}
	}
}

// follower takes messages out of an inbox as soon as they come, so that publishers do not
// wait for its reader.
type follower struct {
	broker *channels.Broker
	woken  chan struct{} // has an element when the inbox is not empty
	filled chan struct{} // has an element when unread is not empty

	mu      sync.Mutex
	unread  []byte // events as they stand in a stream
	skipped int    // since the last of them
}

// run follows the channel until ctx is done.
func (f *follower) run(ctx context.Context, channel string) {
	inbox := f.broker.NewInbox(func() { notify(f.woken) })
	chans, _ := inbox.Attach(nil, []byte(channel))
	defer func() {
		inbox.Detach(chans...)
		inbox.Served(inbox.Take(nil))
	}()
	f.put([]byte("event: millrace.following\ndata:\n\n"))
	var messages []*channels.Message
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.woken:
		}
		messages = inbox.Take(messages)
		inbox.Served(messages)
		for _, m := range messages {
			f.put(m.Wire)
		}
	}
}

// put adds an event to the unread ones, or counts it as skipped. One alone may be as
// large as events are.
func (f *follower) put(event []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.unread) > 0 && len(f.unread)+len(event) > maxUnread {
		f.skipped++
		return
	}
	f.unread = append(f.unread, event...)
	notify(f.filled)
}

// take returns the unread events, and how many are missing after them.
func (f *follower) take() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.unread
	if f.skipped > 0 {
		events = fmt.Appendf(events, "event: millrace.skipped\ndata: %d\n\n", f.skipped)
	}
	f.unread, f.skipped = nil, 0
	return events
}

// notify puts an element into c, which has room for one, unless there is one.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
