package server

import (
	"bufio"
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
	"millrace/internal/testenv"
)

// Linux answers at all of 127.0.0.0/8, so that tests can come from many
// addresses.

// dialFrom opens a connection from a loopback address.
func dialFrom(t testing.TB, s *Server, from net.IP) *client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
	conn, err := dialer.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

// askStream asks for a stream and returns whether there is one, or else the
// client is told to come back, in the form that an EventSource takes.
func (c *client) askStream() (open bool) {
	c.t.Helper()
	fmt.Fprint(c, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
	return c.isStream()
}

func (c *client) isStream() (open bool) {
	c.t.Helper()
	if status := c.line(); status != "HTTP/1.1 200 OK\r\n" {
		c.t.Fatalf("status line %q, want 200", status)
	}
	for c.line() != "\r\n" {
	}
	if line := c.line(); line == ":\n" {
		return true
	} else if !strings.HasPrefix(line, "retry: ") {
		c.t.Fatalf("first line %q, want a comment or a retry", line)
	}
	if rest, err := io.ReadAll(c.r); string(rest) != "\n" || err != nil {
		c.t.Fatalf("after retry: %q and %v, want the end", rest, err)
	}
	c.Close()
	return false
}

// Ensure that one address has as many streams as it may and others are not
// concerned; that a client above is told to come back, and let in once there is
// room; and that other requests are answered.
func TestMaxConnectionsPerIP(t *testing.T) {
	const most = 5
	log := new(logLines)
	s, _ := start(t, Config{Loops: 2, MaxConnectionsPerIP: most, Logger: slog.New(slog.NewJSONHandler(log, nil))}, channels.Options{})
	here, there := net.IPv4(127, 1, 0, 1), net.IPv4(127, 1, 0, 2)
	var streams []*client
	for range most {
		c := dialFrom(t, s, here)
		if !c.askStream() {
			t.Fatal("a stream within the limit was turned away")
		}
		streams = append(streams, c)
	}
	for range 3 * limits.MaxTold { // one after the other, however often
		if dialFrom(t, s, here).askStream() {
			t.Fatalf("more than %d streams from one address", most)
		}
	}
	for _, target := range []string{"/healthz", "/favicon.ico"} {
		c := dialFrom(t, s, here)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target)
		if line := c.line(); line != "HTTP/1.1 200 OK\r\n" && line != "HTTP/1.1 404 Not Found\r\n" {
			t.Errorf("GET %s above the limit: %q", target, line)
		}
	}
	if !dialFrom(t, s, there).askStream() {
		t.Error("another address is turned away")
	}
	testenv.Eventually(t, "the log says so", func() bool {
		return strings.HasPrefix(log.find("a client is told to come back later", "peer"), here.String()+":")
	})
	streams[2].Close()
	testenv.Eventually(t, "there is room again", func() bool { return dialFrom(t, s, here).askStream() })
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
	if !dialFrom(t, s, net.IPv4(127, 1, 0, 4)).askStream() {
		t.Error("another address is turned away")
	}
}

// Ensure that of a storm from thousands of addresses exactly as many get in as
// the bucket of each, and the bucket of all, have tokens.
func TestAcceptStorm(t *testing.T) {
	addresses, each := 1000, 4
	if testing.Short() {
		addresses = 100
	}
	const perIP = 3
	all := addresses * 2
	s, _ := start(t, Config{
		Loops: 3, AcceptRate: Rate{Events: all, Period: limits.MaxPeriod}, AcceptRatePerIP: Rate{Events: perIP, Period: limits.MaxPeriod},
	}, channels.Options{})
	var open, away atomic.Int64
	var clients sync.WaitGroup
	work := make(chan net.IP)
	for range 32 {
		clients.Go(func() {
			for from := range work {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
				conn, err := dialer.Dial("tcp", s.Addr().String())
				if err != nil {
					t.Error(err)
					continue
				}
				conn.SetDeadline(time.Now().Add(patience))
				fmt.Fprint(conn, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
				answer, err := io.ReadAll(io.LimitReader(conn, int64(len(s.heads.fixed+"\r\n:\n\n"))))
				switch {
				case err != nil:
					t.Error(err)
				case strings.HasSuffix(string(answer), "\r\n\r\n:\n\n"):
					open.Add(1)
				default:
					away.Add(1)
				}
				conn.(*net.TCPConn).SetLinger(0) // leaves no port behind
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
func TestOneAddressAboveItsRate(t *testing.T) {
	const perIP, all = 3, 10
	s, _ := start(t, Config{Loops: 2, AcceptRate: Rate{Events: all, Period: limits.MaxPeriod}, AcceptRatePerIP: Rate{Events: perIP, Period: limits.MaxPeriod}}, channels.Options{})
	for i := range 5 * all {
		if open := dialFrom(t, s, net.IPv4(127, 1, 0, 5)).askStream(); open != (i < perIP) {
			t.Fatalf("connection %d is a stream: %v, want %v", i, open, i < perIP)
		}
	}
	for i := range 2 * all {
		if open := dialFrom(t, s, net.IPv4(127, 1, 1, byte(i))).askStream(); open != (i < all-perIP) {
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
func TestStormStarvesNobody(t *testing.T) {
	comers := 5_000
	if testing.Short() || testenv.Race {
		comers = 2_000
	}
	s, b := start(t, Config{Loops: 2, AcceptRate: Rate{Events: 100, Period: limits.MaxPeriod}, Keepalive: time.Second}, channels.Options{})
	var inside []*client
	for range 20 {
		inside = append(inside, subscribe(t, s, "/inside"))
	}
	var begun, away atomic.Int64
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for n := begun.Add(1); n <= int64(comers); n = begun.Add(1) {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 3, byte(n>>8), byte(n))}, Timeout: patience}
				conn, err := dialer.Dial("tcp", s.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				conn.SetDeadline(time.Now().Add(patience))
				fmt.Fprint(conn, askX)
				answer, err := io.ReadAll(io.LimitReader(conn, int64(len(s.heads.fixed+"\r\nretry: "))))
				if err != nil {
					t.Error(err)
				}
				if strings.HasSuffix(string(answer), "\r\nretry: ") {
					away.Add(1)
				}
				conn.(*net.TCPConn).SetLinger(0)
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
