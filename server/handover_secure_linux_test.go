package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that clients of every transport go on beneath a handover: their streams, requests that
// they make afterwards on the same connection, and those that are new.
func TestHandOverTransports(t *testing.T) {
	ssetest.Over(t, func(t *testing.T, via ssetest.Transport) {
		s, broker := startOver(t, via, Config{Loops: 2, Drain: 50 * time.Millisecond}, channels.Options{})
		var clients []*client
		for i := range 20 {
			clients = append(clients, subscribeOver(t, via, s, fmt.Sprintf("/news-%d", i%2)))
		}
		kept, err := reach(s, via, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer kept.Close()
		if via == ssetest.H2 { // its streams share a connection
			answer, err := kept.Get("/news-0")
			if err != nil {
				t.Fatal(err)
			}
			c := &client{t, kept, bufio.NewReader(answer.Body)}
			c.want(":\n\n")
			clients = append(clients, c)
		}
		round := func(text string) {
			for i := range 2 {
				if _, err := broker.Publish(fmt.Sprint("/news-", i), channels.Event{Data: []byte(text)}); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range clients {
				c.want("data: " + text + "\n\n")
			}
		}
		round("before")
		for n := range 2 {
			streams := len(clients)
			next, to, moved := upgrade(t, s, channels.Options{})
			broker = to
			if moved.Streams != streams || moved.Closed != 0 {
				t.Errorf("%+v, want %d streams and none closed", moved, streams)
			}
			s = next
			round(fmt.Sprint("after ", n))
			if via == ssetest.H2 {
				answer, err := kept.Get("/news-1")
				if err != nil {
					t.Fatal(err)
				}
				c := &client{t, kept, bufio.NewReader(answer.Body)}
				c.want(":\n\n")
				clients = append(clients, c)
			}
			clients = append(clients, subscribeOver(t, via, s, "/news-0"))
			round(fmt.Sprint("with more ", n))
			stats := s.Stats()
			if int(stats.Streams) != len(clients) {
				t.Errorf("%d streams are counted, want %d", stats.Streams, len(clients))
			}
		}
		if _, err := kept.Get("/healthz"); via != ssetest.H2 && err != nil { // its first request
			t.Error(err)
		}
		drained := make(chan struct{})
		go func() { s.Drain(); close(drained) }()
		for _, c := range clients {
			if _, err := io.ReadAll(c.r); err != nil {
				t.Errorf("a stream ends out of order: %v", err)
			}
		}
		for _, c := range clients {
			c.Close()
		}
		kept.Close()
		<-drained
	})
}

// Ensure that what cannot be handed over has a moment, and is ended and counted then: handshakes
// under way, and connections of HTTP/2 whose client has not acknowledged our settings. What has
// not begun moves.
func TestHandOverUnmovable(t *testing.T) {
	s, _ := startOver(t, ssetest.TLS, Config{Loops: 1}, channels.Options{})
	connect := func() net.Conn {
		conn, err := net.Dial("tcp", s.TLSAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		return conn
	}
	stalled, unacknowledged := connect(), connect()
	io.WriteString(stalled, clientHello(t))
	h2 := tls.Client(unacknowledged, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := h2.Handshake(); err != nil {
		t.Fatal(err)
	}
	half := &cutHello{Conn: connect(), rest: make(chan struct{})}
	shaken := make(chan error)
	secured := tls.Client(half, &tls.Config{InsecureSkipVerify: true})
	go func() { shaken <- secured.Handshake() }()
	testenv.Eventually(t, "all connections are served", func() bool {
		n := s.Stats()
		return n.H2 == 1 && n.Handshaking == 1 && n.Connections == 3
	})
	next, broker, moved := upgrade(t, s, channels.Options{})
	if moved.Connections != 1 || moved.Closed != 2 {
		t.Errorf("%+v, want 1 connection and 2 closed", moved)
	}
	if n := s.Stats().HandshakeFailures["upgrade"]; n != 1 {
		t.Errorf("%d handshakes are counted as ended for an upgrade, want 1", n)
	}
	if _, err := io.ReadAll(h2); err != nil {
		t.Errorf("a connection of HTTP/2 that is ended is not told: %v", err)
	}
	close(half.rest)
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	c := &client{t, secured, bufio.NewReader(secured)}
	c.ask("/x")
	publish(t, broker, "/x", "hello", 1)
	c.skipTo("data: hello\n")
	if n := next.Stats(); n.Secure != 1 || n.Streams != 1 {
		t.Errorf("%d connections with TLS and %d streams, want 1 of each", n.Secure, n.Streams)
	}
}

// cutHello is a client's socket that sends the end of what is written first when rest is closed.
type cutHello struct {
	net.Conn
	rest chan struct{}
	once sync.Once
}

func (c *cutHello) Write(p []byte) (n int, err error) {
	c.once.Do(func() {
		if n, err = c.Conn.Write(p[:len(p)-10]); err == nil {
			<-c.rest
		}
	})
	rest, err := c.Conn.Write(p[n:])
	return n + rest, err
}
