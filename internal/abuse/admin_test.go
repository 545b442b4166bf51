package abuse

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// connRoom is what a connection of the admin port may take, in bytes: its buffers, and
// garbage of as much.
const connRoom = 512 << 10

// Ensure that connections without the password keep nobody out, however many.
func TestCrowdWithoutPassword(t *testing.T) {
	v := start(t, setup{secret: "secret", flags: []string{"--drain", "0s", "--max-admin-connections", "64"}})
	v.bears(64*connRoom+logRoom, func() {
		for range 4 {
			v.crowd(v.admin, 100, "PING\r\n")
			v.publisher().Close()
		}
		testenv.Eventually(v.t, "they are counted", func() bool { return v.metric("millrace_admin_connections_displaced_total") >= 300 })
		v.await("too many clients without a password")
	})
	v.stop()
}

// Ensure that without a password the port being full is told and counted, that nobody
// is ended for it, and that it has room again as soon as somebody goes.
func TestFullOfIdleClients(t *testing.T) {
	v := start(t, setup{flags: []string{"--drain", "0s", "--max-admin-connections", "32"}})
	v.bears(64*connRoom+logRoom, func() {
		first := v.publisher()
		v.crowd(v.admin, 100, "PING\r\n")
		v.await("admin port is full.*remedy=--max-admin-connections")
		testenv.Eventually(v.t, "they are counted", func() bool { return v.metric("millrace_admin_connections_rejected_total") >= 60 })
		if n := v.metric("millrace_admin_connections"); n != 32 {
			t.Errorf("%v connections, want 32", n)
		}
		first.Close()
		testenv.Eventually(v.t, "there is room", func() bool {
			answer, _ := request(v.admin, "PING\r\nQUIT\r\n", patience)
			return answer == "+PONG\r\n+OK\r\n"
		})
	})
	v.stop()
}

// Ensure that guessing passwords is slow, told and counted, and that the right one is
// taken at once meanwhile.
func TestGuessedPasswords(t *testing.T) {
	v := start(t, setup{secret: "secret", flags: []string{"--drain", "0s"}})
	const guessers, guesses = 100, 1000
	began := time.Now()
	v.bears(256*connRoom+logRoom, func() {
		all(guessers, func(int) {
			answer, _ := request(v.admin, strings.Repeat("AUTH wrong\r\n", guesses), 2*time.Second)
			if n := strings.Count(answer, "WRONGPASS"); n > 2 {
				t.Errorf("%d guesses were answered within 2 s, want 2 at most", n)
			}
		})
		v.publisher().Close()
		n := v.metric("millrace_admin_wrong_passwords_total")
		if most := float64(guessers + 64*(time.Since(began)/time.Second+1)); n < guessers/2 || n > most {
			t.Errorf("%v wrong passwords counted, want %d to %v", n, guessers/2, most)
		}
	})
	if n, most := v.log.count("wrong password"), int(time.Since(began)/time.Second)+2; n < 1 || n > most {
		t.Errorf("%d lines about wrong passwords, want 1 to %d", n, most)
	}
	v.stop()
}

// Ensure that a client that speaks another protocol publishes nothing.
func TestOtherProtocols(t *testing.T) {
	v := start(t, setup{flags: []string{"--drain", "0s"}})
	stream := v.open("/rooms/42")
	const publish = "PUBLISH /rooms/42 forged\r\n"
	v.bears(logRoom, func() {
		for _, attack := range []string{
			"PUBLISH /rooms/42 HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST / HTTP/1.1\r\nContent-Length: 26\r\n\r\n" + publish,
			"GET /rooms/42 HTTP/1.1\r\nX: y\r\n" + publish,
			"\x16\x03\x01\x00\x40\x01\n" + publish,
			"\x00\x01\x00\x08!\x12\xa4B\r\n" + publish,
			"EHLO x\r\n" + publish,
			"\x80\r\n" + publish,
		} {
			request(v.admin, attack, patience)
		}
	})
	if answer, err := request(v.admin, "PUBLISH /rooms/42 real\r\nQUIT\r\n", patience); answer != ":1\r\n+OK\r\n" {
		t.Errorf("%q, %v", answer, err)
	}
	for {
		ev, err := stream.Next()
		if err != nil || strings.Contains(ev.Data, "forged") || strings.Contains(ev.Data, "HTTP") {
			t.Fatalf("the stream got %+v, %v", ev, err)
		}
		if ev.Data == "real" {
			break
		}
	}
	v.stop()
}

// Ensure that clients that never read hold no more than their bound, are read from no
// more, and hold nobody up.
func TestClientsThatNeverRead(t *testing.T) {
	v := start(t, setup{flags: []string{"--drain", "0s"}})
	const clients, unread = 4, 32 << 20
	// What sockets hold: requests at both ends, and replies at the victim's.
	sockets := most(t, "tcp_rmem") + 2*most(t, "tcp_wmem") + 1<<20
	// What waits, garbage of as much, and what a reply and its request may be more.
	v.bears(2*clients*(unread+connRoom), func() {
		all(clients, func(int) {
			conn, err := net.Dial("tcp", v.admin)
			if err != nil {
				t.Error(err)
				return
			}
			v.hold(conn)
			conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			echo := strings.Repeat(fmt.Sprintf("ECHO %s\r\n", strings.Repeat("x", 60_000)), 16)
			sent := 0
			for n := 1; n > 0; { // until nothing more is taken
				conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
				n, _ = io.WriteString(conn, echo)
				sent += n
			}
			if sent < unread || sent > unread+sockets {
				t.Errorf("%d bytes were taken before anything was read, want %d to %d", sent, unread, unread+sockets)
			}
		})
		if n := v.metric("millrace_admin_unread_bytes"); n > clients*(unread+1<<17) {
			t.Errorf("%v bytes are unread, want %d at most", n, clients*(unread+1<<17))
		}
	})
}

// most returns what a buffer of a socket may have on this host at most, in bytes: the last
// number of tcp(7)'s tcp_rmem and tcp_wmem, of which the kernel's bookkeeping is a part.
func most(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
	if err != nil {
		t.Skip(err)
	}
	fields := strings.Fields(string(text))
	n, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
