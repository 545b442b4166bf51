package handover

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Ensure that descriptors of a record that nobody takes are closed.
func TestLongIsClosed(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[1])
	var l Long
	l.Add(Frame{Kind: KindOps, Payload: []byte{9, 0, 0, 0, 9, 0, 0, 0}, FDs: pipe[:1]})
	l.Close()
	if _, err := unix.Write(pipe[1], []byte("x")); err == nil {
		t.Error("the pipe has a reader")
	}
}
