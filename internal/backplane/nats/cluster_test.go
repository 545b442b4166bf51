package nats

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"millrace/channels"
	"millrace/internal/backplane/enginetest"
)

// cluster is three servers with JetStream.
type cluster struct {
	t       *testing.T
	options []*server.Options
	servers []*server.Server // nil while stopped
}

// startCluster runs a cluster until the test ends.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, servers: make([]*server.Server, 3)}
	var routes []*url.URL
	for i := range c.servers {
		var ports [2]int // of clients and of servers
		for j := range ports {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			ports[j] = ln.Addr().(*net.TCPAddr).Port
		}
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", ports[1])})
		c.options = append(c.options, &server.Options{
			ServerName: fmt.Sprint("s", i), Host: "127.0.0.1", Port: ports[0], NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[1], PoolSize: -1},
		})
	}
	for _, o := range c.options {
		o.Routes = routes
	}
	return c
}

// address names all servers.
func (c *cluster) address() string {
	var hosts []string
	for _, o := range c.options {
		hosts = append(hosts, fmt.Sprint("127.0.0.1:", o.Port))
	}
	return "nats://" + strings.Join(hosts, ",") + "?history=jetstream&replicas=3"
}

// start runs those that do not run.
func (c *cluster) start() {
	c.t.Helper()
	for i, s := range c.servers {
		if s != nil {
			continue
		}
		o := *c.options[i] // the server writes into it
		s, err := server.NewServer(&o)
		if err != nil {
			c.t.Fatal(err)
		}
		c.servers[i] = s
		go s.Start()
	}
	c.await("all servers are current", func() bool {
		return !slices.ContainsFunc(c.servers, func(s *server.Server) bool { return !s.Running() || !s.JetStreamIsCurrent() })
	})
}

func (c *cluster) stop(i int) {
	c.servers[i].Shutdown()
	c.servers[i].WaitForShutdown()
	c.servers[i] = nil
}

// leader returns which server leads the stream.
func (c *cluster) leader() (i int) {
	c.t.Helper()
	c.await("the stream has a leader", func() bool {
		i = slices.IndexFunc(c.servers, func(s *server.Server) bool {
			return s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, DefaultPrefix)
		})
		return i >= 0
	})
	return i
}

func (c *cluster) await(what string, is func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !is(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// Ensure that nobody misses anything, nor gets anything twice, when servers go and come
// while messages are published: the leader of the stream, and one with nodes.
func TestServersOfClusterGone(t *testing.T) {
	c := startCluster(t)
	t.Cleanup(func() { // after the nodes
		for i, s := range c.servers {
			if s != nil {
				c.stop(i)
			}
		}
	})
	c.start()
	names := []string{"/a", "/b"}
	var nodes []*enginetest.Local
	var streams []*enginetest.Client
	for range 3 {
		nodes = append(nodes, startNode(t, c.address(), Options{History: 100000}))
	}
	for _, n := range nodes {
		streams = append(streams, n.Open("", names...))
	}
	publishing, stop := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	accepted := make([][]string, len(nodes))
	for i, n := range nodes {
		publishers.Go(func() {
			for number := 0; publishing.Err() == nil; number++ {
				text := fmt.Sprintf("%d/%06d", i, number)
				if _, err := n.Broker.Publish(names[number%2], channels.Event{Data: []byte(text)}); err == nil {
					accepted[i] = append(accepted[i], text)
				}
				<-time.After(2 * time.Millisecond)
			}
		})
	}
	defer publishers.Wait()
	defer stop()

	got := streams[0].Next(100)
	c.stop(c.leader())
	got = append(got, streams[0].Next(100)...)
	c.start()
	c.stop((c.leader() + 1) % 3)
	got = append(got, streams[0].Next(100)...)
	stop()
	publishers.Wait()
	nodes[0].Publish("/a", "end")
	for got[len(got)-1] != "end" {
		got = append(got, streams[0].Next(1)...)
	}
	for _, s := range streams[1:] {
		s.Want(got...)
	}
	t.Logf("%d, %d and %d messages accepted, %d events", len(accepted[0]), len(accepted[1]), len(accepted[2]), len(got))
	newest := make(map[string]string) // by publisher and channel
	for _, text := range got[:len(got)-1] {
		key := text[:1] + names[text[len(text)-1]%2]
		if !strings.Contains(text, "/") || text <= newest[key] {
			t.Errorf("%q after %q", text, newest[key])
		}
		newest[key] = text
	}
	for _, text := range slices.Concat(accepted...) {
		if !slices.Contains(got, text) {
			t.Errorf("%q was accepted, and has not come", text)
		}
	}
}
