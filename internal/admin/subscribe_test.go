package admin

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/channels"
	"millrace/internal/resp"
)

// Ensure that a subscriber which does not read is dropped, once, while publishers
// do not wait for it and another subscriber gets everything.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln, broker := newPipes(), channels.NewBroker(channels.Options{})
		s, err := New(ln, Config{Broker: broker.Ports(), Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		slow, reader := ln.dial(), ln.dial()
		defer slow.Close()
		exchange(t, slow, "SUBSCRIBE /a\n", push(":1\r\n", "subscribe", "/a"))
		exchange(t, slow, "PSUBSCRIBE /b*\n", push(":2\r\n", "psubscribe", "/b*"))
		exchange(t, reader, "SUBSCRIBE /a\n", push(":1\r\n", "subscribe", "/a"))
		data := strings.Repeat("x", 1000)
		message := push("", "message", "/a", data)
		most := maxUnsent/len(message) + 2 // the last one that fits, and the one that is being written

		var reading sync.WaitGroup
		read := make([]byte, (most+10)*len(message))
		reading.Go(func() {
			if n, err := io.ReadFull(reader, read); err != nil {
				t.Errorf("the reader got %d bytes: %v", n, err)
			}
		})
		began, receivers := time.Now(), 0
		for i := range most + 10 {
			receipt, err := broker.Publish("/a", channels.Event{Data: []byte(data)})
			if err != nil {
				t.Fatal(err)
			}
			if receivers = receipt.Receivers; i < most-3 && receivers != 2 {
				t.Fatalf("%d receivers of message %d, want 2", receivers, i)
			}
			synctest.Wait()
		}
		reading.Wait()
		if receivers != 1 {
			t.Errorf("%d receivers in the end, want 1", receivers)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("publishers waited %v", took)
		}
		if string(read) != strings.Repeat(message, most+10) {
			t.Error("the reader got something else")
		}
		if got := s.dropped.Load(); got != 1 || s.clients() != 1 || broker.Ports().Globs() != 0 {
			t.Errorf("%d dropped, %d clients left, %d patterns, want 1, 1, 0", got, s.clients(), broker.Ports().Globs())
		}
		if want := "level=WARN msg=\"an admin client is dropped: it does not read\" name=\"\" subscribed=true\n"; log.String() != want {
			t.Errorf("logged %q, want %q", log.String(), want)
		}
		reader.Close()
	})
}

// Ensure that a subscriber is dropped that takes nothing for a while, however
// little that is.
func TestSubscriberThatStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, broker := newPipes(), channels.NewBroker(channels.Options{})
		s, err := New(ln, Config{Broker: broker.Ports()})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		nc := ln.dial()
		defer nc.Close()
		exchange(t, nc, "SUBSCRIBE /a\n", push(":1\r\n", "subscribe", "/a"))
		time.Sleep(24 * time.Hour) // with nothing to take, it may
		broker.Publish("/a", channels.Event{Data: []byte("x")})
		time.Sleep(writeTimeout - time.Millisecond)
		synctest.Wait()
		if got := s.dropped.Load(); got != 0 {
			t.Errorf("dropped before %v", writeTimeout)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := s.dropped.Load(); got != 1 || broker.Ports().Subscribers("/a") != 0 {
			t.Errorf("%d dropped after %v, %d subscribers, want 1, 0", got, writeTimeout, broker.Ports().Subscribers("/a"))
		}
	})
}

// Ensure that a client that subscribes on and off while others publish sees, of
// each channel, a run of messages without a gap between confirmation and end.
func TestSubscribeWhilePublishing(t *testing.T) {
	broker := channels.NewBroker(channels.Options{})
	s := serve(t, Config{Broker: broker.Ports()})
	var published, allowed atomic.Int64 // no more than fits into an outbox, however slow this test reads
	var stop atomic.Bool
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer stop.Store(true)
	publishing.Go(func() {
		for !stop.Load() {
			if i := published.Load(); i < allowed.Load() {
				broker.Publish("/a", channels.Event{Data: fmt.Appendf(nil, "%d", i)})
				published.Add(1)
			} else {
				runtime.Gosched()
			}
		}
	})
	allow := func() { allowed.Store(published.Load() + 10_000) }
	c := newClient(t, dial(t, s))
	for range 20 {
		allow()
		c.send("SUBSCRIBE", "/a")
		c.want("subscribe /a 1")
		allow()
		first := c.number("message /a ")
		for i := 1; i < 20; i++ {
			if n := c.number("message /a "); n != first+i {
				t.Fatalf("message %d behind %d", n, first+i-1)
			}
		}
		before := broker.Ports().Subscribers("/a")
		c.send("UNSUBSCRIBE", "/a")
		for last := first + 19; ; last++ {
			reply := c.read()
			if reply == "unsubscribe /a 0" {
				break
			}
			if want := fmt.Sprintf("message /a %d", last+1); reply != want {
				t.Fatalf("%q, want %q", reply, want)
			}
		}
		if before != 1 || broker.Ports().Subscribers("/a") != 0 {
			t.Fatalf("%d subscribers, then %d, want 1, 0", before, broker.Ports().Subscribers("/a"))
		}
	}
}

// Ensure that a client which comes back can subscribe to all of its channels in one
// command, and that all are given back when it goes.
func TestManyChannels(t *testing.T) {
	broker := channels.NewBroker(channels.Options{})
	s := serve(t, Config{Broker: broker.Ports()})
	nc := dial(t, s)
	c := newClient(t, nc)
	args := []string{"SUBSCRIBE"}
	const n = 20_000
	for i := range n {
		args = append(args, fmt.Sprintf("action_cable:rooms:Z2lkOi8vYXBwL1Jvb20v%d", i))
	}
	go c.send(args...)
	for i := range n {
		c.want(fmt.Sprintf("subscribe %s %d", args[i+1], i+1))
	}
	if r, err := broker.Publish(args[n], channels.Event{Data: []byte("x")}); r.Receivers != 1 || err != nil {
		t.Errorf("%d receivers, %v, want 1", r.Receivers, err)
	}
	c.want("message " + args[n] + " x")
	nc.Close()
	s.Close()
	if left := broker.Ports().Channels(); len(left) != 0 {
		t.Errorf("%d channels are left", len(left))
	}
}

// client speaks to the server one reply at a time, each as its elements with blanks
// between them.
type client struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func newClient(t testing.TB, nc net.Conn) *client {
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(args ...string) {
	if _, err := c.nc.Write(resp.AppendCommand(nil, args...)); err != nil {
		c.t.Error(err)
	}
}

func (c *client) read() string {
	c.t.Helper()
	reply, err := resp.ReadReply(c.r)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Trim(fmt.Sprint(reply), "[]")
}

func (c *client) want(reply string) {
	c.t.Helper()
	if got := c.read(); got != reply {
		c.t.Fatalf("got %q, want %q", got, reply)
	}
}

// number reads a reply that begins with prefix and returns the number behind it.
func (c *client) number(prefix string) (n int) {
	c.t.Helper()
	reply := c.read()
	if _, err := fmt.Sscanf(strings.TrimPrefix(reply, prefix), "%d", &n); err != nil || !strings.HasPrefix(reply, prefix) {
		c.t.Fatalf("got %q, want %s and a number", reply, prefix)
	}
	return n
}
