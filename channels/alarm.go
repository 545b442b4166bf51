package channels

import (
	"time"
	"weak"
)

// alarm has the broker do what is due while nobody publishes or subscribes: drop
// messages that have become too old, and finish work that was cut into slices. It is a
// timer of the runtime, which is set only while something is due. Guarded by Broker.mu.
type alarm struct {
	timer *time.Timer
	set   alarmState
}

type alarmState uint8

const (
	alarmOff  alarmState = iota
	alarmLate            // for when the oldest message is too old
	alarmSoon            // for work that is left
)

// leastPause and mostPause bound the time between two alarms: they come eight times in
// the time that a message lives, so that one is kept at most an eighth longer.
const leastPause, mostPause = 100 * time.Millisecond, time.Second

func pauseBetweenAlarms(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return mostPause
	}
	return min(mostPause, max(ttl/8, leastPause))
}

// setAlarmLocked sets the alarm for the next work that is due. left tells that a slice of
// work was left.
func (b *Broker) setAlarmLocked(left bool) {
	if b.alarm.set == alarmSoon || !left && (b.alarm.set == alarmLate || b.opts.HistoryTTL == 0 || b.kept.oldest == nil) {
		return
	}
	pause := pauseBetweenAlarms(b.opts.HistoryTTL)
	if left {
		b.alarm.set = alarmSoon
	} else {
		b.alarm.set = alarmLate
		pause = max(pause, b.opts.HistoryTTL-(b.clock()-b.kept.oldest.born))
	}
	if b.alarm.timer == nil {
		w := weak.Make(b) // the timer keeps no broker that nobody else has
		b.alarm.timer = time.AfterFunc(pause, func() {
			if b := w.Value(); b != nil {
				b.sweep()
			}
		})
	} else {
		b.alarm.timer.Reset(pause)
	}
}

// sweep does the work that is due, and holds the broker up for a slice at a time.
func (b *Broker) sweep() {
	for more := true; more; {
		b.mu.Lock()
		b.alarm.set = alarmSoon // it is under way
		if more = b.tidyLocked() || b.shrinkOnLocked(sliceOfMoves) || b.settleOnLocked(sliceOfWork); !more {
			b.alarm.set = alarmOff
			b.setAlarmLocked(false)
		}
		b.mu.Unlock()
	}
}
