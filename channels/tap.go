package channels

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"millrace/internal/handover"
)

const (
	// maxTaken bounds what is placed while streams move to a successor, in bytes: nothing of
	// that is dropped meanwhile.
	maxTaken = 64 << 20
	// maxUntaken is how much of it may wait to be sent to the successor. Publishers wait
	// above it.
	maxUntaken = 4 << 20
	// maxAwait is how long a publisher's reply waits for a successor that takes nothing.
	maxAwait = time.Second
	// relayBytes is about how long a payload is, unless one message is longer.
	relayBytes = 64 << 10
)

// Errors that end a tap.
var (
	// ErrTapped is returned by Tap where streams move already.
	ErrTapped = errors.New("another process takes over already")
	// ErrOverrun says that more was published than can be kept meanwhile.
	ErrOverrun = fmt.Errorf("more than %d MiB were published since the upgrade began: begin it again when less is", maxTaken>>20)
	// ErrRestarted says that the history is another one.
	ErrRestarted = errors.New("the engine's history has begun anew since the upgrade began: begin it again")
)

// Tap tells a successor's broker (Broker.Relay) all that this one knows, and then everything
// that gets a place, in the order in which that happens. While it is on, messages that are
// placed are not dropped, so that loops can move at any of them, and be taken back.
//
// What the successor has yet to take counts as unserved: publishers wait above maxUntaken.
type Tap struct {
	broker  *Broker
	version int
	ready   chan struct{} // has a token when there may be something to send

	// Guarded by Broker.mu.
	queue     []relay
	noted     uint64          // relays that were ever put into queue
	size      int             // of those that are not sent, in bytes
	taken     int             // of all messages that were placed since, in bytes
	seq       uint64          // the place of the newest that was noted
	walk      walk            // through what there was
	unfollows map[string]bool // channels that have no subscribers any more, and are followed
	err       error           // why nothing is noted any more
	closed    bool

	sending  sync.Mutex    // guards what follows
	sent     uint64        // relays that were sent
	guards   bool          // replies wait for that: the history is sent
	late     bool          // the successor has not taken any for too long
	progress chan struct{} // closed when one of these changes, and then another

	loaded chan struct{}
}

// relay is a part of what the successor is told.
type relay struct {
	kind   handover.PartKind
	record handover.Record
}

// Tap begins to note what a successor has to be told, in a version of package handover.
// Run sends it.
func (b *Broker) Tap(version int) (*Tap, error) {
	t := &Tap{
		broker: b, version: version, ready: make(chan struct{}, 1), walk: walk{whole: true},
		unfollows: make(map[string]bool), progress: make(chan struct{}), loaded: make(chan struct{}),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tap != nil || b.successor != nil {
		return nil, ErrTapped
	}
	t.seq = b.seq
	t.push(handover.PartHead, &handover.BrokerHead{
		Version: uint8(version), Epoch: b.epoch, Seq: b.seq, Newest: b.newest, Ahead: b.ahead,
		Key: b.forgotten.key, Numbered: b.opts.Numbered, IDs: b.hasIDs(),
	})
	b.tap, b.heldAbove = t, b.seq
	return t, nil
}

// Run sends what the successor has to be told, by send, until Close or an error, which it
// returns: then the upgrade cannot go on. A payload is about relayBytes long, and at most
// handover.MaxPayload. send must not keep it.
func (t *Tap) Run(send func(payload []byte) error) error {
	w := &handover.Writer{Version: t.version}
	var spare []relay
	for {
		batch, size, err := t.next(spare)
		if err == nil && len(batch) > 0 {
			err = write(w, batch, send)
		}
		if err != nil || len(batch) == 0 {
			t.end(err)
			return err
		}
		t.wrote(batch, size)
		clear(batch)
		spare = batch
	}
}

// next waits for something to be sent, and returns it with its size; nothing once the tap is
// closed.
func (t *Tap) next(spare []relay) (batch []relay, size int, err error) {
	for {
		if batch, size, err = t.take(spare); len(batch) > 0 || err != nil || size < 0 {
			return batch, size, err
		}
		<-t.ready
	}
}

// take is next without waiting; the size is below 0 once the tap is closed.
func (t *Tap) take(spare []relay) (batch []relay, size int, err error) {
	b := t.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case t.closed:
		return nil, -1, nil
	case t.err != nil:
		return nil, 0, t.err
	}
	t.walkLocked()
	if len(t.queue) == 0 {
		return nil, 0, nil // and spare is nobody's still
	}
	batch, t.queue = t.queue, spare[:0]
	return batch, t.size, nil
}

