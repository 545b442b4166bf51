package admin

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/ports"
	"millrace/internal/resp"
	"millrace/internal/testenv"
)

// upgraded is a port that moves from server to server.
type upgraded struct {
	t       testing.TB
	broker  *channels.Broker // of both: what the successor's has is for other tests
	cfg     Config
	now     *Server
	stop    func()
	longest time.Duration // that publishers had to wait
}

// upgradable returns a port whose server works on a broker, or on what wrap makes of it.
func upgradable(t testing.TB, cfg Config, wrap ...func(channels.Ports) Broker) *upgraded {
	t.Helper()
	u := &upgraded{t: t, broker: channels.NewBroker(channels.Options{MaxEventBytes: cfg.MaxEventBytes}), cfg: cfg}
	u.cfg.Broker = u.broker.Ports()
	for _, f := range wrap {
		u.cfg.Broker = f(u.broker.Ports())
	}
	s, err := Listen("127.0.0.1:0", u.cfg)
	if err != nil {
		t.Fatal(err)
	}
	u.serve(s)
	t.Cleanup(func() { u.stop() })
	return u
}

// serve has s be the one that serves.
func (u *upgraded) serve(s *Server) {
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	u.now, u.stop = s, func() {
		if err := s.Close(); err != nil {
			u.t.Error("Close:", err)
		}
		if err := <-served; err != nil {
			u.t.Error("Serve:", err)
		}
	}
}

