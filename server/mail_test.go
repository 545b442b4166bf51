package server

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that a probe goes through every loop, tells which one hangs, and passes
// again when it turns; and that those who ask meanwhile do not gather there.
func TestProbe(t *testing.T) {
	s, _ := start(t, Config{Loops: 3}, channels.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Probe(ctx); err != nil {
		t.Fatalf("probe of idle loops: %v", err)
	}

	hangs, release := make(chan struct{}), make(chan struct{})
	go ask(ctx, s.loops[1], func(*loop) struct{} {
		close(hangs)
		<-release
		return struct{}{}
	})
	<-hangs
	for range 3 * mailSize {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		err := s.Probe(short)
		cancel()
		stuck := new(StuckError)
		if !errors.As(err, &stuck) || !slices.Contains(stuck.Loops, 1) {
			t.Fatalf("probe while loop 1 hangs: %v, want that it is stuck", err)
		}
	}
	if n := len(s.loops[1].mail); n > mailSize {
		t.Errorf("%d questions wait for the loop, want at most %d", n, mailSize)
	}
	close(release)
	if err := s.Probe(ctx); err != nil {
		t.Errorf("probe after the loop went on: %v", err)
	}
}

// Ensure that a question that came too late is not answered.
func TestAskTooLate(t *testing.T) {
	s, err := New(Config{Listen: "127.0.0.1:0", Loops: 1}, channels.NewBroker(channels.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	asked := false
	if _, ok := ask(ctx, s.loops[0], func(*loop) struct{} { asked = true; return struct{}{} }); ok {
		t.Error("a loop that has not begun has answered")
	}
	s.Start()
	probing, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Probe(probing); err != nil || asked {
		t.Errorf("probe: %v; question asked in vain was answered: %v, want false", err, asked)
	}
}

// Ensure that the slow readers are those that are behind, the worst first, with
// what there is to say of them.
func TestSlowReaders(t *testing.T) {
	s, b := start(t, Config{Loops: 2}, channels.Options{})
	const slow = 6
	var addresses []string
	for range slow {
		c := subscribe(t, s, "/a?channel=/b")
		addresses = append(addresses, c.LocalAddr().String())
	}
	subscribe(t, s, "/c")
	data := string(make([]byte, 59<<10))
	testenv.Eventually(t, "all readers are behind", func() bool {
		publish(t, b, "/a", data, slow)
		return s.Stats().Behind == slow
	})
	publish(t, b, "/b", "x", slow)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, n := range []int{0, 1, slow - 1, slow, slow + 1, maxReported + 1} {
		got, err := s.SlowReaders(ctx, n)
		if err != nil || len(got) != min(n, slow) {
			t.Fatalf("SlowReaders(%d): %d of them, %v; want %d", n, len(got), err, min(n, slow))
		}
		for i, r := range got {
			if i > 0 && r.Behind > got[i-1].Behind {
				t.Errorf("%+v comes behind %+v, which is better", r, got[i-1])
			}
			if !slices.Contains(addresses, r.Address) || !slices.Equal(r.Channels, []string{"/a", "/b"}) || r.Missing < 1 {
				t.Errorf("slow reader %+v, want one of %q on /a and /b that misses something", r, addresses)
			}
		}
	}
}
