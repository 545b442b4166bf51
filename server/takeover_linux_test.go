package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/handover"
	"millrace/internal/testenv"
)

// Ensure that a server goes on with all that it has when its successor ends before anything is
// committed, at any step, and can be handed over later.
func TestHandOverGivenUp(t *testing.T) {
	opts := channels.Options{}
	for _, tables := range []FDTables{FDTablesShared, FDTablesPerLoop} {
		t.Run(string(tables), func(t *testing.T) {
			s, broker := start(t, Config{Loops: 2, FDTables: tables}, opts)
			var clients []*client
			for range 10 {
				clients = append(clients, subscribe(t, s, "/a"))
			}
			half := dial(t, s)
			io.WriteString(half, "GET /a HTTP/1.1\r\nHo")
			want := ""
			event := func() {
				data := fmt.Sprint(len(want))
				publish(t, broker, "/a", data, len(clients))
				want += "data: " + data + "\n\n"
			}
			for prepared := range 3 {
				event()
				u := succeed(t, s, opts)
				for i := range prepared {
					u.hand(i)
					event()
				}
				for _, of := range []*Server{s, u.next} { // whose loops are on their way, and none is stuck
					if err := of.Probe(t.Context()); err != nil {
						t.Error(err)
					}
				}
				u.next.Close()
				for _, end := range u.ends[prepared:] {
					unix.Close(end)
				}
				if _, err := s.TakeBack(); err != nil {
					t.Fatal(err)
				}
				u.tap.Close()
				<-u.relaying
				event()
			}
			for _, c := range clients {
				c.want(want)
			}
			s, broker, moved := upgrade(t, s, opts)
			if moved.Connections != len(clients)+1 {
				t.Errorf("%+v, want %d connections", moved, len(clients)+1)
			}
			publish(t, broker, "/a", "moved", len(clients))
			for _, c := range clients {
				c.want("data: moved\n\n")
			}
			io.WriteString(half, "st: test\r\n\r\n")
			half.skipTo(":\n")
			if s.Stats().Closed["upgrade"] != 0 {
				t.Errorf("%d connections were ended for the upgrade, want none", s.Stats().Closed["upgrade"])
			}
		})
	}
}

// Ensure that a loop which has been handed over lies still, though pings would be due: what its
// timers are for is its successor's.
func TestHandedLoopLiesStill(t *testing.T) {
	opts := channels.Options{}
	s, _ := start(t, Config{Loops: 1, Keepalive: 20 * time.Millisecond}, opts)
	for range 20 {
		subscribe(t, s, "/a")
	}
	u := succeed(t, s, opts)
	u.hand(0)
	before, began := s.Stats().Step, s.clock()
	testenv.Eventually(t, "ten pings are due", func() bool { return s.clock() > began+200*time.Millisecond })
	after := s.Stats().Step
	if steps := after.Since(&before); steps.Count() > 20 {
		t.Errorf("the loop has turned %d times since it was handed over, want hardly once", steps.Count())
	}
	u.commit(0)
	u.over()
}

// Ensure that a successor asks once for each verdict that its predecessor waited for.
func TestTakeOverQuestions(t *testing.T) {
	const clients = 100
	asked := &late{Authorizer: authorizer(func(r *auth.Request, _ time.Time) auth.Verdict {
		return auth.Verdict{Means: "ticket", Channels: r.Channels}
	})}
	s, _ := start(t, Config{Loops: 1, Authorizer: asked}, channels.Options{})
	for range clients {
		io.WriteString(dial(t, s), "GET /a HTTP/1.1\r\nHost: test\r\n\r\n")
	}
	testenv.Eventually(t, "all have asked", func() bool { return asked.questions() == clients })
	next, _, _ := upgrade(t, s, channels.Options{})
	if n := asked.questions(); n != 2*clients {
		t.Errorf("the authorizer was asked %d times, want %d", n, 2*clients)
	}
	asked.answer()
	testenv.Eventually(t, "all are streams", func() bool { return next.Stats().Streams == clients })
}