// move has another server take over.
func (u *upgraded) move() {
	u.t.Helper()
	a, b, err := handover.Pair()
	if err != nil {
		u.t.Fatal(err)
	}
	from, to, old := handover.NewConn(a), handover.NewConn(b), u.now
	defer from.Close()
	defer to.Close()

	began := time.Now()
	u.freeze()
	if err := old.Release(context.Background()); err != nil {
		u.t.Fatal(err)
	}
	sent := make(chan error, 1)
	serves := make(chan struct{})
	go func() {
		fd, err := old.Descriptor()
		if err == nil {
			err = from.Send(handover.KindListener, nil, fd)
		}
		if err == nil {
			err = old.HandOver(handover.Version, from.Send)
		}
		if <-serves; err == nil {
			err = old.HandRest(handover.Version, from.Send)
		}
		if err == nil {
			err = from.Send(handover.KindDone, nil)
		}
		sent <- err
	}()
	next := u.adopt(to)
	before := u.stop
	u.serve(next)
	u.broker.Thaw()
	u.longest = max(u.longest, time.Since(began))
	close(serves)
	for {
		f, err := to.Receive()
		if err != nil {
			u.t.Fatal(err)
		}
		if f.Kind == handover.KindDone {
			break
		}
		if err := next.TakeRest(handover.Version, f); err != nil {
			u.t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		u.t.Fatal(err)
	}
	before()
}

// adopt returns a server with what comes.
func (u *upgraded) adopt(to *handover.Conn) *Server {
	u.t.Helper()
	f, err := to.Expect(handover.KindListener)
	if err != nil {
		u.t.Fatal(err)
	}
	ln, err := ports.Inherit(f.FDs[0])
	if err != nil {
		u.t.Fatal(err)
	}
	s, err := New(ln, u.cfg)
	if err != nil {
		u.t.Fatal(err)
	}
	for complete := false; !complete; {
		f, err := to.Expect(handover.KindAdmin)
		if err == nil {
			complete, err = s.Adopt(handover.Version, f)
		}
		if err != nil {
			u.t.Fatal(err)
		}
	}
	return s
}

// takeBack has the server go on after it was released.
func (u *upgraded) takeBack() {
	u.t.Helper()
	u.freeze()
	if err := u.now.Release(context.Background()); err != nil {
		u.t.Fatal(err)
	}
	if err := u.now.HandOver(handover.Version, func(handover.Kind, []byte, ...int) error { return nil }); err != nil {
		u.t.Fatal(err)
	}
	u.broker.Thaw()
	u.now.Resume()
}

func (u *upgraded) freeze() {
	u.t.Helper()
	if _, err := u.broker.Freeze(); err != nil {
		u.t.Fatal(err)
	}
}

func (u *upgraded) dial() *net.TCPConn { return dial(u.t, u.now) }

// Ensure that all that a client has told the port, and all that the port has yet to do, is the same
// after any number of handovers, and after one that is taken back.
func TestHandOver(t *testing.T) {
	for _, tt := range []struct {
		name            string
		password        string
		before, replies string // what is sent before, and what comes of it
		after, want     string
	}{
		{"nothing", "", "", "", "PING\r\n", "+PONG\r\n"},
		{"a name", "", "CLIENT SETNAME jo\r\n", "+OK\r\n", "CLIENT GETNAME\r\n", "$2\r\njo\r\n"},
		{"a version", "", "HELLO 3\r\nCLIENT GETNAME\r\n", "*", "CLIENT GETNAME\r\n", "_\r\n"},
		{"an id", "", "PING\r\n", "+PONG\r\n", "CLIENT ID\r\n", ":1\r\n"},
		{"half a request", "", "*2\r\n$4\r\nECHO\r\n$5\r\nhe", "", "llo\r\n", "$5\r\nhello\r\n"},
		{"half a line", "", "PUBLISH /a he", "", "llo you\r\n", ":0\r\n"},
		{"a large half", "", "*2\r\n$4\r\nECHO\r\n$50000\r\n" + strings.Repeat("x", 40000), "",
			strings.Repeat("x", 10000) + "\r\n", "$50000\r\n" + strings.Repeat("x", 50000) + "\r\n"},
		{"a transaction", "", "MULTI\r\nPING\r\nECHO hi\r\nCLIENT GETNAME\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n",
			"EXEC\r\n", "*3\r\n+PONG\r\n$2\r\nhi\r\n$-1\r\n"},
		{"an empty transaction", "", "MULTI\r\n", "+OK\r\n", "EXEC\r\n", "*0\r\n"},
		{"a spoiled transaction", "", "MULTI\r\nWHAT\r\n", "+OK\r\n-ERR unknown command 'WHAT', with args beginning with: \r\n",
			"EXEC\r\n", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
		{"the password", "secret", "AUTH secret\r\n", "+OK\r\n", "PING\r\n", "+PONG\r\n"},
		{"no password", "secret", "", "", "PING\r\n", "-NOAUTH Authentication required.\r\n"},
		{"half a password", "secret", "AUTH sec", "", "ret\r\nPING\r\n", "+OK\r\n+PONG\r\n"},
		{"a channel", "", "SUBSCRIBE /a\r\n", "*3\r\n$9\r\nsubscribe\r\n$2\r\n/a\r\n:1\r\n",
			"PING\r\nPUBLISH /a x\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n-ERR Can't execute 'publish'"},
		{"a channel in RESP3", "", "HELLO 3\r\nSUBSCRIBE /a\r\n", "*",
			"PUBLISH /a x\r\n", ">3\r\n$7\r\nmessage\r\n$2\r\n/a\r\n$1\r\nx\r\n:1\r\n"},
		{"a glob", "", "HELLO 3\r\nPSUBSCRIBE /a*\r\n", "*",
			"PUBLISH /ab x\r\n", ">4\r\n$8\r\npmessage\r\n$3\r\n/a*\r\n$3\r\n/ab\r\n$1\r\nx\r\n:1\r\n"},
		{"a shard", "", "HELLO 3\r\nSSUBSCRIBE a\r\n", "*",
			"SPUBLISH a x\r\n", ">3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n"},
		{"no channel any more", "", "SUBSCRIBE /a\r\nUNSUBSCRIBE /a\r\n", "*", "PUBLISH /a x\r\n", ":0\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := upgradable(t, Config{Password: tt.password})
			nc := u.dial()
			if tt.replies == "*" {
				send(t, nc, tt.before+"PING end\r\n")
				readUntil(t, nc, "end\r\n")
			} else {
				exchange(t, nc, tt.before, tt.replies)
			}
			u.move()
			u.takeBack()
			u.move()
			exchange(t, nc, tt.after, tt.want)
		})
	}
}

func send(t testing.TB, nc net.Conn, input string) {
	t.Helper()
	if _, err := io.WriteString(nc, input); err != nil {
		t.Fatal(err)
	}
}

// readUntil reads what ends with the text.
func readUntil(t testing.TB, nc net.Conn, end string) {
	t.Helper()
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, []byte(end)); got = append(got, b[0]) {
		if _, err := nc.Read(b); err != nil {
			t.Fatalf("%v after %q, want %q", err, got, end)
		}
	}
}

