package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that connections which come and go at random during broadcasts, so
// that descriptors are reused all the time, never see a byte that is not
// theirs, nor miss one, and that nothing of them is left. The race detector
// watches 100,000 of them in the clear.
func TestChurn(t *testing.T) {
	ssetest.Over(t, func(t *testing.T, via ssetest.Transport) { churn(t, via, FDTablesShared, 1) })
}

// Ensure the same where each loop has a descriptor table of its own.
func TestChurnTablePerLoop(t *testing.T) {
	needPerLoop(t)
	ssetest.Over(t, func(t *testing.T, via ssetest.Transport) { churn(t, via, FDTablesPerLoop, 4) })
}

// churn makes a part of the connections that a churn is made of.
func churn(t *testing.T, via ssetest.Transport, tables FDTables, part int64) {
	connections := int64(20_000)
	if testenv.Race {
		connections = 100_000
	}
	if via != ssetest.Plain && !testenv.Full() {
		connections = 1_000 // each has a handshake
	}
	if testing.Short() {
		connections = 2_000
	}
	connections /= part
	s, b := startOver(t, via, Config{Loops: 3, FDTables: tables, Keepalive: 50 * time.Millisecond, HeaderTimeout: patience / 2}, channels.Options{})
	const rooms = 8

	var publisher, clients sync.WaitGroup
	done := make(chan struct{})
	publisher.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			room := i % rooms
			if _, err := b.Publish(fmt.Sprint("/", room), channels.Event{Data: fmt.Appendf(nil, "%d %d", room, i/rooms)}); err != nil {
				t.Error(err)
				return
			}
			if i%64 == 0 {
				time.Sleep(time.Millisecond) // leaves the processors to the connections
			}
		}
	})
	var begun atomic.Int64
	for worker := range 32 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(5, uint64(worker)))
			for n := begun.Add(1); n <= connections && !t.Failed(); n = begun.Add(1) {
				if err := visit(s, via, random, n); err != nil {
					t.Errorf("connection %d: %v", n, err)
				}
			}
		})
	}
	clients.Wait()
	close(done)
	publisher.Wait()
	testenv.Eventually(t, "every connection is forgotten", func() bool {
		got := s.Stats()
		return got.Connections == 0 && got.Streams == 0 && got.Behind == 0
	})
	if names := b.Ports().Channels(); len(names) > 0 || s.open.Load() != 0 || s.streams.Load() != 0 {
		t.Errorf("left behind: channels %q, %d open, %d streams", names, s.open.Load(), s.streams.Load())
	}
	stats := s.Stats()
	var closed uint64
	for _, n := range stats.Closed {
		closed += n
	}
	if stats.Accepted != uint64(connections) || closed != stats.Accepted {
		t.Errorf("%d connections: %d accepted, %d closed (%v)", connections, stats.Accepted, closed, stats.Closed)
	}
}

// visit makes one connection, which ends at a random point in a random way, and
// checks what it hears of its room: one number after the other.
func visit(s *Server, via ssetest.Transport, random *rand.Rand, n int64) error {
	// A source address of its own for every few thousand: the ports of closed
	// connections are not free at once.
	conn, err := reach(s, via, net.IPv4(127, 0, byte(n>>8), byte(n>>16+2)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if random.IntN(3) > 0 {
		conn.Abort() // it ends with a reset
	}
	room := random.IntN(8)
	request := conn.Request(fmt.Sprint("/", room))
	whole := len(request)
	if random.IntN(10) == 0 {
		request = request[:random.IntN(len(request))]
	}
	if _, err := conn.Write(request); err != nil || len(request) < whole || random.IntN(5) == 0 {
		return err
	}
	answer, err := conn.Answer()
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(answer.Body, 1024)
	if line, err := r.ReadString('\n'); answer.Status != 200 || line != ":\n" {
		return fmt.Errorf("answered %d, %q, %w", answer.Status, line, err)
	}
	last := -1
	events, halfClosed := random.IntN(30), random.IntN(8) == 0
	if halfClosed { // which ends a stream: its client has no other way to leave
		conn.CloseWrite()
		events = 1 << 30
	}
	for range events {
		line, err := r.ReadString('\n')
		if halfClosed && line == "" && isEnd(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if line == "\n" || line == ":keepalive\n" {
			continue
		}
		var gotRoom, number int
		if _, err := fmt.Sscanf(line, "data: %d %d\n", &gotRoom, &number); err != nil || gotRoom != room || last >= 0 && number != last+1 {
			return fmt.Errorf("in room %d after %d: %q", room, last, line)
		}
		last = number
	}
	return nil
}

// isEnd tells whether err says that a connection has ended.
func isEnd(err error) bool {
	return err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ssetest.ErrCut) || errors.Is(err, unix.ECONNRESET)
}
