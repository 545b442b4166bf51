package enginetest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// stream is a client that listens to channels, and comes back with its last event
// id, to whichever node there is, when its connection is lost.
type stream struct {
	nodes    []*Node
	at       int // index of the node that it is connected to
	channels []int
	target   string
	opened   func() // called when the first response head is complete
	arrived  func() // called for every message, if not nil

	mu     sync.Mutex
	got    []message          // in the order of their arrival
	newest map[[2]int16]int32 // number by channel and publisher
	pings  int
	failed error // the first bytes that no server may send
}

func newStream(nodes []*Node, at int, names []string, channels ...int) *stream {
	s := &stream{nodes: nodes, at: at, channels: channels, newest: make(map[[2]int16]int32)}
	s.target = "/" + url.PathEscape(strings.TrimPrefix(names[channels[0]], "/"))
	for i, channel := range channels[1:] {
		s.target += fmt.Sprintf("%cchannel=%s", "?&"[min(i, 1)], url.QueryEscape(names[channel]))
	}
	return s
}

// run listens until ctx is done.
func (s *stream) run(ctx context.Context, opened func()) {
	s.opened = opened
	lastID := ""
	for ctx.Err() == nil {
		s.connect(ctx, &lastID)
		if ctx.Err() != nil {
			return
		}
		s.at = (s.at + 1) % len(s.nodes)
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(20 * time.Millisecond)):
		}
	}
}

// connect listens until the connection ends.
func (s *stream) connect(ctx context.Context, lastID *string) {
	public, _ := s.nodes[s.at].Addresses()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", public)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer conn.Close()
	defer stop()
	request := "GET " + s.target + " HTTP/1.1\r\nHost: test\r\n"
	if *lastID != "" {
		request += "Last-Event-ID: " + *lastID + "\r\n"
	}
	if _, err := conn.Write([]byte(request + "\r\n")); err != nil {
		return
	}
	lines := bufio.NewReaderSize(conn, 1<<10)
	line, err := lines.ReadString('\n')
	if err != nil {
		return
	}
	if line != "HTTP/1.1 200 OK\r\n" {
		s.fail(fmt.Errorf("GET %s: %q, want 200", s.target, line))
		return
	}
	for line != "\r\n" {
		if line, err = lines.ReadString('\n'); err != nil {
			return
		}
	}
	if s.opened != nil {
		s.opened()
		s.opened = nil
	}
	s.read(lines, lastID)
}

// read takes events in until there are no more.
func (s *stream) read(lines *bufio.Reader, lastID *string) {
	var event, data, id string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			event = value
		case "data":
			data = value
		case "id":
			id = value
		case ":keepalive":
			s.ping()
		case "":
			if id != "" {
				*lastID = id
			}
			if data != "" {
				s.take(event, data)
			}
			event, data, id = "", "", ""
		}
	}
}

// take notes an event.
func (s *stream) take(event, data string) {
	var m message
	switch {
	case event == "millrace.start":
		return
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