// Ensure that every subscriber hears every message once and in order, and that every publish is
// answered, while clients of all kinds keep their connections over many handovers, some of which
// are taken back; and that no descriptor is left.
func TestManyHandOvers(t *testing.T) {
	const publishers, moves = 4, 25
	const rounds = 6 // of each publisher, to a handover
	u := upgradable(t, Config{})
	var listening, publishing sync.WaitGroup
	var sent [publishers]atomic.Int64
	var begun [publishers]chan struct{} // has an element for each round
	caughtUp := make(chan struct{})     // closed when the slow subscriber reads

	listen := func(name string, slow bool, requests string, most int) {
		nc := u.dial()
		if slow {
			nc.SetReadBuffer(64 << 10)
		}
		send(t, nc, requests+"\r\n")
		r := bufio.NewReaderSize(nc, 64<<10)
		for range most {
			if _, err := resp.ReadReply(r); err != nil {
				t.Fatal(err)
			}
		}
		listening.Go(func() {
			var next [publishers]int64
			for {
				reply, err := resp.ReadReply(r)
				message, ok := reply.([]any)
				if err != nil || !ok {
					t.Errorf("%s: %v, %v", name, reply, err)
					return
				}
				var who int
				var n int64
				text := message[len(message)-1].(string)
				if text == "end" {
					break
				}
				if _, err := fmt.Sscanf(text, "%d %d", &who, &n); err != nil || n != next[who] {
					t.Errorf("%s: %.100q, want number %d of publisher %d", name, text, next[who], who)
					return
				}
				if next[who]++; slow {
					<-caughtUp
				}
			}
			for i := range next {
				if want := sent[i].Load(); next[i] != want {
					t.Errorf("%s: heard %d of %d messages of publisher %d", name, next[i], want, i)
				}
			}
		})
	}
	listen("RESP2", false, "SUBSCRIBE /a", 1)
	listen("RESP3", false, "HELLO 3\r\nSUBSCRIBE /a /b", 3)
	listen("glob", false, "PSUBSCRIBE /*", 1)
	listen("slow", true, "SUBSCRIBE /a", 1)

	for i := range publishers {
		nc := u.dial()
		begun[i] = make(chan struct{}, moves*rounds)
		publishing.Go(func() {
			r := bufio.NewReader(nc)
			n := int64(0)
			for range begun[i] {
				var request []byte
				pipelined := 1 + int(n)%7
				for j := range pipelined {
					data := fmt.Sprintf("%d %d %s", i, n+int64(j), strings.Repeat("x", int(7*n)%9000))
					request = resp.AppendCommand(request, "PUBLISH", "/a", data)
				}
				if i == 0 { // whole transactions
					request = append(append([]byte("MULTI\r\n"), request...), "EXEC\r\n"...)
				}
				cut := int(n) % len(request)
				nc.Write(request[:cut])
				nc.Write(request[cut:])
				replies := pipelined
				if i == 0 {
					replies += 2
				}
				for range replies {
					if reply, err := resp.ReadReply(r); err != nil {
						t.Errorf("publisher %d: %v, %v", i, reply, err)
						return
					}
				}
				n += int64(pipelined)
				sent[i].Store(n)
			}
		})
	}
	idle := u.dial()
	exchange(t, idle, "PING\r\n", "+PONG\r\n")
	descriptors := 0
	for i := range moves {
		for _, c := range begun {
			for range rounds {
				c <- struct{}{}
			}
		}
		if i%5 == 4 {
			u.takeBack()
		}
		if i == moves-5 {
			close(caughtUp)
		}
		u.move()
		exchange(t, u.dial(), "PING\r\n", "+PONG\r\n") // somebody new
		if i == 0 {
			descriptors = testenv.Descriptors(t)
		}
	}
	if n := testenv.Descriptors(t) - descriptors; n > 2*moves {
		t.Errorf("%d descriptors more than %d after %d handovers, want 2 for each new client", n, descriptors, moves)
	}
	exchange(t, idle, "PING\r\n", "+PONG\r\n")
	for _, c := range begun {
		close(c)
	}
	publishing.Wait()
	exchange(t, idle, "PUBLISH /a end\r\n", ":4\r\n")
	listening.Wait()
	t.Logf("%d, %d, %d, %d messages, %d handovers, publishers waited for %v at most", sent[0].Load(), sent[1].Load(), sent[2].Load(), sent[3].Load(), moves, u.longest)
}

// BenchmarkHandOver tells how long publishers wait beside other clients of a full port. Half of
// those subscribe to 100 channels each.
func BenchmarkHandOver(b *testing.B) {
	const clients = 250
	u := upgradable(b, Config{})
	subscribe := "SUBSCRIBE"
	for i := range 100 {
		subscribe += fmt.Sprintf(" /rooms/%d", i)
	}
	for i := range clients {
		nc := u.dial()
		if i%2 == 0 {
			send(b, nc, subscribe+"\r\n")
			readUntil(b, nc, ":100\r\n")
		} else {
			exchange(b, nc, "PING\r\n", "+PONG\r\n")
		}
	}
	var waited time.Duration
	for b.Loop() {
		u.longest = 0
		u.move()
		waited += u.longest
	}
	b.ReportMetric(float64(waited.Microseconds())/float64(b.N), "us-waited")
}
