package enginetest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between the nodes and an engine, at an address that stays the same,
// and does to their connections what networks do.
type Proxy struct {
	ln   net.Listener
	dial func() (net.Conn, error)

	mu      sync.Mutex
	flowing sync.Cond // on mu; signalled when stalled ends, and at the end
	stalled bool
	delay   time.Duration
	closed  bool
	conns   map[net.Conn]bool
	running sync.WaitGroup
}

// StartProxy forwards connections to the engine that dial connects with, until the test
// ends.
func StartProxy(t testing.TB, dial func() (net.Conn, error)) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{ln: ln, dial: dial, conns: make(map[net.Conn]bool)}
	p.flowing.L = &p.mu
	p.running.Go(p.serve)
	t.Cleanup(func() {
		ln.Close()
		p.mu.Lock()
		p.closed = true
		p.flowing.Broadcast()
		p.mu.Unlock()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *Proxy) Address() string { return p.ln.Addr().String() }

// cut resets every connection.
func (p *Proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
}

// stall holds back all bytes, in both directions, or lets them flow again.
func (p *Proxy) stall(stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = stalled
	p.flowing.Broadcast()
}

// slow delays all bytes, in both directions.
func (p *Proxy) slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

func (p *Proxy) serve() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.forward(c) })
	}
}

// forward copies in both directions until one of them ends.
func (p *Proxy) forward(c net.Conn) {
	engine, err := p.dial()
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	p.conns[c], p.conns[engine] = true, true
	closed := p.closed
	p.mu.Unlock()
	end := func() {
		c.Close()
		engine.Close()
	}
	if closed {
		end()
	}
	var copying sync.WaitGroup
	copying.Go(func() { p.copy(engine, c); end() })
	copying.Go(func() { p.copy(c, engine); end() })
	copying.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, engine)
	p.mu.Unlock()
}

// copy copies bytes, while nothing is stalled.
func (p *Proxy) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.stalled && !p.closed {
			p.flowing.Wait()
		}
		delay := p.delay
		p.mu.Unlock()
		if delay > 0 {
			<-time.After(delay)
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
