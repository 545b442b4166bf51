package link

import (
	"errors"
	"fmt"
	"time"
)

// maxNumber bounds the numbers of an engine's messages: twice the microseconds since
// 1970, for some centuries.
const maxNumber = 1 << 54

// maxEpoch bounds an epoch, which stands in every event id.
const maxEpoch = 32

var errNonsense = errors.New("the engine sends an impossible value")

// check returns why s cannot be handed on. Even if an engine or a proxy before it sends
// nonsense, a broker gets numbers in order, and an epoch of letters and digits. check
// corrects the number up to which messages are lost, and the ages of messages.
func (s *Snapshot) check() error {
	if len(s.Epoch) == 0 || len(s.Epoch) > maxEpoch {
		return fmt.Errorf("%w: the epoch %.64q, want 1 to %d letters and digits", errNonsense, s.Epoch, maxEpoch)
	}
	for _, b := range []byte(s.Epoch) {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') {
			return fmt.Errorf("%w: the epoch %.64q, want letters and digits", errNonsense, s.Epoch)
		}
	}
	if s.Seq > maxNumber || s.Seq%2 != 0 || len(s.Logs) != len(s.Channels) {
		return fmt.Errorf("%w: the place %d, with %d logs of %d channels", errNonsense, s.Seq, len(s.Logs), len(s.Channels))
	}
	for i := range s.Logs {
		l := &s.Logs[i]
		l.Evicted = min(l.Evicted, s.Seq)
		last := uint64(0)
		for j := range l.Kept {
			m := &l.Kept[j]
			if m.Number <= last || m.Number > s.Seq || m.Number%2 != 0 {
				return fmt.Errorf("%w: the number %d after %d, at the place %d", errNonsense, m.Number, last, s.Seq)
			}
			last, m.Age = m.Number, min(max(m.Age, 0), maxAge)
		}
	}
	return nil
}

// maxAge is more than any message has.
const maxAge = 100 * 365 * 24 * time.Hour
