package server

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
)

// takenBack is a server of which a stranger takes over and dies, and the clients of that.
type takenBack struct {
	t       *testing.T
	s       *Server
	broker  *channels.Broker
	random  *rand.Rand
	sizes   int // of messages: below 17<<sizes bytes
	all     []strangeMessage
	clients []*takenClient
}

// takenClient is one client, with what it has to get.
type takenClient struct {
	net.Conn
	channels string // as they stand in the request
	gzip     bool
	slow     bool // it reads little before the end
	want     strings.Builder
	got      []byte // what it has read before the end
}

// join opens a stream.
func (b *takenBack) join(c *takenClient) {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.s.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	if c.slow {
		conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	}
	b.t.Cleanup(func() { conn.Close() })
	c.Conn = conn
	request := "GET " + c.channels + " HTTP/1.1\r\nHost: x\r\n\r\n"
	if c.gzip {
		request = "GET " + c.channels + " HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
	}
	if _, err := io.WriteString(conn, request); err != nil {
		b.t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	for head := make([]byte, 0, 500); !bytes.HasSuffix(head, []byte("\r\n\r\n")); { // the stream is open
		head = head[:len(head)+1]
		if _, err := conn.Read(head[len(head)-1:]); err != nil {
			b.t.Fatal(err)
		}
	}
	c.want.WriteString(":\n\n")
	b.clients = append(b.clients, c)
}

// publish publishes some messages.
func (b *takenBack) publish(n int) {
	b.t.Helper()
	for range n {
		channel := fmt.Sprint("/", b.random.IntN(3))
		data := strings.Repeat(fmt.Sprintf("%x ", b.random.Uint64()), 1+b.random.IntN(1<<b.random.IntN(b.sizes)))
		if _, err := b.broker.Publish(channel, channels.Event{Data: []byte(data)}); err != nil {
			b.t.Fatal(err)
		}
		m := strangeMessage{uint64(len(b.all) + 1), channel, "data: " + data + "\n\n"}
		b.all = append(b.all, m)
		for _, c := range b.clients {
			if strings.Contains(c.channels, channel) {
				c.want.WriteString(m.wire)
			}
		}
	}
}

// order tells a stranger to write.
func (b *takenBack) order(x *stranger, junk bool) {
	b.t.Helper()
	w := handover.Writer{Version: handover.Version}
	send := func(kind handover.Kind) {
		if err := x.orders.Send(kind, w.Bytes()); err != nil {
			b.t.Fatal(err)
		}
		w.Reset()
	}
	for _, m := range b.all {
		w.U64(m.seq)
		w.String(m.channel)
		w.String(m.wire)
		send(kindMessage)
	}
	w.U64(b.random.Uint64())
	w.Bool(junk)
	send(kindWrite)
}

// moveTo has a stranger take over all loops, with messages published on the way.
func (b *takenBack) moveTo(x *stranger) {
	b.t.Helper()
	if err := b.s.BeginHandOver(handover.Version); err != nil {
		b.t.Fatal(err)
	}
	for _, i := range b.s.LoopOrder() {
		_, err := b.s.SendLoop(i, x.ends[i])
		if err == nil {
			err = b.s.AwaitPrepared(i)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		b.publish(b.random.IntN(4))
		if err = b.s.SendCommit(i); err == nil {
			_, err = b.s.AwaitServing(i)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		b.publish(b.random.IntN(4))
	}
}

// sip has clients read what there is and, if they are slow, some of it.
func (b *takenBack) sip() {
	buf := make([]byte, 64<<10)
	for _, c := range b.clients {
		for !c.slow || b.random.IntN(8) > 0 {
			c.SetReadDeadline(time.Now().Add(2 * time.Millisecond)) // there may be nothing
			n, err := c.Read(buf)
			if c.got = append(c.got, buf[:n]...); err != nil {
				break
			}
		}
	}
}

// finish checks that each client has got all, and nothing twice.
func (b *takenBack) finish() {
	b.t.Helper()
	var reading sync.WaitGroup
	for _, c := range b.clients {
		reading.Go(func() { c.finish(b.t) })
	}
	reading.Wait()
}

// finish reads to the end of what the client has to get.
func (c *takenClient) finish(t *testing.T) {
	c.SetReadDeadline(time.Now().Add(patience))
	got := c.got
	want, text, buf := c.want.String(), "", make([]byte, 64<<10)
	for len(text) < len(want) {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if text = string(got); c.gzip {
			text = inflated(t, text)
		}
		if err != nil {
			t.Errorf("%s, gzip: %v, slow: %v: %d of %d bytes, then %v", c.channels, c.gzip, c.slow, len(text), len(want), err)
			return
		}
	}
	if i := differs(text, want); i >= 0 {
		t.Errorf("%s, gzip: %v, slow: %v: from byte %d on it got %.60q, want %.60q", c.channels, c.gzip, c.slow, i, text[i:], want[i:])
	}
}

// differs returns where two texts differ, -1 if they do not.
func differs(a, b string) int {
	if a == b {
		return -1
	}
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// Ensure that all streams of a process that died are taken back, each at the byte at which that
// has left it: on one channel and on several, with gzip, of clients that read and of those
// that do not, whatever had been cut.
func TestTakeBack(t *testing.T) {
	for _, tables := range []FDTables{FDTablesShared, FDTablesPerLoop} {
		t.Run(string(tables), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			s, broker := start(t, Config{Loops: 2, FDTables: tables, Gzip: gzipOf(t, "/*")}, channels.Options{MaxEventBytes: 256 << 10})
			b := &takenBack{t: t, s: s, broker: broker, random: rand.New(rand.NewPCG(seed, 0)), sizes: 13}
			for i := range 40 {
				c := &takenClient{channels: fmt.Sprint("/", i%3), slow: i%4 == 1, gzip: i%5 == 2}
				if i%8 >= 6 && !c.gzip {
					c.channels = fmt.Sprintf("/%d?channel=/%d", i%3, (i+1)%3)
				}
				b.join(c)
			}
			halves := b.halves(12)
			var sent []net.Conn // whose second halves are
			unexplained := 0
			for range 3 {
				b.publish(60)
				b.sip()
				x := meet(t, s)
				b.moveTo(x)
				sent, halves = append(sent, halves[:3]...), halves[3:]
				b.sendHalves(sent[len(sent)-3:])
				b.sip()
				b.order(x, false)
				if b.random.IntN(2) == 0 {
					if _, err := x.orders.Expect(handover.KindDone); err != nil {
						t.Fatal(err)
					}
				}
				b.publish(b.random.IntN(4))
				x.end()
				taken, err := s.TakeBack()
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%+v, %d are behind", taken, s.Stats().Behind)
				if taken.Severed > 0 || taken.Closed > 0 || taken.Unexplained > 3 || taken.Connections < len(b.clients)+len(halves) {
					t.Errorf("%+v, want %d streams and %d halves of requests", taken, len(b.clients), len(halves))
				}
				unexplained += taken.Unexplained
			}
			b.publish(5)
			b.join(&takenClient{channels: "/0"})
			b.publish(20)
			b.finish()
			b.sendHalves(halves)
			b.finishHalves(append(sent, halves...), unexplained)
		})
	}
}

// halves opens connections whose requests have come in part.
func (b *takenBack) halves(n int) (conns []net.Conn) {
	for range n {
		conn, err := net.Dial("tcp", b.s.Addr().String())
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET /half HTTP/1.1\r\nHost"); err != nil {
			b.t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	return conns
}

// sendHalves sends the other halves.
func (b *takenBack) sendHalves(conns []net.Conn) {
	for _, conn := range conns {
		if _, err := io.WriteString(conn, ": x\r\n\r\n"); err != nil {
			b.t.Fatal(err)
		}
	}
}

// finishHalves checks that each request is answered as ever, or that its connection was
// closed, since the stranger had read of it.
func (b *takenBack) finishHalves(conns []net.Conn, closed int) {
	b.t.Helper()
	for _, conn := range conns {
		conn.SetDeadline(time.Now().Add(patience))
		answer := make([]byte, 15)
		if _, err := io.ReadFull(conn, answer); err != nil {
			closed--
		} else if string(answer) != "HTTP/1.1 200 OK" {
			b.t.Errorf("a request in two halves is answered by %q", answer)
		}
	}
	if closed != 0 {
		b.t.Errorf("%d fewer requests were closed than counted", closed)
	}
}

// Ensure that streams end whose state cannot be told from what a dead process has written: with
// more than the log has, and with what it no longer has. A client that has closed is counted
// as such.
func TestTakeBackInVain(t *testing.T) {
	for _, test := range []struct {
		name  string
		opts  channels.Options
		junk  bool // the stranger writes what is no message
		after int  // messages that are published behind its back
		why   reason
		ended int
	}{
		{"junk", channels.Options{}, true, 0, reasonUnexplained, 9},
		{"evicted", channels.Options{MaxKept: 1}, true, 50, reasonLapped, 9},
		{"explained", channels.Options{}, false, 50, reasonClient, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, broker := start(t, Config{Loops: 1}, test.opts)
			b := &takenBack{t: t, s: s, broker: broker, random: rand.New(rand.NewPCG(1, 2)), sizes: 6}
			for i := range 10 {
				b.join(&takenClient{channels: fmt.Sprint("/", i%3)})
			}
			x := meet(t, s)
			b.moveTo(x)
			b.publish(10)
			b.clients[9].Close()
			b.clients = b.clients[:9]
			b.order(x, test.junk)
			if _, err := x.orders.Expect(handover.KindDone); err != nil {
				t.Fatal(err)
			}
			b.publish(test.after)
			x.end()
			taken, err := s.TakeBack()
			if err != nil || taken.Connections+taken.Unexplained != 9 || taken.Closed != 1 {
				t.Errorf("%+v, %v; want one connection closed", taken, err)
			}
			if closed := s.Stats().Closed; closed[test.why.String()] != uint64(test.ended) {
				t.Errorf("closed are %v, want %d as %q", closed, test.ended, test.why)
			}
			if !test.junk {
				b.finish()
			}
		})
	}
}
