package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/internal/eventstream"
	"millrace/internal/ssetest"
)

// stream is a client that listens to channels, and comes back with its last event
// id, to whichever node there is, when its connection is lost.
type stream struct {
	nodes    []*Node
	at       atomic.Int32 // index of the node that it is connected to
	channels []int
	target   string
	opened   func()       // called when the first response head is complete
	arrived  func()       // called for every message, if not nil
	returns  atomic.Int32 // times that it has come back

	mu     sync.Mutex
	got    []message          // in the order of their arrival
	newest map[[2]int16]int32 // number by channel and publisher
	pings  int
	failed error // the first bytes that no server may send
}

func newStream(nodes []*Node, at int, names []string, channels ...int) *stream {
	s := &stream{nodes: nodes, channels: channels, newest: make(map[[2]int16]int32)}
	s.at.Store(int32(at))
	s.target = "/" + url.PathEscape(strings.TrimPrefix(names[channels[0]], "/"))
	for i, channel := range channels[1:] {
		s.target += fmt.Sprintf("%cchannel=%s", "?&"[min(i, 1)], url.QueryEscape(names[channel]))
	}
	return s
}

// run listens until ctx is done.
func (s *stream) run(ctx context.Context, opened func()) {
	s.opened = opened
	c := ssetest.Client{Target: s.target}
	defer c.Close()
	for ctx.Err() == nil {
		s.connect(ctx, &c)
		if ctx.Err() != nil {
			return
		}
		s.returns.Add(1)
		s.at.Store((s.at.Load() + 1) % int32(len(s.nodes)))
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(20 * time.Millisecond)):
		}
	}
}

// connect listens until the connection ends.
func (s *stream) connect(ctx context.Context, c *ssetest.Client) {
	public, _ := s.nodes[s.at.Load()].Addresses()
	err := c.OpenContext(ctx, public, time.Time{})
	if err == nil && s.opened != nil {
		s.opened()
		s.opened = nil
	}
	for err == nil {
		var ev ssetest.Event
		switch ev, err = c.Next(); {
		case err != nil:
		case ev.Comment == "keepalive":
			s.ping()
		case !ev.Empty:
			s.take(ev.Type, ev.Data)
		}
	}
	if errors.Is(err, ssetest.ErrAnswer) || errors.Is(err, eventstream.ErrStrict) {
		s.fail(fmt.Errorf("GET %s: %w", s.target, err))
	}
}

// take notes an event.
func (s *stream) take(event, data string) {
	var m message
	switch {
	case event == "":
		var err error
		if m, err = parseMessage(data); err != nil {
			s.fail(fmt.Errorf("data %q: %w", data, err))
		}
	case event == "millrace.gap" && strings.Contains(data, `"reason":"backplane"`):
		m.number = gap
	case event == "millrace.gap" && strings.Contains(data, `"reason":"restart"`):
		m.number = anew
	default:
		s.fail(fmt.Errorf("unexpected event of type %q, data %q", event, data))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, m)
	if m.number > 0 {
		s.newest[[2]int16{m.channel, m.publisher}] = m.number
		if s.arrived != nil {
			s.arrived()
		}
	}
}

func (s *stream) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pings++
}

// pinged returns how many pings have come.
func (s *stream) pinged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// has tells whether the stream has got a message of a publisher that is not older
// than number on each of its channels.
func (s *stream) has(publisher int16, numbers []int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, channel := range s.channels {
		if s.newest[[2]int16{int16(channel), publisher}] < numbers[channel] {
			return false
		}
	}
	return true
}
