package link

import (
	"errors"
	"fmt"
	"sync/atomic"
)

var errUnanswered = errors.New("it does not answer")

// down has the signs that an engine takes no messages, so that only the first publishers
// wait in vain.
type down struct {
	failed     atomic.Pointer[error] // why the last attempt to connect has, nil if it has not
	heard      atomic.Uint64         // signs of life
	unanswered atomic.Uint64         // heard, and one, when a publisher has waited in vain; 0 for never
}

// Down returns why publishing is known to be in vain: the last attempt to connect has
// failed, or a publisher has waited in vain and the engine has given no sign of life
// since it began. A session that was just lost does not tell.
func (l *Link) Down() error {
	if why := l.down.failed.Load(); why != nil {
		return *why
	}
	if l.down.heard.Load()+1 == l.down.unanswered.Load() {
		return fmt.Errorf("%s: %w", l.engine, errUnanswered)
	}
	return nil
}

// Alive notes a sign of life of the engine, for an engine of which one is asked for
// more often than publishers give up.
func (l *Link) Alive() { l.down.heard.Add(1) }

// Sends notes that something is about to be published, for Unanswered.
func (l *Link) Sends() (mark uint64) { return l.down.heard.Load() }

// Unanswered tells that there was no answer to the publish that Sends has noted, in a time
// in which a living engine gives a sign of life.
func (l *Link) Unanswered(mark uint64) { l.down.unanswered.Store(mark + 1) }
