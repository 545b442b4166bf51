package server

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/testenv"
)

// stick has a loop do nothing until release is called, and returns when its question waits behind
// others, or when it does nothing already if there are none.
func (l *loop) stick(t *testing.T, waiting int) (release func()) {
	t.Helper()
	stuck, free := make(chan struct{}), make(chan struct{})
	l.mail <- func() { close(stuck); <-free }
	l.waker.Signal()
	if waiting > 0 {
		testenv.Eventually(t, "the question waits", func() bool { return len(l.mail) == waiting+1 })
	} else {
		<-stuck
	}
	release = sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	return release
}

// Ensure that a predecessor which was told to end streams that it has handed over ends in order.
func TestEndStreamsHanded(t *testing.T) {
	opts := channels.Options{}
	s, _ := start(t, Config{Loops: 2}, opts)
	for range 4 {
		subscribe(t, s, "/a")
	}
	u := succeed(t, s, opts)
	for i := range s.Loops() {
		u.hand(i)
		u.commit(i)
	}
	if n, err := s.EndStreams(t.Context(), "/a", ""); n != 0 || err != nil {
		t.Errorf("%d streams ended, %v; want none", n, err)
	}
	u.over()
}

// Ensure that the connection which leads to the successor's loop is closed when the loop that is
// to be sent over it does not turn, and that the loop serves once it does.
func TestSendLoopStuck(t *testing.T) {
	for _, tables := range []FDTables{FDTablesShared, FDTablesPerLoop} {
		t.Run(string(tables), func(t *testing.T) {
			s, broker := start(t, Config{Loops: 1, FDTables: tables}, channels.Options{})
			c := subscribe(t, s, "/a")
			if err := s.BeginHandOver(handover.Version); err != nil {
				t.Fatal(err)
			}
			s.handing.patience = time.Second
			here, there, err := handover.Pair()
			if err != nil {
				t.Fatal(err)
			}
			l, sent := s.loops[0], make(chan error)
			begin := l.stick(t, 0)
			go func() {
				_, err := s.SendLoop(0, there)
				sent <- err
			}()
			testenv.Eventually(t, "the loop is asked to accept nothing", func() bool { return len(l.mail) == 1 })
			release := l.stick(t, 1)
			begin()
			err = <-sent
			if stuck := (*StuckError)(nil); !errors.As(err, &stuck) {
				t.Errorf("sending a loop that does not turn: %v, want a StuckError", err)
			}
			release()
			conn := handover.NewConn(here)
			defer conn.Close()
			if _, err := conn.Receive(); !errors.Is(err, io.EOF) {
				t.Errorf("at the other end of the connection: %v, want %v", err, io.EOF)
			}
			if _, err := s.TakeBack(); err != nil {
				t.Fatal(err)
			}
			publish(t, broker, "/a", "event", 1)
			c.want("data: event\n\n")
		})
	}
}

// Ensure that a loop is taken back however long it does not turn, and that this is logged.
func TestTakeBackStuck(t *testing.T) {
	var log logLines
	opts := channels.Options{}
	s, broker := start(t, Config{Loops: 1, Logger: slog.New(slog.NewJSONHandler(&log, nil))}, opts)
	c := subscribe(t, s, "/a")
	u := succeed(t, s, opts)
	u.hand(0)
	u.next.Close()
	s.handing.patience = 10 * time.Millisecond
	release := s.loops[0].stick(t, 0)
	taken := make(chan error)
	go func() {
		_, err := s.TakeBack()
		taken <- err
	}()
	testenv.Eventually(t, "the wait is logged", func() bool {
		select {
		case err := <-taken:
			t.Fatalf("a loop that does not turn is taken back: %v", err)
		default:
		}
		return log.find("an event loop does not turn, and an upgrade waits for it", "loop") == "0"
	})
	release()
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	u.tap.Close()
	<-u.relaying
	publish(t, broker, "/a", "event", 1)
	c.want("data: event\n\n")
}
