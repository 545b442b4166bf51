package bench

import (
	"fmt"
	"time"
)

const (
	// fewStreams is how many are compared with many.
	fewStreams = 15_000
	// fullMillion is how many streams it takes for all of the verdicts: with
	// fewer, times and ratios say little. With more, times are bounded for each
	// million.
	fullMillion = 1_000_000
)

// Floors says when the floor is measured beside a million streams. A host changes
// in such a time, so it is better both before and after; two million, or handshakes for all,
// take so long that there may be time for one or none.
type Floors string

const (
	FloorsBoth   Floors = "both"
	FloorsBefore Floors = "before"
	FloorsNone   Floors = "none"
)

// Million has one process of millrace hold so many streams, with everything
// that it has to do for them: opening, events, pings, the end. Beside it, in
// the same run, the floor with as many, for a full million as floors says; and
// millrace with few.
func (l *Lab) Million(streams, events int, idle time.Duration, floors Floors) error {
	if streams >= fullMillion {
		if err := l.few(events); err != nil {
			return err
		}
	}
	floor := func() error {
		if l.External != nil || floors == FloorsNone {
			return nil
		}
		return l.alone([]string{NameFloor}, streams, func(s *Session) error { return l.broadcasts(s, min(events, 3)) })
	}
	if err := floor(); err != nil {
		return err
	}
	err := l.alone([]string{NameMillrace}, streams, func(s *Session) error {
		if err := l.broadcasts(s, events); err != nil {
			return err
		}
		if idle > 0 {
			if err := s.Idle(idle); err != nil {
				return err
			}
		}
		return s.CloseStreams()
	})
	if err != nil {
		return err
	}
	if streams >= fullMillion && floors == FloorsBoth {
		if err := floor(); err != nil {
			return err
		}
	}
	l.judgeMillion(streams, events)
	return nil
}

// few takes the figures of few streams, to compare those of many with.
func (l *Lab) few(events int) error {
	return l.together([]string{NameMillrace, NameFloor}, fewStreams, 2*events, (*Session).Broadcast)
}

func (l *Lab) broadcasts(s *Session, events int) error {
	for range events {
		if err := s.Broadcast(); err != nil {
			return err
		}
	}
	return nil
}

// Protocols has all servers hold some streams, and publishes events of each size to them: what
// TLS and HTTP/2 cost, and what a proxy that speaks them.
func (l *Lab) Protocols(names []string, events int, sizes ...int) error {
	usual := l.Load.PayloadSize
	defer func() { l.Load.PayloadSize = usual }()
	for _, l.Load.PayloadSize = range sizes {
		if err := l.FanOut(names, protocolStreams, events); err != nil {
			return fmt.Errorf("%d bytes: %w", l.Load.PayloadSize, err)
		}
	}
	return nil
}

// Compare has all servers hold few streams, and flood them.
func (l *Lab) Compare(names []string, events int, flood time.Duration) error {
	if err := l.FanOut(names, fewStreams, events); err != nil {
		return err
	}
	for _, streams := range []int{1_000, 10_000} {
		if err := l.Flood(names, streams, flood); err != nil {
			return fmt.Errorf("flood: %w", err)
		}
	}
	l.judgeCompare()
	return nil
}
