package fdtable

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside runs f on a thread with its own table and waits for its end.
func inside(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	err := Go(func(err error) {
		if err == nil {
			err = f()
		}
		done <- err
	})
	if err == nil {
		err = <-done
	}
	if err != nil {
		t.Error(err)
	}
}

// table lists the descriptors of the calling thread, without the one that lists.
func table() ([]int, error) {
	dir := fmt.Sprintf("/proc/self/task/%d/fd", unix.Gettid())
	names, err := filepath.Glob(dir + "/*")
	var fds []int
	for _, name := range names {
		fd, _ := strconv.Atoi(filepath.Base(name))
		if _, err := os.Readlink(name); err == nil {
			fds = append(fds, fd)
		}
	}
	slices.Sort(fds)
	return fds, err
}

func TestSupported(t *testing.T) {
	if err := Supported(); err != nil {
		t.Fatal(err)
	}
}

// Ensure that a thread begins with the standard files and with what wakes
// others, and that what it opens and closes is its own business.
func TestTableOfItsOwn(t *testing.T) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(wake)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := pollers()
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 3 || !slices.Contains(want, wake) {
		t.Errorf("pollers and eventfds are %v, want at least those of the runtime and %d", want, wake)
	}
	want = append(want, 0, 1, 2)
	slices.Sort(want)
	inside(t, func() error {
		got, err := table()
		if err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("the thread begins with descriptors %v (%v), want %v", got, err, want)
		}
		if unix.Gettid() == unix.Getpid() {
			return fmt.Errorf("it runs on the first thread of the process")
		}
		return unix.Close(wake)
	})
	if _, err := unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Errorf("what the thread closed is closed outside: %v", err)
	}
}

// Ensure that together threads hold more descriptors than the limit allows one
// table, that the collector and the runtime's poller go on working meanwhile,
// and that a closed socket is closed for its peer at once: no copy lives on.
func TestPastTheLimit(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowered := unix.Rlimit{Cur: 100, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port

	const threads, each = 8, 60
	hold := make(chan struct{})
	held := make(chan error)
	for range threads {
		err := Go(func(err error) {
			for i := 0; err == nil && i < each; i++ {
				_, err = unix.Open(os.DevNull, unix.O_RDONLY, 0)
			}
			var fd int
			if err == nil {
				fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			}
			if err == nil {
				err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
			}
			held <- err
			<-hold
			unix.Close(fd) // and nothing else: its peer sees that
			held <- nil
			<-hold
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range threads {
		if err := <-held; err != nil {
			t.Error(err)
		}
	}
	for range 5 {
		runtime.GC()
	}
	release := func() {
		for range threads {
			hold <- struct{}{}
		}
	}
	var peers []net.Conn
	for range threads {
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		peers = append(peers, conn)
	}
	release()
	for range threads {
		<-held
	}
	for _, conn := range peers {
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("the peer of a closed socket reads %d bytes, %v; want its end", n, err)
		}
	}
	release()
}
