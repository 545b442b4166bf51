package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/netpoll"
	"millrace/internal/ssetest"
	"millrace/internal/tlsrecord"
)

// turnByHandOver is turnByHand of a loop that takes clients of a transport.
func turnByHandOver(t testing.TB, via ssetest.Transport, cfg Config, opts channels.Options) handLoop {
	t.Helper()
	if via != ssetest.Plain {
		cfg = withTLS(t, cfg)
	}
	return turnByHand(t, cfg, opts)
}

// peer is a client of a loop that is turned by hand, with one stream.
type peer struct {
	h       handLoop
	via     ssetest.Transport
	fd      int32 // of the loop's end
	own     int   // descriptor of the client's end
	state   tlsrecord.State
	sealed  []byte          // has come, and is no whole record yet
	h2      *ssetest.HTTP2  // nil: HTTP/1.1
	stream  *ssetest.Stream // of h2
	head    []byte          // of an answer of HTTP/1.1, as far as it has come
	status  int             // 0 until the head has come
	took    int             // bytes of the socket
	ended   bool
	inOrder bool // ended, and the server has said that nothing is missing
}

// dial opens a connection, with its TLS handshake if it has one.
func (h handLoop) dial(via ssetest.Transport) *peer {
	h.t.Helper()
	ours, theirs := socketPair(h.t)
	p := &peer{h: h, via: via, fd: int32(ours), own: theirs}
	if err := h.open(p.fd, netpoll.Peer{}, via != ssetest.Plain); err != nil {
		h.t.Fatal(err)
	}
	if via != ssetest.Plain {
		p.shakeHands()
	}
	if via == ssetest.H2 {
		p.h2 = ssetest.NewHTTP2(0)
	}
	return p
}

// join opens a stream on target until the test ends.
func (h handLoop) join(via ssetest.Transport, target string) *peer {
	h.t.Helper()
	p := h.dial(via)
	h.t.Cleanup(p.leave)
	p.ask(target)
	if got := p.received(); got != ":\n\n" {
		h.t.Fatalf("%v, GET %s: %d, %q", via, target, p.status, got)
	}
	return p
}

// shakeHands has crypto/tls agree upon keys with the loop, and takes them.
func (p *peer) shakeHands() {
	p.h.t.Helper()
	var keys keyLog
	conn := tls.Client(turning{p: p}, &tls.Config{
		InsecureSkipVerify: true, KeyLogWriter: &keys, NextProtos: []string{p.via.Protocol()},
		SessionTicketsDisabled: true, // so that nothing comes of the loop but answers
		CurvePreferences:       []tls.CurveID{tls.X25519},
	})
	err := conn.Handshake()
	if err == nil {
		err = p.state.Init(conn.ConnectionState().CipherSuite, keys.secret(p.h.t, "SERVER_TRAFFIC_SECRET_0"), keys.secret(p.h.t, "CLIENT_TRAFFIC_SECRET_0"), 0)
	}
	if err != nil {
		p.h.t.Fatal(err)
	}
	p.turnUntil("the handshake is over", func() bool { return p.h.conn(p.fd).state > stateHandshake })
}