// Ensure that a successor serves what it has when its predecessor has died: loops that were
// prepared, and others with listeners of their own.
func TestGoOn(t *testing.T) {
	opts := channels.Options{}
	s, broker := start(t, Config{Loops: 3}, opts)
	addr := s.Addr().String()
	var clients []*client
	for range 30 {
		clients = append(clients, subscribe(t, s, "/a"))
	}
	publish(t, broker, "/a", "before", len(clients))
	for _, c := range clients {
		c.want("data: before\n\n")
	}
	u := succeed(t, s, opts)
	moved := u.hand(0)
	u.commit(0)
	moved.Streams += u.hand(1).Streams
	u.tap.Close()
	<-u.relaying
	s.LetGo() // of what is handed over: the rest ends, as if the process did
	for _, end := range u.ends[2:] {
		unix.Close(end)
	}
	s.Close()
	for range 2 {
		if a := <-u.next.Adopted(); a.Stage != Failed {
			t.Errorf("%+v, want it to wait", a)
		}
	}
	if err := u.to.GoOn(); err != nil {
		t.Fatal(err)
	}
	u.next.GoOn()
	for range 2 {
		if a := <-u.next.Adopted(); a.Stage != Serving {
			t.Errorf("%+v, want it to serve", a)
		}
	}
	u.next.Switched()
	publish(t, u.to, "/a", "after", moved.Streams)
	left := 0
	for _, c := range clients {
		if line, err := c.r.ReadString('\n'); err == nil && line == "data: after\n" {
			left++
		} else if err == nil {
			t.Errorf("read %q, want the message or the end", line)
		}
	}
	if left != moved.Streams || left == len(clients) || left == 0 {
		t.Errorf("%d streams go on, want the %d that had been handed over, of %d", left, moved.Streams, len(clients))
	}
	for range 20 { // at every listener
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: test\r\n\r\n")
		if got, err := bufio.NewReader(conn).ReadString(':'); err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// Ensure that a loop that gets something wrong serves nothing, tells why, and keeps nothing.
func TestTakeOverNonsense(t *testing.T) {
	opts := channels.Options{}
	send := func(c *handover.Conn, kind handover.Kind, record handover.Record, fds ...int) {
		if err := c.Send(kind, handover.Encode(handover.Version, record), fds...); err != nil {
			t.Error(err)
		}
	}
	head := handover.LoopHead{Channels: 1, Connections: 1, Reasons: reasonNames[:]}
	channel := &handover.LoopChannel{Name: []byte("/a"), Subscribers: 1}
	stream := handover.Connection{Stream: handover.Stream{Use: handover.UseStream}, Timer: -1}
	with := func(change func(c *handover.Connection)) *handover.Connection {
		c := stream
		change(&c)
		return &c
	}
	for _, tt := range []struct {
		name string
		want string
		send func(c *handover.Conn, socket int, cookie uint64)
	}{
		{"the end", "EOF", func(c *handover.Conn, _ int, _ uint64) { c.Interrupt() }},
		{"another step", "want loop", func(c *handover.Conn, _ int, _ uint64) { send(c, handover.KindCommit, &handover.LoopEnd{}) }},
		{"another loop", "event loop 0 got", func(c *handover.Conn, _ int, _ uint64) { send(c, handover.KindLoop, &handover.LoopHead{Loop: 1}) }},
		{"a listener for TLS", "cannot be served", func(c *handover.Conn, socket int, _ uint64) { send(c, handover.KindLoop, &head, socket) }},
		{"too few channels", "0 channels have come, want 1", func(c *handover.Conn, _ int, _ uint64) {
			send(c, handover.KindLoop, &head)
			send(c, handover.KindLoopEnd, &handover.LoopEnd{Connections: 1})
		}},
		{"fewer subscribers than none", "-1 subscribers, want 0 or more", func(c *handover.Conn, _ int, _ uint64) {
			send(c, handover.KindLoop, &head)
			send(c, handover.KindLoopChannels, &handover.LoopChannel{Name: []byte("/a"), Subscribers: -1})
			send(c, handover.KindLoopEnd, &handover.LoopEnd{})
		}},
		{"too few connections", "0 connections", func(c *handover.Conn, _ int, _ uint64) {
			send(c, handover.KindLoop, &head)
			send(c, handover.KindLoopChannels, channel)
			send(c, handover.KindLoopEnd, &handover.LoopEnd{Connections: 1})
		}},
		{"another socket", "cookie", func(c *handover.Conn, socket int, cookie uint64) {
			send(c, handover.KindLoop, &head)
			send(c, handover.KindLoopChannels, channel)
			send(c, handover.KindConnections, with(func(c *handover.Connection) { c.Cookie = cookie + 1 }), socket)
		}},
		{"a channel that there is not", "channel 7 of 1", func(c *handover.Conn, socket int, cookie uint64) {
			send(c, handover.KindLoop, &head)
			send(c, handover.KindLoopChannels, channel)
			send(c, handover.KindConnections, with(func(c *handover.Connection) { c.Cookie, c.Channel = cookie, 7 }), socket)
		}},
		{"an unknown use", "unknown use", func(c *handover.Conn, socket int, cookie uint64) {
			send(c, handover.KindLoop, &head)
			send(c, handover.KindLoopChannels, channel)
			send(c, handover.KindConnections, with(func(c *handover.Connection) { c.Cookie, c.Use = cookie, 99 }), socket)
		}},
		{"half a record", "too short", func(c *handover.Conn, socket int, cookie uint64) {
			send(c, handover.KindLoop, &head)
			send(c, handover.KindLoopChannels, channel)
			c.Send(handover.KindConnections, []byte{32, 1, 2}, socket)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := start(t, Config{Loops: 1}, opts)
			u := succeed(t, s, opts)
			c := handover.NewConn(u.ends[0])
			peer := subscribe(t, s, "/a")
			conn, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			file, err := conn.(*net.TCPConn).File()
			if err != nil {
				t.Fatal(err)
			}
			cookie, err := handover.Cookie(int(file.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			tt.send(c, int(file.Fd()), cookie)
			select {
			case a := <-u.next.Adopted():
				if a.Stage != Failed || !strings.Contains(fmt.Sprint(a.Err), tt.want) {
					t.Errorf("stage %d, %v; want one that says %q", a.Stage, a.Err, tt.want)
				}
			case <-time.After(patience):
				t.Error("nothing is told")
			}
			u.next.Close()
			c.Close()
			file.Close()
			conn.Close()
			u.tap.Close()
			<-u.relaying
			_ = peer
		})
	}
}
