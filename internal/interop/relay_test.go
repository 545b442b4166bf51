package interop

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// relay passes connections on to a server byte for byte, notes the head of each
// request if that is in the clear, and can cut them all, as a network does.
type relay struct {
	ln     net.Listener
	target string
	sealed bool             // with TLS
	heads  chan http.Header // of the requests, in order; of no more than it has room for

	mu    sync.Mutex // held while cut, so that nobody connects
	conns []net.Conn
}

// newRelay starts a relay to target that ends with the test.
func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	return startRelay(t, &relay{target: target})
}

// newSplice is newRelay to a port with TLS.
func newSplice(t *testing.T, target string) *relay {
	t.Helper()
	return startRelay(t, &relay{target: target, sealed: true})
}

func startRelay(t *testing.T, r *relay) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.ln, r.heads = ln, make(chan http.Header, 16)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.pass(client) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		r.cut()
		r.mend()
		running.Wait()
	})
	return r
}

// pass serves one connection: one request, then the stream until either side
// ends.
func (r *relay) pass(client net.Conn) {
	defer client.Close()
	upstream, err := r.connect(client)
	if err != nil {
		return
	}
	defer upstream.Close()
	if r.sealed {
		go func() {
			io.Copy(upstream, client)
			upstream.Close()
		}()
		io.Copy(client, upstream)
		return
	}
	var head strings.Builder
	request, err := http.ReadRequest(bufio.NewReader(io.TeeReader(client, &head)))
	if err != nil {
		return
	}
	io.WriteString(upstream, head.String())
	select {
	case r.heads <- request.Header:
	default:
	}
	io.Copy(client, upstream)
}

// connect dials the server and makes both connections known to cut.
func (r *relay) connect(client net.Conn) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	upstream, err := net.Dial("tcp", r.target)
	if err == nil {
		r.conns = append(r.conns, client, upstream)
	}
	return upstream, err
}

// cut closes all connections and holds new ones back until mend.
func (r *relay) cut() {
	r.mu.Lock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}

func (r *relay) mend() { r.mu.Unlock() }
