package admin

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/throttle"
)

func TestListen(t *testing.T) {
	for _, tt := range []struct{ addr, password, want string }{
		{"127.0.0.1:0", "", ""},
		{"[::1]:0", "", ""},
		{"localhost:0", "", ""},
		{"127.0.0.1:0", "secret", ""},
		{"0.0.0.0:0", "secret", ""},
		{":7379", "", "admin address :7379: reachable from other hosts without a password: set --admin-password, or bind a loopback address such as 127.0.0.1:7379"},
		{"0.0.0.0:7379", "", "admin address 0.0.0.0:7379: reachable from other hosts"},
		{"[::]:7379", "", "admin address [::]:7379: reachable from other hosts"},
		{"192.0.2.1:7379", "", "admin address 192.0.2.1:7379: reachable from other hosts"},
		{"7379", "", `bad address "7379", want HOST:PORT or :PORT`},
		{"192.0.2.1:0", "secret", `admin address "192.0.2.1:0": listen tcp`},
	} {
		s, err := Listen(tt.addr, Config{Password: tt.password, Broker: &recorder{}})
		if s != nil {
			s.Close()
		}
		if tt.want == "" && err != nil && strings.HasPrefix(tt.addr, "[") {
			t.Logf("no IPv6 here: %v", err)
		} else if got := fmt.Sprint(cmp.Or(err, errors.New(""))); !strings.HasPrefix(got, tt.want) || (err == nil) != (tt.want == "") {
			t.Errorf("Listen(%q) with password %q: %v, want %q", tt.addr, tt.password, err, tt.want)
		}
		if strings.Contains(tt.want, "reachable") && !errors.Is(err, ErrNoPassword) {
			t.Errorf("Listen(%q): %v is not ErrNoPassword", tt.addr, err)
		}
	}
}

// Ensure that Close leaves neither goroutine nor descriptor, whatever the
// connections are doing.
func TestClose(t *testing.T) {
	descriptors := func() int {
		if runtime.GOOS != "linux" {
			return 0
		}
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	warm := serve(t, Config{Broker: &recorder{}}) // the poller has descriptors of its own, from the first socket on
	ask(t, warm, "PING\n")
	warm.Close()
	before := descriptors()

	s, err := Listen("127.0.0.1:0", Config{Broker: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve() }()
	idle, busy := dial(t, s), dial(t, s)
	var clients sync.WaitGroup
	clients.Go(func() { io.Copy(io.Discard, idle) })
	clients.Go(func() { io.Copy(io.Discard, busy) })
	clients.Go(func() {
		for {
			if _, err := io.WriteString(busy, strings.Repeat("PUBLISH /a b\n", 1000)); err != nil {
				return
			}
		}
	})
	if got := ask(t, s, "PING\n"); got != "+PONG\r\n" {
		t.Errorf("PING: %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error("Close:", err)
	}
	if err := <-served; err != nil {
		t.Error("Serve:", err)
	}
	if err := s.Close(); err != nil {
		t.Error("Close again:", err)
	}
	if err := s.Serve(); err != nil {
		t.Error("Serve after Close:", err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("still accepts after Close")
	}
	clients.Wait()
	idle.Close()
	busy.Close()
	if n := descriptors(); n != before {
		t.Errorf("%d descriptors after Close, %d before", n, before)
	}
}

func TestMaxClients(t *testing.T) {
	s := serve(t, Config{Broker: &recorder{}, MaxClients: 2})
	var clients []net.Conn
	for range 2 {
		nc := dial(t, s)
		exchange(t, nc, "PING\n", "+PONG\r\n")
		clients = append(clients, nc)
	}
	if got, want := ask(t, s, ""), "-ERR max number of clients reached\r\n"; got != want {
		t.Errorf("the third client got %q, want %q", got, want)
	}
	exchange(t, clients[0], "QUIT\n", "+OK\r\n")
	io.Copy(io.Discard, clients[0]) // the server has closed
	clients[0].Close()
	for deadline := time.Now().Add(10 * time.Second); s.clients() == 2; {
		if time.Now().After(deadline) {
			t.Fatal("the place of a client that quit is not free")
		}
		runtime.Gosched()
	}
	if got := ask(t, s, "PING\n"); got != "+PONG\r\n" {
		t.Errorf("after one has quit: %q", got)
	}
}

// Ensure that a listener which runs out of descriptors is tried again, and not
// in a spin.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ln := newPipes()
		s, err := New(ln, Config{Broker: &recorder{}, Logger: logTo(&log)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, s)
		began := time.Now()
		for range 12 {
			ln.errs <- syscall.EMFILE
		}
		nc := ln.dial()
		exchange(t, nc, "PING\n", "+PONG\r\n")
		nc.Close()
		took := time.Since(began)
		if took < time.Second || took > 10*time.Second {
			t.Errorf("12 failures took %v", took)
		}
		if n, most := strings.Count(log.String(), "cannot accept"), int(took/throttle.Interval)+1; n == 0 || n > most {
			t.Errorf("logged %d times, want 1 to %d: %s", n, most, &log)
		}
	})
}

// Ensure that Serve does not go on without a listener.
func TestListenerClosed(t *testing.T) {
	ln := newPipes()
	s, err := New(ln, Config{Broker: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := s.Serve(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v, want net.ErrClosed", err)
	}
}
