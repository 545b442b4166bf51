package netpoll

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// tcpPair returns a non-blocking socket and the client at its other end.
func tcpPair(t testing.TB) (fd int32, client *net.TCPConn) {
	t.Helper()
	listener, bound, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(int(listener))
	conn, err := net.Dial("tcp", bound.String())
	if err != nil {
		t.Fatal(err)
	}
	fd, _, err = Accept(listener)
	for err == unix.EAGAIN || err == unix.EINTR {
		fd, _, err = Accept(listener)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); unix.Close(int(fd)) })
	return fd, conn.(*net.TCPConn)
}

// Ensure that what was written is known to the byte, however much of it is acknowledged or
// read, and also while the client reads.
func TestWritten(t *testing.T) {
	fd, client := tcpPair(t)
	begin, ok := Written(fd)
	if !ok {
		t.Fatal("an open connection has no ledger")
	}
	written, read := 0, 0
	check := func(what string) {
		t.Helper()
		if n, ok := Written(fd); !ok || n-begin != uint64(written) {
			t.Errorf("%s: %d bytes written, %v; want %d", what, n-begin, ok, written)
		}
	}
	check("nothing")
	for _, size := range []int{1, 1000, 1 << 20, 3 << 20} {
		n, err := unix.Write(int(fd), make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		written += n
		check("just written")
		buf := make([]byte, max(1, (written-read)/3))
		if _, err := io.ReadFull(client, buf); err != nil {
			t.Fatal(err)
		}
		read += len(buf)
		check("read in part")
	}
	for { // until the socket takes no more
		n, err := unix.Write(int(fd), make([]byte, 1<<20))
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		written += n
	}
	check("full")
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, client, int64(written-read))
		done <- err
	}()
	for over := false; !over; {
		select {
		case err := <-done:
			over = true
			if err != nil {
				t.Error(err)
			}
		default:
		}
		check("while the client reads")
	}
}

func TestRead(t *testing.T) {
	fd, client := tcpPair(t)
	begin, ok := Read(fd)
	if !ok {
		t.Fatal("an open connection has no ledger")
	}
	total := uint64(0)
	buf := make([]byte, 4)
	for range 5 {
		if _, err := client.Write([]byte("ten bytes.")); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, 5000); err != nil {
			t.Fatal(err)
		}
		if n, ok := Read(fd); !ok || n-begin != total {
			t.Errorf("%d bytes read, %v; want %d", n-begin, ok, total)
		}
		n, err := unix.Read(int(fd), buf)
		if err != nil {
			t.Fatal(err)
		}
		total += uint64(n)
		if n, ok := Read(fd); !ok || n-begin != total {
			t.Errorf("%d bytes read, %v; want %d", n-begin, ok, total)
		}
	}
}

// Ensure that a connection which is not open has no ledger: the end of a direction would
// count as a byte.
func TestLedgerOfClosed(t *testing.T) {
	for name, end := range map[string]func(fd int32, client *net.TCPConn) error{
		"closed by the client":      func(fd int32, client *net.TCPConn) error { return client.Close() },
		"half-closed by the client": func(fd int32, client *net.TCPConn) error { return client.CloseWrite() },
		"reset by the client": func(fd int32, client *net.TCPConn) error {
			client.SetLinger(0)
			return client.Close()
		},
		"shut here": func(fd int32, client *net.TCPConn) error { return unix.Shutdown(int(fd), unix.SHUT_RDWR) },
	} {
		fd, client := tcpPair(t)
		if _, err := unix.Write(int(fd), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := end(fd, client); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, 5000); err != nil { // the end arrives
			t.Fatal(err)
		}
		if n, ok := Written(fd); ok {
			t.Errorf("%s: %d bytes written, want that nothing is known", name, n)
		}
		if n, ok := Read(fd); ok {
			t.Errorf("%s: %d bytes read, want that nothing is known", name, n)
		}
	}
	if _, ok := Written(-1); ok {
		t.Error("descriptor -1 has a ledger")
	}
}

func BenchmarkWritten(b *testing.B) {
	fd, client := tcpPair(b)
	if _, err := unix.Write(int(fd), make([]byte, 100)); err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, client, 100); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Written(fd); !ok {
			b.Fatal("it has no ledger")
		}
	}
}