// write sends a batch.
func write(w *handover.Writer, batch []relay, send func(payload []byte) error) error {
	for i, r := range batch {
		w.Part(r.kind, r.record)
		if w.Len() < relayBytes && i < len(batch)-1 {
			continue
		}
		for all := w.Bytes(); len(all) > 0; {
			n := min(len(all), handover.MaxPayload)
			if err := send(all[:n]); err != nil {
				return err
			}
			all = all[n:]
		}
		w.Reset()
	}
	return nil
}

// wrote tells that a batch has been sent: replies that waited for it go on, and publishers
// have room.
func (t *Tap) wrote(batch []relay, size int) {
	t.sending.Lock()
	t.sent += uint64(len(batch))
	t.late = false
	if batch[len(batch)-1].kind == handover.PartRestored {
		t.guards = true
		close(t.loaded)
	}
	t.tellLocked()
	t.sending.Unlock()

	b := t.broker
	b.mu.Lock()
	defer b.mu.Unlock()
	t.size -= size
	b.setStoppedLocked()
}

// tellLocked wakes those that wait for sent to change. Called with sending held.
func (t *Tap) tellLocked() {
	close(t.progress)
	t.progress = make(chan struct{})
}

// end lets replies go on that will wait in vain.
func (t *Tap) end(err error) {
	if err != nil {
		t.broker.mu.Lock()
		t.fail(err)
		t.broker.mu.Unlock()
	}
	t.sending.Lock()
	defer t.sending.Unlock()
	t.guards = false
	t.tellLocked()
}

// Loaded is closed when all that there was has been sent. From then on a publisher's reply
// waits until its message is sent too, so that the death of this process loses nothing that
// was acknowledged.
func (t *Tap) Loaded() <-chan struct{} { return t.loaded }

// await waits until a relay has been sent, as long as the successor takes something.
func (t *Tap) await(noted uint64) {
	until := time.NewTimer(maxAwait)
	defer until.Stop()
	for {
		t.sending.Lock()
		progress, waits := t.progress, t.guards && !t.late && t.sent < noted
		t.sending.Unlock()
		if !waits {
			return
		}
		select {
		case <-progress:
		case <-until.C:
			t.sending.Lock()
			t.late = true
			t.tellLocked()
			t.sending.Unlock()
		}
	}
}

// Flush waits until everything has been sent that was noted before.
func (t *Tap) Flush(ctx context.Context) error {
	t.broker.mu.Lock()
	noted, failed := t.noted, t.err
	t.broker.mu.Unlock()
	for failed == nil {
		t.sending.Lock()
		progress, sent := t.progress, t.sent
		t.sending.Unlock()
		if sent >= noted {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("%d messages wait to be taken by the new process: %w", noted-sent, ctx.Err())
		}
		t.broker.mu.Lock()
		failed = t.err
		t.broker.mu.Unlock()
	}
	return failed
}

// Close ends the tap, when there is no successor any more and all loops have been taken back:
// from then on messages are dropped as ever. The sender of Run has to fail, or Run waits for it.
func (t *Tap) Close() {
	b := t.broker
	b.mu.Lock()
	t.closed = true
	b.tap = nil
	b.shared = 0 // the successor may have brought streams to that place
	b.releaseLocked()
	b.mu.Unlock()
	t.wake()
	for len(t.unfollows) > 0 {
		t.unfollow()
	}
}