// turnUntil turns the loop until ok holds: another goroutine, too, may have to do something.
func (p *peer) turnUntil(what string, ok func() bool) {
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		p.readable()
		p.h.turnOver()
		if time.Now().After(deadline) {
			p.h.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// turning is the client's end for crypto/tls. While nothing has come, the loop is turned.
type turning struct {
	net.Conn // nil: nothing else is called
	p        *peer
}

func (c turning) Read(b []byte) (n int, err error) {
	c.p.turnUntil("bytes of the handshake", func() bool {
		n, err = unix.Read(c.p.own, b)
		return err != unix.EAGAIN
	})
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (c turning) Write(b []byte) (int, error) { return unix.Write(c.p.own, b) }

// ask sends a request, and has the loop read it.
func (p *peer) ask(target string, fields ...string) {
	p.h.t.Helper()
	if p.h2 != nil {
		p.stream = p.h2.Request(target, fields...)
		p.send(p.h2.Out())
		return
	}
	p.send(ssetest.RequestText(target, fields...))
}

// send sends what TLS protects if there is TLS, and has the loop read it.
func (p *peer) send(data []byte) {
	p.h.t.Helper()
	if p.via != ssetest.Plain {
		data = p.state.AppendData(nil, data)
	}
	unixWrite(p.h.t, p.own, string(data))
	p.readable()
}

// received takes what has arrived of the answer's body. "EOF" ends it when the answer is over.
func (p *peer) received() string {
	p.h.t.Helper()
	return p.receive(math.MaxInt)
}

// receive is received of a client that takes at most so many bytes of its socket.
func (p *peer) receive(most int) string {
	p.h.t.Helper()
	data, closed := arrived(p.own, most)
	p.took += len(data)
	if p.via != ssetest.Plain {
		data = p.open(data)
	}
	if closed && p.via == ssetest.Plain {
		p.inOrder = true // or cut off: who knows
	}
	p.ended = p.ended || closed
	if p.h2 != nil {
		data = p.read(data)
	} else if p.status == 0 {
		data = p.cutHead(data)
	}
	if p.ended {
		return string(data) + "EOF"
	}
	return string(data)
}

// read takes frames in, and returns what the stream has had of them. The loop learns that
// there is room again for as much.
func (p *peer) read(frames []byte) []byte {
	p.h.t.Helper()
	if err := p.h2.Take(frames); err != nil {
		p.h.t.Fatal(err)
	}
	var data bytes.Buffer
	if p.stream != nil {
		p.status = p.stream.Status
		for b := make([]byte, 16<<10); ; {
			n, err := p.stream.Read(b)
			if data.Write(b[:n]); n == 0 {
				if err != nil {
					p.ended, p.inOrder = true, err == io.EOF
				}
				break
			}
		}
	}
	if out := p.h2.Out(); len(out) > 0 && p.isConnected() {
		p.send(out)
	}
	return data.Bytes()
}

// cutHead returns what follows the head of an answer of HTTP/1.1.
func (p *peer) cutHead(data []byte) []byte {
	p.head = append(p.head, data...)
	head, body, whole := bytes.Cut(p.head, []byte("\r\n\r\n"))
	if !whole {
		return nil
	}
	if _, err := fmt.Sscanf(string(head), "HTTP/1.1 %d ", &p.status); err != nil {
		p.h.t.Fatalf("the head %q: %v", head, err)
	}
	return body
}

// open opens the records that have come.
func (p *peer) open(sealed []byte) []byte {
	p.h.t.Helper()
	p.sealed = append(p.sealed, sealed...)
	if len(p.sealed) == 0 {
		return nil
	}
	data, used, err := p.state.Take(p.sealed)
	data = bytes.Clone(data)
	p.sealed = append([]byte(nil), p.sealed[used:]...)
	switch {
	case err == io.EOF:
		p.inOrder = true
	case err != nil:
		p.h.t.Fatalf("opening a record: %v", err)
	}
	return data
}

// readable has the loop read what the client has sent.
func (p *peer) readable() {
	if p.isConnected() {
		p.h.on(p.fd, true, false)
	}
}

// writable has the loop write on.
func (p *peer) writable() {
	if p.isConnected() {
		p.h.on(p.fd, false, true)
	}
}

// isConnected tells whether the loop has the connection.
func (p *peer) isConnected() bool { return p.own >= 0 && p.h.owns(p.fd) }

// at returns the loop's end of the stream, or its connection, which may be both. nil: it
// has ended.
func (p *peer) at() *stream {
	if !p.isConnected() {
		return nil
	}
	c := p.h.conn(p.fd)
	if c.state != stateHTTP2 {
		return &c.stream
	}
	for s := range p.h.streamsOf(p.h.h2Of(c).first) {
		return &s.stream
	}
	return nil
}

// isOpen tells whether the loop has the stream.
func (p *peer) isOpen() bool { return p.at() != nil }

// isBehind tells whether the stream is behind, or its connection.
func (p *peer) isBehind() bool {
	s := p.at()
	return s != nil && (s.flags.is(behind) || p.h.conn(p.fd).flags.is(behind))
}

// narrow has the socket take little at once.
func (p *peer) narrow() { narrow(p.h.t, p.fd) }

// leave closes the client's end, and has the loop notice.
func (p *peer) leave() {
	if p.own < 0 {
		return
	}
	unix.Close(p.own)
	p.readable()
	p.own = -1
}

// arrived takes what has arrived at a descriptor, of at most so many bytes, and tells whether
// its other end is closed.
func arrived(fd, most int) (all []byte, closed bool) {
	for b := make([]byte, max(min(most, 1<<16), 0)); len(all) < most; {
		n, err := unix.Read(fd, b[:min(len(b), most-len(all))])
		if n <= 0 {
			return all, err != unix.EAGAIN
		}
		all = append(all, b[:n]...)
	}
	return all, false
}

// Ensure that a peer reads what a loop writes over each transport, and knows an end that is
// in order from one that is not.
func TestPeer(t *testing.T) {
	ssetest.Over(t, func(t *testing.T, via ssetest.Transport) {
		h := turnByHandOver(t, via, Config{Drain: time.Second}, channels.Options{})
		told, cut := h.join(via, "/x"), h.join(via, "/y")
		large := strings.Repeat("x", 50_000)
		cut.narrow()
		for _, channel := range []string{"/x", "/y"} {
			publish(t, h.broker, channel, large, 1)
		}
		h.turnOver()
		got := told.received()
		for want := "data: " + large + "\n\n"; got != want; got += told.received() {
			if told.writable(); !strings.HasPrefix(want, got) {
				t.Fatalf("it has %.50q..., want %.50q", got, want)
			}
		}
		if !cut.isBehind() {
			t.Fatal("a stream that does not read is not behind")
		}
		h.endStream(cut.at(), reasonSlow)
		for h.turnOver(); !cut.ended; cut.writable() {
			cut.received()
		}
		if via != ssetest.Plain && cut.inOrder {
			t.Error("a stream that is cut off ends in order")
		}
		h.startDrain()
		h.pass(time.Second)
		if got := told.received(); !strings.HasPrefix(got, "retry: ") || !strings.HasSuffix(got, "\n\nEOF") || !told.inOrder {
			t.Errorf("a stream that is told to come back gets %q, ended in order: %v", got, told.inOrder)
		}
	})
}
