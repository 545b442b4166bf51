package handover

import (
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Ensure that hearing out decides for both ends which frames have come: all that were sent before, and
// none later, while the stream the other way goes on.
func TestHearOut(t *testing.T) {
	for _, waits := range []bool{false, true} {
		a, b := connected(t)
		b.SetTimeout(0)
		heard := make(chan []Kind, 1)
		hear := func() {
			var kinds []Kind
			for {
				frame, err := b.Receive()
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Errorf("waits %t: the end is %v, want %v", waits, err, io.EOF)
					}
					heard <- kinds
					return
				}
				kinds = append(kinds, frame.Kind)
			}
		}
		if waits {
			go hear()
		}
		for _, kind := range []Kind{KindBeat, KindSwitched} {
			if err := a.Send(kind, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.HearOut(); err != nil {
			t.Fatal(err)
		}
		if err := a.Send(KindDone, nil); !errors.Is(err, unix.EPIPE) {
			t.Errorf("waits %t: sent to one that hears no more: %v, want %v", waits, err, unix.EPIPE)
		}
		if !waits {
			go hear()
		}
		if got, want := <-heard, []Kind{KindBeat, KindSwitched}; !slices.Equal(got, want) {
			t.Errorf("waits %t: %v has come, want %v", waits, got, want)
		}
		if err := b.Send(KindBye, nil); err != nil {
			t.Fatal(err)
		}
		if frame, err := a.Receive(); err != nil || frame.Kind != KindBye {
			t.Errorf("waits %t: the other way: %v, %v; want %v", waits, frame.Kind, err, KindBye)
		}
	}
}

// Ensure that a frame is whole of which a part has come when the time is over, wherever it was cut.
func TestReceiveGoesOn(t *testing.T) {
	payload := []byte("some payload")
	h := headerOf(KindLoaded, payload, 1)
	whole := append(h[:], payload...)
	for cut := 1; cut < len(whole); cut++ {
		a, b := connected(t)
		b.SetTimeout(time.Millisecond)
		fds := sockets(t, 1)
		if err := unix.Sendmsg(a.FD(), whole[:cut], unix.UnixRights(fds...), nil, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d bytes: %v, want %v", cut, err, os.ErrDeadlineExceeded)
		}
		if err := unix.Sendmsg(a.FD(), whole[cut:], nil, nil, 0); err != nil {
			t.Fatal(err)
		}
		frame, err := b.Receive()
		if err != nil || string(frame.Payload) != string(payload) || len(frame.FDs) != 1 {
			t.Errorf("cut at %d: %q, %d descriptors, %v", cut, frame.Payload, len(frame.FDs), err)
		}
		frame.Drop()
	}
}
