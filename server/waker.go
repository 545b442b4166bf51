package server

import (
	"sync"

	"golang.org/x/sys/unix"
)

// waker makes a loop's poller return. signal is safe for concurrent use, also
// after close; the rest is for the loop.
type waker struct {
	read int32

	mu    sync.Mutex
	write int // -1 when closed
}

func openWaker() (*waker, error) {
	read, write, err := openWake()
	if err != nil {
		return nil, err
	}
	return &waker{read: int32(read), write: write}, nil
}

// signal makes the read descriptor readable until drain. A full pipe or counter
// is readable already.
func (w *waker) signal() {
	one := [8]byte{1} // an eventfd takes eight bytes, a pipe any
	w.mu.Lock()
	if w.write >= 0 {
		unix.Write(w.write, one[:])
	}
	w.mu.Unlock()
}

// drain takes back every signal so far.
func (w *waker) drain() {
	var b [512]byte
	for {
		if n, err := unix.Read(int(w.read), b[:]); n < len(b) || err != nil {
			return
		}
	}
}

func (w *waker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.write != int(w.read) {
		unix.Close(int(w.read))
	}
	unix.Close(w.write)
	w.write = -1
}
