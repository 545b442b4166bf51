package netpoll

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Waker makes a loop's poller return. Signal and Close are safe for concurrent use, Signal also
// after Close; the rest is for the loop.
type Waker struct {
	read int32

	mu    sync.Mutex
	write int // -1 when closed
}

// OpenWaker opens a waker, which Close closes.
func OpenWaker() (*Waker, error) {
	read, write, err := openWake()
	if err != nil {
		return nil, err
	}
	return &Waker{read: int32(read), write: write}, nil
}

// FD returns the descriptor that is readable after a signal.
func (w *Waker) FD() int32 { return w.read }

// Signal makes the read descriptor readable until Drain. A full pipe or counter
// is readable already.
func (w *Waker) Signal() {
	one := [8]byte{1} // an eventfd takes eight bytes, a pipe any
	w.mu.Lock()
	if w.write >= 0 {
		unix.Write(w.write, one[:])
	}
	w.mu.Unlock()
}

// Drain takes back every signal so far.
func (w *Waker) Drain() {
	var b [512]byte
	for {
		if n, err := unix.Read(int(w.read), b[:]); n < len(b) || err != nil {
			return
		}
	}
}

// Close closes the descriptors.
func (w *Waker) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.write != int(w.read) {
		unix.Close(int(w.read))
	}
	unix.Close(w.write)
	w.write = -1
}
