package admin

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts the calls that would be system calls.
type counted struct {
	net.Conn
	reads, writes int
}

func (c *counted) Read(p []byte) (int, error)  { c.reads++; return c.Conn.Read(p) }
func (c *counted) Write(p []byte) (int, error) { c.writes++; return c.Conn.Write(p) }

// Ensure that commands that come together are answered together, in order.
func TestPipeline(t *testing.T) {
	broker := &recorder{subscribers: map[string]int{"/a": 3}}
	ln := newPipes()
	s, err := New(ln, Config{Broker: broker})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	client, server := net.Pipe()
	defer client.Close()
	nc := &counted{Conn: server}
	ln.accept <- nc

	var input, want strings.Builder
	var published []string
	const n = 1000
	for i := range n {
		fmt.Fprintf(&input, "*3\r\n$7\r\npublish\r\n$2\r\n/%c\r\n$3\r\n%03d\r\n", 'a'+rune(i%2), i)
		fmt.Fprintf(&want, ":%d\r\n", 3-3*(i%2))
		published = append(published, fmt.Sprintf("/%c \"%03d\"", 'a'+rune(i%2), i))
	}
	exchange(t, client, input.String(), want.String())
	client.Close()
	s.Close()
	if nc.reads > 3 || nc.writes > 2 {
		t.Errorf("%d requests took %d reads and %d writes", n, nc.reads, nc.writes)
	}
	if got := broker.take(); !slices.Equal(got, published) {
		t.Errorf("published %q, want %q", got, published)
	}
}

// Ensure that a client may send much before it reads, but is read from no more when
// too much waits for it, and ended when it takes nothing.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		nc := ln.dial()
		defer nc.Close()
		began := time.Now()
		echo := strings.Repeat("ECHO "+strings.Repeat("x", 1000)+"\n", 50)
		sent := 0
		for {
			n, err := io.WriteString(nc, echo)
			sent += n
			if err != nil {
				break
			}
		}
		if took := time.Since(began); took != writeTimeout {
			t.Errorf("cut off after %v, want %v", took, writeTimeout)
		}
		if sent < maxUnread-2*bufferSize || sent > maxUnread+3*bufferSize {
			t.Errorf("the server took %d bytes without an answer being read, want about %d", sent, maxUnread)
		}
		synctest.Wait()
		if s.unsent.Load() != 0 {
			t.Errorf("%d bytes wait for nobody", s.unsent.Load())
		}
		if !strings.Contains(log.String(), "does not read") {
			t.Errorf("logged %q", log.String())
		}
	})
}

// Ensure that an HTTP request is not answered, nor anything behind it done.
func TestCrossProtocol(t *testing.T) {
	for _, input := range []string{
		"POST / HTTP/1.1\r\nHost: 127.0.0.1:7379\r\nContent-Length: 14\r\n\r\nPUBLISH /a b\r\n",
		"GET / HTTP/1.1\r\nHost: 127.0.0.1:7379\r\n\r\nPUBLISH /a b\r\n",
		"PING\r\npost /\r\nPUBLISH /a b\r\n",
	} {
		var log bytes.Buffer
		broker := &recorder{}
		s := serve(t, Config{Broker: broker, Logger: logTo(&log)})
		nc := dial(t, s)
		io.WriteString(nc, input)
		if got, _ := io.ReadAll(nc); len(got) != 0 { // a reset is as good an end as any
			t.Errorf("%q was answered %q", input, got)
		}
		s.Close()
		if published := broker.take(); published != nil {
			t.Errorf("%q published %q", input, published)
		}
		if want := "level=WARN msg=\"admin port aborted an HTTP request, possibly an attack through somebody's browser\"\n"; log.String() != want {
			t.Errorf("%q logged %q, want %q", input, log.String(), want)
		}
	}
}

// Ensure that a client reads why it was refused, though it has sent much more
// than was read.
func TestLinger(t *testing.T) {
	s := serve(t, Config{Broker: &recorder{}})
	want := "-ERR Protocol error: invalid bulk length \"20000000\": want 0 to 126976: an event may have 61440 bytes (--max-event-bytes)\r\n"
	if got := ask(t, s, "*3\r\n$7\r\nPUBLISH\r\n$2\r\n/a\r\n$20000000\r\n"+strings.Repeat("x", 20_000_000)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Ensure that the buffers of a connection grow with a request and shrink after
// it.
func TestBuffers(t *testing.T) {
	s, err := New(newPipes(), Config{Broker: &recorder{}, MaxEventBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	large := strings.Repeat("x", 1<<20)
	nc := &scripted{input: []byte("PUBLISH /a " + large + "\nECHO " + large + "\nPING\n"), chunk: 1000}
	c := newConn(s, nc, 1)
	largest := 0
	nc.onRead = func() { largest = max(largest, len(c.buf)) }
	c.serve()
	if got, want := nc.output.String(), ":0\r\n$1048576\r\n"+large+"\r\n+PONG\r\n"; got != want {
		t.Errorf("answer of %d bytes, want %d", len(got), len(want))
	}
	if largest != 2<<20 || len(c.buf) != bufferSize || cap(c.out) > 2*bufferSize {
		t.Errorf("largest input buffer %d, at the end %d and %d for output", largest, len(c.buf), cap(c.out))
	}
}

// Ensure that replies which are larger than their requests do not pile up.
func TestRepliesDoNotPileUp(t *testing.T) {
	s, err := New(newPipes(), Config{Broker: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	nc := &scripted{input: []byte(strings.Repeat("HELLO\n", 10_000)), chunk: bufferSize}
	largest := 0
	nc.onWrite = func(p []byte) { largest = max(largest, len(p)) }
	newConn(s, nc, 7).serve()
	if n := strings.Count(nc.output.String(), hello(2)); n != 10_000 {
		t.Errorf("%d answers, want 10000", n)
	}
	if most := bufferSize + len(hello(2)); largest > most {
		t.Errorf("%d bytes in one write, want at most %d", largest, most)
	}
}
