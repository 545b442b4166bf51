package enginetest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/channels"
)

// stranger opens streams on channels that the engine refuses, now at one node and now
// at another, and leaves again.
type stranger struct {
	nodes  []*Node
	prefix string // of the channels

	running sync.WaitGroup
	stop    context.CancelFunc
	opened  atomic.Int64
	told    atomic.Int64 // streams that began with a gap
}

// startStranger has count streams at a time until close.
func startStranger(nodes []*Node, prefix string, count int) *stranger {
	ctx, stop := context.WithCancel(context.Background())
	s := &stranger{nodes: nodes, prefix: prefix, stop: stop}
	for range count {
		s.running.Go(func() {
			for ctx.Err() == nil {
				s.visit(ctx)
				select {
				case <-ctx.Done():
				case <-time.After(rand.N(5 * time.Millisecond)):
				}
			}
		})
	}
	return s
}

func (s *stranger) close() {
	s.stop()
	s.running.Wait()
}

// visit opens a stream and stays until it is told of a gap, or has had enough.
func (s *stranger) visit(ctx context.Context) {
	public, _ := s.nodes[rand.N(len(s.nodes))].Addresses()
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", public)
	if err != nil {
		return // the node was killed, say
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s%d HTTP/1.1\r\nHost: test\r\n\r\n", (&url.URL{Path: s.prefix}).EscapedPath(), rand.N(1000))
	s.opened.Add(1)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "event: "+channels.GapType) {
			s.told.Add(1)
			return
		}
	}
}
