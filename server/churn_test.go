package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that connections which come and go at random during broadcasts, so
// that descriptors are reused all the time, never see a byte that is not
// theirs, nor miss one, and that nothing of them is left. The race detector
// watches 100,000 of them.
func TestChurn(t *testing.T) { churn(t, FDTablesShared, 1) }

// Ensure the same where each loop has a descriptor table of its own.
func TestChurnTablePerLoop(t *testing.T) {
	needPerLoop(t)
	churn(t, FDTablesPerLoop, 4)
}

// churn makes a part of the connections that a churn is made of.
func churn(t *testing.T, tables FDTables, part int64) {
	connections := int64(20_000)
	if testenv.Race {
		connections = 100_000
	}
	if testing.Short() {
		connections = 2_000
	}
	connections /= part
	s, b := start(t, Config{Loops: 3, FDTables: tables, Keepalive: 50 * time.Millisecond, HeaderTimeout: time.Second}, channels.Options{})
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
				if err := visit(s, random, n); err != nil {
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
func visit(s *Server, random *rand.Rand, n int64) error {
	// A source address of its own for every few thousand: the ports of closed
	// connections are not free at once.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(n>>8), byte(n>>16+2))}, Timeout: patience}
	conn, err := dialer.Dial("tcp", s.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if random.IntN(3) > 0 {
		conn.(*net.TCPConn).SetLinger(0) // ends with a reset
	}
	room := random.IntN(8)
	request := fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: test\r\n\r\n", room)
	if random.IntN(10) == 0 {
		request = request[:random.IntN(len(request))]
	}
	if _, err := conn.Write([]byte(request)); err != nil || !strings.HasSuffix(request, "\r\n\r\n") || random.IntN(5) == 0 {
		return err
	}
	r := bufio.NewReaderSize(conn, 1024)
	expect := func(want string) error {
		line, err := r.ReadString('\n')
		if err == nil && line != want {
			err = fmt.Errorf("got %q, want %q", line, want)
		}
		return err
	}
	if err := expect("HTTP/1.1 200 OK\r\n"); err != nil {
		return err
	}
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			return err
		}
	}
	if err := expect(":\n"); err != nil {
		return err
	}
	last := -1
	events, halfClosed := random.IntN(30), random.IntN(8) == 0
	if halfClosed { // which ends a stream: its client has no other way to leave
		conn.(*net.TCPConn).CloseWrite()
		events = 1 << 30
	}
	for range events {
		line, err := r.ReadString('\n')
		if halfClosed && line == "" && (err == io.EOF || errors.Is(err, unix.ECONNRESET)) {
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
