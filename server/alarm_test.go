package server

import (
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
)

// Ensure that no timer is forgotten whose alarm comes between the reading of the
// clock and the draining of the waker: the thread of the loop is held there until
// the alarm has signalled, at every tick around the deadline.
func TestAlarmWhileWaking(t *testing.T) {
	for held := -3; held <= 3; held++ {
		synctest.Test(t, func(t *testing.T) {
			const timeout = time.Second
			began := time.Now()
			hold := time.Duration(0) // between the reading of the clock and what follows it, once
			h := turnByHand(t, Config{HeaderTimeout: timeout}, channels.Options{})
			h.server.clock = func() time.Duration {
				now := time.Since(began)
				time.Sleep(hold)
				hold = 0
				return now
			}
			readable := func() bool {
				synctest.Wait()
				poll := []unix.PollFd{{Fd: h.waker.FD(), Events: unix.POLLIN}}
				n, _ := unix.Poll(poll, 0)
				return n > 0
			}
			_, silent := h.connect()
			h.turnOver() // sets the alarm
			time.Sleep(timeout + time.Duration(held)*tick - tick/2)
			h.waker.Signal() // as a publisher does
			hold = 2 * tick
			for range 100 {
				if readable() {
					h.on(h.waker.FD(), true, false)
				}
				time.Sleep(tick)
			}
			if got := received(silent); got != "EOF" {
				t.Errorf("held from %v on, beyond the deadline of %v: %q after %v, want the end", timeout+time.Duration(held)*tick-tick/2, timeout, got, time.Since(began))
			}
		})
	}
}
