package handover

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connected returns the two ends of a connection.
func connected(t testing.TB) (a, b *Conn) {
	t.Helper()
	x, y, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	a, b = NewConn(x), NewConn(y)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// openFDs counts the descriptors of the process.
func openFDs(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// sockets opens n TCP sockets.
func sockets(t testing.TB, n int) (fds []int) {
	t.Helper()
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	t.Cleanup(func() { closeAll(fds) })
	return fds
}

// Ensure that frames of every size arrive as they were sent, with their descriptors, which
// are the same sockets and are closed on exec.
func TestFrames(t *testing.T) {
	a, b := connected(t)
	before := openFDs(t)
	for _, test := range []struct{ payload, fds int }{{0, 0}, {1, 0}, {0, 1}, {100, 2}, {16 << 10, MaxFDs}, {MaxPayload, 0}, {MaxPayload, MaxFDs}} {
		payload := bytes.Repeat([]byte{byte(test.payload)}, test.payload)
		fds := sockets(t, test.fds)
		sent := make(chan error, 1)
		go func() { sent <- a.Send(KindConnections, payload, fds...) }()
		frame, err := b.Receive()
		if err != nil {
			t.Fatalf("%+v: %v", test, err)
		}
		if err := <-sent; err != nil {
			t.Fatalf("%+v: %v", test, err)
		}
		if frame.Kind != KindConnections || !bytes.Equal(frame.Payload, payload) || len(frame.FDs) != len(fds) {
			t.Errorf("%+v: got %s with %d bytes and %d descriptors", test, frame.Kind, len(frame.Payload), len(frame.FDs))
		}
		for i, fd := range frame.FDs {
			want, err := Cookie(fds[i])
			got, err2 := Cookie(fd)
			if err != nil || err2 != nil || got != want || got == 0 {
				t.Errorf("%+v: descriptor %d is socket %d (%v), want %d (%v)", test, i, got, err2, want, err)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("%+v: descriptor %d stays open on exec (%v)", test, i, err)
			}
		}
		closeAll(frame.FDs)
		closeAll(fds)
		for i := range fds {
			fds[i] = -1
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, want %d", after, before)
	}
}

// Ensure that what a frame cannot have is refused before anything is written.
func TestTooLarge(t *testing.T) {
	a, b := connected(t)
	if err := a.Send(KindRelay, make([]byte, MaxPayload+1)); err == nil {
		t.Error("a payload above the bound is sent")
	}
	if err := a.Send(KindRelay, nil, make([]int, MaxFDs+1)...); err == nil {
		t.Error("descriptors above the bound are sent")
	}
	if err := a.Send(KindDone, nil); err != nil {
		t.Errorf("the connection is of no use afterwards: %v", err)
	}
	if frame, err := b.Receive(); err != nil || frame.Kind != KindDone {
		t.Errorf("got %s, %v; want %s", frame.Kind, err, KindDone)
	}
}

// Ensure that a byte changed anywhere in a frame is noticed, that a cut frame is, and that
// both leave no descriptor behind.
func TestDamagedFrames(t *testing.T) {
	payload := []byte("payload")
	h := headerOf(KindRelay, payload, 1)
	whole := append(h[:], payload...)
	before := openFDs(t)
	check := func(t *testing.T, what string, frame []byte, fds int, want error) {
		a, b := connected(t)
		rights := unix.UnixRights(sockets(t, fds)...)
		if fds == 0 {
			rights = nil
		}
		if err := unix.Sendmsg(a.fd, frame, rights, nil, 0); err != nil {
			t.Fatal(err)
		}
		if err := unix.Shutdown(a.fd, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		got, err := b.Receive()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %s %q, %v; want %v", what, got.Kind, got.Payload, err, want)
		}
		if _, again := b.Receive(); !errors.Is(again, err) && err != nil {
			t.Errorf("%s: then %v, want %v for good", what, again, err)
		}
		closeAll(got.FDs)
	}
	try := func(what string, frame []byte, fds int, want error) { // what it opens is closed before the next
		t.Run("", func(t *testing.T) { check(t, what, frame, fds, want) })
	}
	try("whole", whole, 1, nil)
	for i := range whole {
		if i >= 4 && i < 8 {
			continue // the length: a longer frame is a cut one
		}
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x10
		try(fmt.Sprintf("byte %d changed", i), damaged, 1, ErrDamaged)
	}
	for n := 1; n < len(whole); n++ {
		try(fmt.Sprintf("cut to %d bytes", n), whole[:n], 1, io.ErrUnexpectedEOF)
	}
	longer := bytes.Clone(whole)
	longer[6] = 0x20 // 2 MiB
	try("a length above the bound", longer, 1, ErrDamaged)
	try("no descriptor", whole, 0, ErrDamaged)
	try("too many descriptors", whole, 2, ErrDamaged)
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, want %d", after, before)
	}
}

// Ensure that a receiver whose table is full says so, and keeps nothing.
func TestTableFull(t *testing.T) {
	a, b := connected(t)
	fds := sockets(t, 100)
	before := openFDs(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(KindConnections, []byte("100 of them"), fds...); err != nil {
		t.Fatal(err)
	}
	next, err := unix.Dup(0) // the first number that is free
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(next)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next + 50), Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, err = b.Receive()
	unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if !errors.Is(err, ErrTableFull) {
		t.Errorf("got %v, want %v", err, ErrTableFull)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, want %d", after, before)
	}
}

// Ensure that a cookie tells sockets apart.
func TestCookie(t *testing.T) {
	fds := sockets(t, 2)
	first, err := Cookie(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Cookie(fds[1]); err != nil || second == first {
		t.Errorf("two sockets have the cookies %d and %d, %v", first, second, err)
	}
	if _, err := Cookie(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("descriptor -1: %v, want %v", err, unix.EBADF)
	}
}

// Ensure that neither side waits for longer than its timeout, and that another one ends a
// wait.
func TestTimeouts(t *testing.T) {
	a, b := connected(t)
	a.SetTimeout(time.Millisecond)
	b.SetTimeout(time.Millisecond)
	if _, err := b.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing comes: %v, want %v", err, os.ErrDeadlineExceeded)
	}
	var err error
	for range 10 {
		if err = a.Send(KindRelay, make([]byte, MaxPayload)); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody reads: %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if again := a.Send(KindDone, nil); again == nil {
		t.Error("a frame follows one that was cut")
	}

	a, b = connected(t)
	b.SetTimeout(0)
	ended := make(chan error)
	go func() {
		_, err := b.Receive()
		ended <- err
	}()
	if err := b.Interrupt(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("interrupted: %v, want %v", err, io.EOF)
	}
	if err := a.Send(KindDone, nil); !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent to an end that was interrupted: %v, want %v", err, unix.EPIPE)
	}
}

// Ensure that a payload does not outlive its frame: it may be key material.
func TestPayloadsAreCleared(t *testing.T) {
	for name, end := range map[string]func(a, b *Conn) error{
		"the next frame":   func(a, b *Conn) error { return errors.Join(a.Send(KindCommit, nil), receiveOne(b)) },
		"a longer one":     func(a, b *Conn) error { return errors.Join(a.Send(KindKeys, make([]byte, 1000)), receiveOne(b)) },
		"the end":          func(a, b *Conn) error { return errors.Join(a.Interrupt(), receiveOne(b)) },
		"closing its side": func(a, b *Conn) error { return b.Close() },
	} {
		x, y, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		a, b := NewConn(x), NewConn(y)
		if err := a.Send(KindKeys, []byte("a secret")); err != nil {
			t.Fatal(err)
		}
		frame, err := b.Receive()
		if err != nil || string(frame.Payload) != "a secret" {
			t.Fatalf("got %q, %v", frame.Payload, err)
		}
		if err := end(a, b); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if string(frame.Payload) != strings.Repeat("\x00", len(frame.Payload)) {
			t.Errorf("%q is kept after %s", frame.Payload, name)
		}
		a.Close()
		if name != "closing its side" {
			b.Close()
		}
	}
}

// receiveOne receives a frame of which nothing but its arrival counts.
func receiveOne(c *Conn) error {
	_, err := c.Receive()
	return err
}

func TestExpect(t *testing.T) {
	a, b := connected(t)
	before := openFDs(t)
	fds := sockets(t, 1)
	for _, kind := range []Kind{KindHello, KindLoaded} {
		if err := a.Send(kind, nil, fds...); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Send(KindRefuse, Encode(Version, &Refusal{[]string{"it drains"}})); err != nil {
		t.Fatal(err)
	}
	frame, err := b.Expect(KindHello)
	if err != nil || frame.Kind != KindHello {
		t.Errorf("got %s, %v; want %s", frame.Kind, err, KindHello)
	}
	closeAll(frame.FDs)
	if _, err := b.Expect(KindCommit); err == nil || err.Error() != "receive: got loaded, want commit" {
		t.Errorf("another kind: %v", err)
	}
	var refusal *Refusal
	if _, err := b.Expect(KindCommit); !errors.As(err, &refusal) || err.Error() != "it drains" {
		t.Errorf("a refusal: %v", err)
	}
	if after := openFDs(t); after != before+1 {
		t.Errorf("%d descriptors are open, want %d", after, before+1)
	}
}

// Ensure that a user without privileges, of whom the kernel lets only so many descriptors be
// on their way (ETOOMANYREFS), sends as many as the receiver takes, and is told if it takes
// none.
func TestTooManyOnTheirWay(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const room = 600
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: room, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	asNobody := func(f func() error) error {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // for good: the thread ends with its user
			const nobody = 65534
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 && os.Getuid() == 0 {
				done <- errno
				return
			}
			done <- f()
		}()
		return <-done
	}
	fd := sockets(t, 1)[0]
	many := make([]int, MaxFDs)
	for i := range many {
		many[i] = fd
	}

	x, y, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	a := NewConn(x)
	a.SetTimeout(10 * time.Millisecond)
	err = asNobody(func() error {
		for range 2 * room / MaxFDs {
			if err := a.Send(KindConnections, nil, many...); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, unix.ETOOMANYREFS) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("nobody takes them: %v, want %v", err, unix.ETOOMANYREFS)
	}
	closeAll([]int{x, y}) // and with them what is on its way

	c, d := connected(t)
	const frames = 20
	received := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < frames && err == nil; i++ {
			var frame Frame
			frame, err = d.Receive()
			closeAll(frame.FDs)
		}
		received <- err
	}()
	if err := asNobody(func() error {
		for range frames {
			if err := c.Send(KindConnections, nil, many...); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Errorf("they are taken: %v", err)
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
}

// Ensure that any bytes from the other end are a frame or an error.
func FuzzReceive(f *testing.F) {
	for _, rt := range recordTypes {
		f.Add(rt.frame(Version))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, stream []byte) {
		stream = stream[:min(len(stream), 64<<10)] // what the socket holds
		a, b := connected(t)
		if n, err := unix.Write(a.fd, stream); err != nil && len(stream) > 0 || n != len(stream) {
			t.Fatal(n, err)
		}
		unix.Shutdown(a.fd, unix.SHUT_WR)
		read := 0
		for {
			frame, err := b.Receive()
			if err != nil {
				if errors.Is(err, io.EOF) && read != len(stream) {
					t.Fatalf("an end after %d of %d bytes", read, len(stream))
				}
				return
			}
			read += headerSize + len(frame.Payload)
		}
	})
}

// BenchmarkFrames moves descriptors of TCP sockets from end to end, 253 with records of 64
// bytes a frame.
func BenchmarkFrames(b *testing.B) {
	x, y := connected(b)
	fds := sockets(b, MaxFDs)
	payload := make([]byte, 64*MaxFDs)
	for b.Loop() {
		if err := x.Send(KindConnections, payload, fds...); err != nil {
			b.Fatal(err)
		}
		frame, err := y.Receive()
		if err != nil {
			b.Fatal(err)
		}
		closeAll(frame.FDs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/MaxFDs, "ns/descriptor")
}
