package channels

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// Ensure that messages that become too old go while no other call comes, again and again,
// and that no timer is set while nothing is kept.
func TestBrokerExpiresByItself(t *testing.T) {
	for _, ttl := range []time.Duration{time.Millisecond, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b := NewBroker(Options{History: 9, HistoryTTL: ttl})
			kept := func() (channels int, set alarmState) {
				b.mu.Lock()
				defer b.mu.Unlock()
				return len(b.channels), b.alarm.set
			}
			for range 3 {
				mustPublish(t, b, "/a", "x", 0)
				time.Sleep(ttl / 2)
				mustPublish(t, b, "/b", "x", 0)
				time.Sleep(ttl/2 - 1)
				if n, set := kept(); n != 2 || set != alarmLate {
					t.Errorf("%v: %d channels, alarm %d, before the first message is too old; want 2, %d", ttl, n, set, alarmLate)
				}
				time.Sleep(ttl/2 + 2*pauseBetweenAlarms(ttl) + 1)
				if n, set := kept(); n != 0 || set != alarmOff {
					t.Errorf("%v: %d channels, alarm %d, after all are too old; want none, and none set", ttl, n, set)
				}
			}
			b.verify(t)
		})
	}
}

// Ensure that work that was cut into slices is finished while no other call comes.
func TestBrokerFinishesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroker(Options{})
		in := b.NewInbox(func() {})
		var chans []*Channel
		for i := range 2 * worthShrinking {
			chans, _ = in.Attach(chans, fmt.Appendf(nil, "/%d", i))
		}
		for _, c := range chans[worthShrinking/2:] {
			in.Detach(c)
		}
		for range 3 * sliceOfWork {
			mustPublish(t, b, "/0", "x", 1)
			in.Served(in.Take(nil))
		}
		in.Detach(chans[0])
		state := func() (moving bool, kept int, set alarmState) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.shrink.next != nil, b.kept.size, b.alarm.set
		}
		if moving, kept, set := state(); !moving || kept == 0 || set != alarmSoon {
			t.Errorf("a new map is under way: %v, %d bytes are kept, alarm %d; want work for the alarm", moving, kept, set)
		}
		time.Sleep(mostPause)
		synctest.Wait()
		if moving, kept, set := state(); moving || kept > 0 || set != alarmOff {
			t.Errorf("a new map is under way: %v, %d bytes are kept, alarm %d; want all done", moving, kept, set)
		}
		b.verify(t)
	})
}

// Ensure that an alarm keeps no broker that nobody else has.
func TestAlarmKeepsNoBroker(t *testing.T) {
	b := NewBroker(Options{History: 9, HistoryTTL: time.Hour})
	mustPublish(t, b, "/a", "x", 0)
	w := weak.Make(b)
	runtime.GC()
	if b.alarm.set != alarmLate || w.Value() == nil {
		t.Fatal("no alarm is set")
	}
	runtime.KeepAlive(b)
	b = nil
	runtime.GC()
	runtime.GC()
	if w.Value() != nil {
		t.Error("the broker is still there")
	}
}
