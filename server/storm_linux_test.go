package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/limits"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Linux answers at all of 127.0.0.0/8, so that tests can come from many
// addresses.

// dialFrom opens a connection from a loopback address.
func dialFrom(t testing.TB, s *Server, from net.IP) *client {
	t.Helper()
	conn := reachFrom(t, s, ssetest.Plain, from)
	return &client{t, conn, bufio.NewReader(conn)}
}

// reachFrom is dialFrom over a transport.
func reachFrom(t testing.TB, s *Server, via ssetest.Transport, from net.IP) *ssetest.Conn {
	t.Helper()
	conn, err := reach(s, via, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// opensFrom asks for a stream from an address, and returns what opens does.
func opensFrom(t testing.TB, s *Server, via ssetest.Transport, from net.IP) (_ *ssetest.Conn, open bool) {
	t.Helper()
	conn := reachFrom(t, s, via, from)
	open, err := opens(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, open
}

// opens asks for a stream and returns whether there is one, or else the client is told to
// come back.
func opens(conn *ssetest.Conn) (open bool, _ error) {
	answer, err := conn.Get("/x")
	if err != nil || answer.Status != 200 {
		return false, fmt.Errorf("answered %+v, %w", answer, err)
	}
	if open, err = begins(bufio.NewReaderSize(answer.Body, 64)); !open {
		conn.Close()
	}
	return open, err
}

// begins reads the beginning of a body, and returns whether it is a stream's, or else all of
// it tells the client to come back, in the form that an EventSource takes.
func begins(body *bufio.Reader) (open bool, _ error) {
	line, err := body.ReadString('\n')
	if line == ":\n" && err == nil {
		return true, nil
	}
	rest, end := io.ReadAll(body)
	if !strings.HasPrefix(line, "retry: ") || string(rest) != "\n" || end != nil {
		return false, fmt.Errorf("%q, %q, %w; want a comment, or a retry and the end", line, rest, errors.Join(err, end))
	}
	return false, nil
}

// Ensure that one address has as many streams as it may and others are not
// concerned; that a client above is told to come back, and let in once there is
// room; and that other requests are answered.
func TestMaxConnectionsPerIP(t *testing.T) { ssetest.Over(t, testMaxConnectionsPerIP) }

func testMaxConnectionsPerIP(t *testing.T, via ssetest.Transport) {
	const most = 5
	log := new(logLines)
	s, _ := startOver(t, via, Config{Loops: 2, MaxConnectionsPerIP: most, Logger: slog.New(slog.NewJSONHandler(log, nil))}, channels.Options{})
	here, there := net.IPv4(127, 1, 0, 1), net.IPv4(127, 1, 0, 2)
	opens := func(from net.IP) bool {
		t.Helper()
		_, open := opensFrom(t, s, via, from)
		return open
	}
	var streams []*ssetest.Conn
	for range most {
		c, open := opensFrom(t, s, via, here)
		if !open {
			t.Fatal("a stream within the limit was turned away")
		}
		streams = append(streams, c)
	}
	for range 3 * limits.MaxTold { // one after the other, however often
		if opens(here) {
			t.Fatalf("more than %d streams from one address", most)
		}
	}
	for target, want := range map[string]int{"/healthz": 200, "/favicon.ico": 404} {
		if answer, err := reachFrom(t, s, via, here).Get(target); err != nil || answer.Status != want {
			t.Errorf("GET %s above the limit: %+v, %v, want %d", target, answer, err, want)
		}
	}
	if !opens(there) {
		t.Error("another address is turned away")
	}
	testenv.Eventually(t, "the log says so", func() bool {
		return strings.HasPrefix(log.find("a client is told to come back later", "peer"), here.String()+":")
	})
	streams[2].Close()
	testenv.Eventually(t, "there is room again", func() bool { return opens(here) })
	if got := s.Stats().Closed[reasonAddressLimit.String()]; got < 3*limits.MaxTold {
		t.Errorf("%d connections counted as above the limit of their address, want at least %d", got, 3*limits.MaxTold)
	}
}

// Ensure that an address which opens connections and says nothing holds no more
// of them than there is a bound for.
func TestAddressFlood(t *testing.T) {
	const most, size = 10, 500
	s, _ := start(t, Config{Loops: 2, MaxConnectionsPerIP: most}, channels.Options{})
	here := net.IPv4(127, 1, 0, 3)
	for range size {
		dialFrom(t, s, here)
	}
	testenv.Eventually(t, "the rest is closed", func() bool { return s.Stats().Closed[reasonAddressFlood.String()] == size-most-limits.MaxTold })
	if got := s.Stats(); got.Accepted != size || got.Connections != most+limits.MaxTold {
		t.Errorf("%d accepted and %d open, want %d and %d", got.Accepted, got.Connections, size, most+limits.MaxTold)
	}
	if _, open := opensFrom(t, s, ssetest.Plain, net.IPv4(127, 1, 0, 4)); !open {
		t.Error("another address is turned away")
	}
}

// Ensure that of a storm from thousands of addresses exactly as many get in as
// the bucket of each, and the bucket of all, have tokens.
func TestAcceptStorm(t *testing.T) { ssetest.Over(t, testAcceptStorm) }

func testAcceptStorm(t *testing.T, via ssetest.Transport) {
	addresses, each := 1000, 4
	if testing.Short() || via != ssetest.Plain && !testenv.Full() {
		addresses = 100
	}
	const perIP = 3
	all := addresses * 2
	s, _ := startOver(t, via, Config{
		Loops: 3, AcceptRate: Rate{Events: all, Period: limits.MaxPeriod}, AcceptRatePerIP: Rate{Events: perIP, Period: limits.MaxPeriod},
	}, channels.Options{})
	var open, away atomic.Int64
	var clients sync.WaitGroup
	work := make(chan net.IP)
	for range 32 {
		clients.Go(func() {
			for from := range work {
				conn, err := reach(s, via, from)
				if err != nil {
					t.Error(err)
					continue
				}
				conn.Abort() // leaves no port behind
				switch isOpen, err := opens(conn); {
				case err != nil:
					t.Error(err)
				case isOpen:
					open.Add(1)
				default:
					away.Add(1)
				}
				conn.Close()
			}
		})
	}
	for range each {
		for i := range addresses {
			work <- net.IPv4(127, 2, byte(i>>8), byte(i))
		}
	}
	close(work)
	clients.Wait()
	if open.Load() != int64(all) || away.Load() != int64(addresses*each-all) {
		t.Errorf("%d streams and %d turned away, want %d and %d", open.Load(), away.Load(), all, addresses*each-all)
	}
	testenv.Eventually(t, "all are gone", func() bool { return s.Stats().Connections == 0 })
	closed := s.Stats().Closed
	perAddress, overall := closed[reasonAddressRate.String()], closed[reasonRate.String()]
	if perAddress+overall > uint64(away.Load()) || overall == 0 {
		t.Errorf("closed by reason: %v", closed)
	}
}

// Ensure that what an address has too much of takes nothing from the others.
func TestOneAddressAboveItsRate(t *testing.T) { ssetest.Over(t, testOneAddressAboveItsRate) }

func testOneAddressAboveItsRate(t *testing.T, via ssetest.Transport) {
	const perIP, all = 3, 10
	s, _ := startOver(t, via, Config{Loops: 2, AcceptRate: Rate{Events: all, Period: limits.MaxPeriod}, AcceptRatePerIP: Rate{Events: perIP, Period: limits.MaxPeriod}}, channels.Options{})
	for i := range 5 * all {
		if _, open := opensFrom(t, s, via, net.IPv4(127, 1, 0, 5)); open != (i < perIP) {
			t.Fatalf("connection %d is a stream: %v, want %v", i, open, i < perIP)
		}
	}
	for i := range 2 * all {
		if _, open := opensFrom(t, s, via, net.IPv4(127, 1, 1, byte(i))); open != (i < all-perIP) {
			t.Fatalf("connection %d of others is a stream: %v, want %v", i, open, i < all-perIP)
		}
	}
	closed := s.Stats().Closed
	if closed[reasonAddressRate.String()] == 0 || closed[reasonRate.String()] == 0 {
		t.Errorf("closed by reason: %v, want some for either rate", closed)
	}
}

// Ensure that while everybody comes back at once, and most are told to come
// later, those who are in get every event: none waits for the storm to end.
func TestStormStarvesNobody(t *testing.T) { ssetest.Over(t, testStormStarvesNobody) }

func testStormStarvesNobody(t *testing.T, via ssetest.Transport) {
	comers := 5_000
	if testing.Short() || testenv.Race {
		comers = 2_000
	}
	if via != ssetest.Plain && !testenv.Full() {
		comers = 500 // each has a handshake
	}
	s, b := startOver(t, via, Config{Loops: 2, AcceptRate: Rate{Events: 100, Period: limits.MaxPeriod}, Keepalive: time.Second}, channels.Options{})
	var inside []*client
	for range 20 {
		inside = append(inside, subscribeOver(t, via, s, "/inside"))
	}
	var begun, away atomic.Int64
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for n := begun.Add(1); n <= int64(comers); n = begun.Add(1) {
				conn, err := reach(s, via, net.IPv4(127, 3, byte(n>>8), byte(n)))
				if err != nil {
					t.Error(err)
					return
				}
				conn.Abort()
				open, err := opens(conn)
				if err != nil {
					t.Error(err)
				}
				if !open {
					away.Add(1)
				}
				conn.Close()
			}
		})
	}
	rounds := 0
	for ; begun.Load() < int64(comers); rounds++ {
		data := fmt.Sprint("round ", rounds)
		publish(t, b, "/inside", data, len(inside))
		for _, c := range inside {
			c.skipTo("data: " + data + "\n")
		}
	}
	clients.Wait()
	if want := int64(comers - 80); away.Load() != want {
		t.Errorf("%d were told to come back, want %d", away.Load(), want)
	}
	t.Logf("%d events reached everybody while %d came", rounds, comers)
	if rounds < comers/200 {
		t.Errorf("%d events reached everybody while %d came, want at least %d", rounds, comers, comers/200)
	}
}
