package bench

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Server is a server of event streams under load, in processes of its own.
type Server struct {
	Name    string // for people: millrace, millrace+tls, floor, net/http, nchan
	Version string
	Addr    string // of its streams: host and port
	Host    string // that requests name, Addr by default
	Target  string // path and query of its streams

	Protocol      Protocol // of its streams
	PerConnection int      // streams of a connection
	Certificate   []byte   // see Config

	publisher Publisher
	// ownWindows tells that with Gzip it compresses each stream by itself.
	ownWindows bool

	pings  bool // as often as Lab.Millrace says
	mu     sync.Mutex
	pids   []int   // guarded by mu once there is a session
	pauses *pauses // of its garbage collector; nil when it has none, or does not tell
	close  func()
}

// Publisher hands events to a server.
type Publisher interface {
	// Publish publishes so many events, which follow each other, and returns
	// when the server has accepted all of them.
	Publish(events [][]byte) error
	Close() error
}

// Publish publishes that many events, with payloads of so many bytes, from
// number first on.
func (s *Server) Publish(first uint64, events, size int) error {
	payloads := make([][]byte, events)
	for i := range payloads {
		payloads[i] = AppendPayload(nil, first+uint64(i), size)
	}
	if err := s.publisher.Publish(payloads); err != nil {
		return fmt.Errorf("%s: publishing event %d: %w", s.Name, first, err)
	}
	return nil
}

// Usage returns the use of the server's processes.
func (s *Server) Usage() (Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return usageOf(s.pids)
}

// Pauses returns the pauses of the server's garbage collector so far; ok is
// false when they are not known.
func (s *Server) Pauses() (p []time.Duration, ok bool) {
	if s.pauses == nil {
		return nil, false
	}
	return s.pauses.all(), true
}

// Close ends the server.
func (s *Server) Close() {
	s.publisher.Close()
	s.close()
}

// Usage is the processor time that processes have used and the memory that they hold.
type Usage struct {
	CPU time.Duration // in user and system mode
	RSS int           // resident bytes
	// Anon is the part of RSS that no file backs: what the process itself has
	// allocated.
	Anon int
}

func usageOf(pids []int) (sum Usage, err error) {
	for _, pid := range pids {
		cpu, err := processCPU(pid)
		if err != nil {
			return sum, err
		}
		rss, anon, err := processMemory(pid)
		if err != nil {
			return sum, err
		}
		sum.CPU += cpu
		sum.RSS += rss
		sum.Anon += anon
	}
	return sum, nil
}

// family returns a process and all that descend from it.
func family(pid int) []int {
	pids := []int{pid}
	for _, child := range children(pid) {
		pids = append(pids, family(child)...)
	}
	slices.Sort(pids)
	return pids
}
