package channels

import (
	"fmt"
	"testing"
)

// Ensure that a goroutine that posts wakes the loops after it has given up the broker's
// lock.
func TestWakesWithoutTheLock(t *testing.T) {
	const loops = 40
	b := NewBroker(Options{})
	wakes := make([]int, loops)
	for i := range loops {
		in := b.NewInbox(func() {
			wakes[i]++
			if !b.mu.TryLock() {
				t.Errorf("loop %d is woken under the broker's lock", i)
				return
			}
			b.mu.Mutex.Unlock()
		})
		in.Attach(nil, []byte("/a"))
	}
	for range 3 {
		mustPublish(t, b, "/a", "x", loops)
	}
	b.Feed().Interrupted("/a")
	for i, n := range wakes {
		if n == 0 || n > 2 { // for the messages and for the gap
			t.Errorf("loop %d was woken %d times, want once a burst", i, n)
		}
	}
}

// Ensure that a listing by pages has every channel that stays, once and in order,
// while others come and go.
func TestListingWhileChannelsComeAndGo(t *testing.T) {
	b := NewBroker(Options{})
	in := b.NewInbox(func() {})
	var want []string
	for i := range 3*pageSize + 1 {
		name := fmt.Sprintf("/%05d", i)
		in.Attach(nil, []byte(name))
		want = append(want, name)
	}
	churn, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(churn)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			chans, _ := in.Attach(nil, fmt.Appendf(nil, "/%05d+", i*7919%len(want)))
			in.Detach(chans...)
		}
	}()
	for range 20 {
		got := b.Ports().Channels()
		n := 0
		for i, name := range got {
			if i > 0 && got[i-1] >= name {
				t.Fatalf("%q stands before %q", got[i-1], name)
			}
			if n < len(want) && name == want[n] {
				n++
			}
		}
		if n != len(want) {
			t.Fatalf("%d of the %d channels that stay", n, len(want))
		}
	}
	close(stop)
	<-churn
}
