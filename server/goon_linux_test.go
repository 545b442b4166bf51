package server

import (
	"fmt"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/ssetest"
)

// orphan ends the predecessor as if its process had been killed, and waits until loops of the
// successor know that nothing comes any more.
func (u *succession) orphan(loops int) {
	u.t.Helper()
	u.server.LetGo()
	u.server.Close()
	u.tap.Close()
	<-u.relaying
	for range loops {
		select {
		case a := <-u.next.Adopted():
			if a.Stage != Failed {
				u.t.Errorf("%+v, want it to wait", a)
			}
		case <-time.After(patience):
			u.t.Fatal("a loop does not see that its predecessor is dead")
		}
	}
	if err := u.to.GoOn(); err != nil {
		u.t.Fatal(err)
	}
}

// cutOff has the predecessor send a loop, of which the successor gets what comes up to the first
// frame of a kind.
func (u *succession) cutOff(i int, last handover.Kind) {
	u.t.Helper()
	here, there, err := handover.Pair()
	if err != nil {
		u.t.Fatal(err)
	}
	from, to := handover.NewConn(here), handover.NewConn(u.ends[i])
	sending := make(chan struct{})
	go func() {
		u.server.SendLoop(i, there) // which fails, or does not
		close(sending)
	}()
	for kind := handover.Kind(0); kind != last; {
		frame, err := from.Receive()
		if err == nil {
			kind, err = frame.Kind, to.Send(frame.Kind, frame.Payload, frame.FDs...)
			closeFDs(frame.FDs)
		}
		if err != nil {
			u.t.Fatal(err)
		}
	}
	from.Close()
	to.Close()
	<-sending
}

// Ensure that a successor goes on whose predecessor has died while it sent connections with TLS
// and HTTP/2: those that have not come whole end.
func TestGoOnCutOff(t *testing.T) {
	for _, tables := range []FDTables{FDTablesShared, FDTablesPerLoop} {
		for _, last := range []handover.Kind{handover.KindLoop, handover.KindConnections, handover.KindKeys, handover.KindShared} {
			t.Run(fmt.Sprint(tables, " ", last), func(t *testing.T) {
				opts := channels.Options{}
				s, _ := startOver(t, ssetest.TLS, Config{Loops: 1, FDTables: tables}, opts)
				for _, via := range []ssetest.Transport{ssetest.Plain, ssetest.TLS, ssetest.H2} {
					for range 3 {
						subscribeOver(t, via, s, "/a")
					}
				}
				u := succeed(t, s, opts)
				u.cutOff(0, last)
				u.orphan(1)
				u.next.GoOn()
				u.await(0, Serving)
				u.next.Switched()
				if n := u.next.Stats(); n.Connections != 0 || n.Streams != 0 || n.Secure != 0 || n.H2 != 0 {
					t.Errorf("%d connections, %d streams, %d with TLS and %d of HTTP/2 are left, want none", n.Connections, n.Streams, n.Secure, n.H2)
				}
				for _, via := range []ssetest.Transport{ssetest.Plain, ssetest.TLS, ssetest.H2} {
					c := subscribeOver(t, via, u.next, "/a")
					publish(t, u.to, "/a", via.String(), 1)
					c.want("data: " + via.String() + "\n\n")
					c.Close()
				}
			})
		}
	}
}

// Ensure that the streams of a successor which goes on alone are held no more, whether its loops
// learn first that they are alone or that nothing is taken back.
func TestGoOnIsSwitched(t *testing.T) {
	for _, test := range []struct {
		name string
		goOn func(s *Server)
	}{
		{"alone, then switched", func(s *Server) { s.GoOn(); s.Switched() }},
		{"switched, then alone", func(s *Server) { s.Switched(); s.GoOn() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts := channels.Options{Backplane: lateEngine{"/late"}}
			s, _ := start(t, Config{Loops: 1, Keepalive: 50 * time.Millisecond}, opts)
			waits := dial(t, s)
			waits.Write([]byte("GET /late HTTP/1.1\r\nHost: test\r\n\r\n"))
			waits.skipTo(":\n")
			c := subscribe(t, s, "/a")
			u := succeed(t, s, opts)
			u.hand(0)
			u.orphan(1)
			u.to.Feed().Followed(0, nil, "/late") // which the loop sees once it serves
			test.goOn(u.next)
			u.await(0, Serving)
			if _, err := u.to.Feed().Deliver("/a", channels.Event{Data: []byte("event")}); err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{"event: millrace.gap\n", "data: event\n", ":keepalive\n"} {
				c.skipTo(line)
			}
			waits.skipTo("event: millrace.gap\n")
		})
	}
}
