package follow

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// Ensure that nothing of the session before counts from the moment on that the engine
// is lost, whether the channel's turn has come or not.
func TestResetCountsAtOnce(t *testing.T) {
	s := NewSet(time.Hour)
	for _, channel := range []string{"followed", "left", "lingers", "untouched"} {
		s.Follow(channel)
	}
	s.Next(10)
	for _, channel := range []string{"followed", "left", "lingers", "untouched"} {
		s.Confirm(channel, 7)
	}
	s.Unfollow("lingers")
	s.beginSession()
	if _, ready := s.Follow("lingers"); ready {
		t.Error("a channel that lingered is ready although the engine is lost")
	}
	if _, ready := s.Follow("followed"); ready {
		t.Error("a channel is ready although the engine is lost")
	}
	s.Unfollow("left")
	if s.Confirm("untouched", 9) {
		t.Error("a channel is confirmed that has not been asked for in this session")
	}
	s.each(func(e *entry) { s.renew(e) })
	s.verify(t)
	ask, drop, _ := s.Next(10)
	if slices.Sort(ask); !slices.Equal(ask, []string{"followed", "lingers", "untouched"}) || len(drop) > 0 {
		t.Errorf("Next() = %q, %q, want followed, lingers and untouched to be asked for", ask, drop)
	}
}

// Ensure that all that stays is asked for anew, and held, while others come and go.
func TestResetWhileChannelsComeAndGo(t *testing.T) {
	const n = 5*sliceOfWork + 1
	s := NewSet(time.Hour)
	for i := range n {
		s.Follow(fmt.Sprint(i))
	}
	for asked := 0; asked < n; {
		ask, _, _ := s.Next(n)
		for _, channel := range ask {
			s.Confirm(channel, 0)
		}
		asked += len(ask)
	}
	stop := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			s.Follow(fmt.Sprint("new ", i))
			s.Unfollow(fmt.Sprint("new ", i))
		}
	})
	for range 10 {
		s.Reset()
		held := s.Held()
		if len(held) != n {
			t.Fatalf("%d channels are held, want %d", len(held), n)
		}
		for _, channel := range held {
			if !s.Regain(channel) {
				t.Fatalf("%q is not regained", channel)
			}
		}
	}
	close(stop)
	churn.Wait()
	s.verify(t)
}

// BenchmarkReset is the loss of an engine at a million channels, and how long the set,
// and so the broker, is held up at a time.
func BenchmarkReset(b *testing.B) {
	const n = 1_000_000
	s := NewSet(time.Hour)
	for i := range n {
		s.Follow(fmt.Sprintf("/rooms/%d", i))
	}
	for b.Loop() {
		s.Reset()
		s.Held()
	}
	holds := 2 * (n/sliceOfWork + 1)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(holds), "us/hold")
}
