package ports

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestCheckAddress(t *testing.T) {
	for _, right := range []string{":0", ":8080", "127.0.0.1:0", "[::1]:65535", "localhost:http", "no.such.host.invalid:80"} {
		if err := CheckAddress(right); err != nil {
			t.Errorf("%q: %v, want it to be taken", right, err)
		}
	}
	for _, wrong := range []string{"", ":", "127.0.0.1:", "127.0.0.1", "8080", "::1:80", ":65536", ":-1", ":no-such-service", "http://h:80", "[::1]"} {
		if err := CheckAddress(wrong); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v, want ErrAddress", wrong, err)
		}
	}
	if _, err := Resolve("no.such.host.invalid:80"); err == nil || errors.Is(err, ErrAddress) {
		t.Errorf("a host that is not to be found: %v, want an error that is not ErrAddress", err)
	}
}

// Ensure that failures which may be the connections' own are borne at once, but not a
// run of them; and that want of room pauses at once, longer each time.
func TestPauses(t *testing.T) {
	for _, tt := range []struct {
		err  error
		free int // failures without a pause
	}{
		{syscall.EMFILE, 0}, {syscall.ENFILE, 0}, {syscall.ENOMEM, 0}, {os.NewSyscallError("accept", syscall.ENOBUFS), 0},
		{syscall.ECONNABORTED, patience - 1}, {syscall.EPROTO, patience - 1}, {syscall.EPERM, patience - 1}, {errors.New("unknown"), patience - 1},
	} {
		var p Pauses
		for range 2 { // the second time after a success
			for i := range tt.free {
				if d := p.After(tt.err); d != 0 {
					t.Errorf("%v, failure %d: %v, want none", tt.err, i, d)
				}
			}
			for want := firstPause; want < 4*lastPause; want *= 2 {
				if d := p.After(tt.err); d != min(want, lastPause) {
					t.Errorf("%v: a pause of %v, want %v", tt.err, d, min(want, lastPause))
				}
			}
			p.Accepted()
		}
	}
}

// failing is a listener that accepts what comes on a channel: errors, or connections
// for nil.
type failing chan error

func (f failing) Accept() (net.Conn, error) {
	err, open := <-f
	if !open {
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	conn, _ := net.Pipe()
	return conn, nil
}
func (f failing) Close() error { close(f); return nil }
func (failing) Addr() net.Addr { return &net.TCPAddr{} }

// Ensure that a listener goes on, says once a second why it pauses, and ends a pause
// when it is closed.
func TestSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(bytes.Buffer)
		fails := make(failing)
		s := NewSteady(fails, "test", slog.New(slog.NewTextHandler(log, nil)))
		ended := make(chan error)
		accepted := 0
		go func() {
			for {
				conn, err := s.Accept()
				if err != nil {
					ended <- err
					return
				}
				conn.Close()
				accepted++
			}
		}()
		began := time.Now()
		for range 5 {
			fails <- syscall.EPERM
			fails <- nil
		}
		if took := time.Since(began); took != 0 || log.Len() > 0 {
			t.Errorf("failures of single connections: %v, %q, want no pause and no line", took, log)
		}
		for range 10 {
			fails <- syscall.ENOMEM
		}
		fails <- nil
		took := time.Since(began)
		if want := 50*time.Millisecond*(1+2+4+8+16) + 5*lastPause; took != want {
			t.Errorf("10 times no memory: pauses of %v, want %v", took, want)
		}
		if n, most := strings.Count(log.String(), "the test port cannot accept"), int(took/time.Second)+1; n == 0 || n > most {
			t.Errorf("%d lines, want 1 to %d", n, most)
		}
		synctest.Wait()
		if accepted != 6 {
			t.Errorf("%d connections, want 6", accepted)
		}
		fails <- syscall.ENOMEM
		synctest.Wait() // it pauses
		began = time.Now()
		s.Close()
		if err := <-ended; err != net.ErrClosed || time.Since(began) != 0 {
			t.Errorf("closed in a pause: %v after %v, want net.ErrClosed at once", err, time.Since(began))
		}
	})
}
