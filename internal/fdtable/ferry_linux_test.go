package fdtable

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// passenger is a pipe whose reading end a thread gets.
func passenger(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// Ensure that a ferry brings descriptors into the tables of threads, each under a number of
// that table, and that what was not taken is closed.
func TestFerry(t *testing.T) {
	ferry, err := OpenFerry()
	if err != nil {
		t.Fatal(err)
	}
	defer ferry.Close()
	type job struct {
		take func() (int, error)
		done chan error
	}
	const threads = 3
	var jobs [threads]chan job
	for i := range jobs {
		jobs[i] = make(chan job)
		defer close(jobs[i])
		err := Go(func(err error) {
			for j := range jobs[i] {
				if err == nil {
					var fd int
					if fd, err = j.take(); err == nil {
						b := make([]byte, 8)
						n, failed := unix.Read(fd, b)
						if err = failed; err == nil && string(b[:n]) != "hello" {
							err = errors.New("it reads " + string(b[:n]))
						}
						unix.Close(fd)
					}
				}
				j.done <- err
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * threads {
		r, w := passenger(t)
		if _, err := w.WriteString("hello"); err != nil {
			t.Fatal(err)
		}
		err := ferry.Carry(int(r.Fd()), func(take func() (int, error)) error {
			j := job{take, make(chan error)}
			jobs[i%threads] <- j
			return <-j.done
		})
		if err != nil {
			t.Errorf("passage %d: %v", i, err)
		}
	}

	r, w := passenger(t)
	var late func() (int, error)
	gaveUp := errors.New("gave up")
	if err := ferry.Carry(int(r.Fd()), func(take func() (int, error)) error { late = take; return gaveUp }); err != gaveUp {
		t.Errorf("a passage that was given up: %v, want %v", err, gaveUp)
	}
	if fd, err := late(); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("taken after the passage: descriptor %d, %v; want an error", fd, err)
	}
	r.Close()
	if _, err := w.WriteString("x"); !errors.Is(err, unix.EPIPE) {
		t.Errorf("a write to what nobody has taken: %v, want %v: it is open somewhere", err, unix.EPIPE)
	}
}
