package interop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"millrace/channels"
	"millrace/internal/certs"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// Ensure that a browser has its streams of two hosts, each from its own node, where one
// certificate names both, both have one address and port, and a router tells them apart by the
// name of the handshake: what the browser sends to the wrong node, on the connection that it
// has, gets 421, and is asked again on another.
func TestCoalescing(t *testing.T) {
	cert, key := testenv.Certificate(t, "*.events.test")
	hosts := []string{"a.events.test", "b.events.test"}
	nodes, backends := make(map[string]*node.Node), new(sync.Map)
	_, port, _ := net.SplitHostPort(newRouter(t, backends))
	url := func(host string) string { return "https://" + host + ":" + port }
	for _, host := range hosts {
		n, err := node.Start(node.Options{
			Public:       server.Config{TLSListen: "127.0.0.1:0", Hosts: []string{host}, AllowOrigins: []string{url(hosts[0])}},
			Broker:       channels.Options{},
			Certificates: []certs.Files{{Cert: cert, Key: key}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		nodes[host] = n
		backends.Store(host, n.TLSAddr())
	}
	tab := browser.Options{Trusted: cert, Expected: []string{"ERR_", "404"}}.Chromium(t) // of an icon
	tab.Open(url(hosts[0]) + "/healthz")
	tab.Await("a stream of each host to be asked for", `(() => {
		// Without credentials a browser has another connection for another host.
		const ask = (url) => { const s = new EventSource(url, { withCredentials: true }); s.onmessage = (e) => (s.heard = e.data); return s; };
		window.a ??= ask("`+url(hosts[0])+channel+`");
		a.onopen = () => (window.b ??= ask("`+url(hosts[1])+channel+`"));
		return true;
	})()`)
	for _, host := range hosts {
		testenv.Eventually(t, host+" has its stream", func() bool { return nodes[host].Streams().Stats().Streams == 1 })
		if _, err := nodes[host].Broker().Publish(channel, channels.Event{Data: []byte("of " + host)}); err != nil {
			t.Fatal(err)
		}
	}
	tab.Await("each to hear its own node", `a.heard === "of `+hosts[0]+`" && b.heard === "of `+hosts[1]+`"`)
	if n := nodes[hosts[0]].Streams().Stats(); n.RefusedBy[421] == 0 {
		t.Error("no request for the other host got 421: the browser has not used one connection for both")
	}
}

// newRouter passes connections on, unopened, to the address of their handshake's name, until
// the test ends. It returns its own.
func newRouter(t *testing.T, backends *sync.Map) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var routing sync.WaitGroup
	t.Cleanup(routing.Wait)
	t.Cleanup(func() { ln.Close() })
	routing.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { client.Close() })
			routing.Go(func() { route(client, backends) })
		}
	})
	return ln.Addr().String()
}

// route passes a connection on.
func route(client net.Conn, backends *sync.Map) {
	defer client.Close()
	hello := &peeked{Conn: client}
	name := ""
	tls.Server(hello, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name = h.ServerName
		return nil, errors.New("no handshake here")
	}}).Handshake()
	address, _ := backends.Load(name)
	backend, err := net.Dial("tcp", fmt.Sprint(address))
	if err != nil {
		return
	}
	defer backend.Close()
	var passing sync.WaitGroup
	passing.Go(func() {
		io.Copy(backend, io.MultiReader(strings.NewReader(hello.read.String()), client))
		backend.(*net.TCPConn).CloseWrite()
	})
	io.Copy(client, backend)
	client.Close()
	passing.Wait()
}

// peeked is a connection of which what is read is kept, and nothing is written.
type peeked struct {
	net.Conn
	read strings.Builder
}

func (p *peeked) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.read.Write(b[:n])
	return n, err
}

func (p *peeked) Write(b []byte) (int, error) { return len(b), nil }
