package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"millrace/internal/handover"
)

// maxTravelling bounds the missing ids and held rows that go to another process.
const maxTravelling = 10_000

// handOver stops the follower between two readings and returns its place.
func (t *table) handOver(ctx context.Context) handover.Engine {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	goOn := make(chan struct{})
	t.stop.Store(&goOn)
	for !t.mu.TryLock() {
		t.published() // it may rest
		select {
		case <-ctx.Done():
			t.Log.Warn("PostgreSQL does not answer: the new process tells all channels of a gap")
			return handover.Engine{}
		case <-time.After(time.Millisecond):
		}
	}
	defer t.mu.Unlock()
	if !t.AwaitEmpty(ctx) || len(t.ids.missing)+len(t.held) > maxTravelling {
		return handover.Engine{}
	}
	place := handover.Table{Known: t.known, Newest: t.ids.newest}
	now := time.Now()
	for _, m := range t.ids.missing {
		place.Missing = append(place.Missing, handover.Span{Low: m.low, High: m.high, Age: int64(now.Sub(m.since)), Before: m.xmax})
	}
	for _, r := range t.held {
		place.Held = append(place.Held, handover.Row{ID: r.id, Hash: r.hash, Size: int64(r.size)})
	}
	return handover.Engine{Exact: t.known, Table: place}
}

// takeBack has the follower go on where handOver has stopped it.
func (t *table) takeBack() {
	if goOn := t.stop.Swap(nil); goOn != nil {
		close(*goOn)
	}
}

// pause waits for as long as the follower is stopped. Called with mu held, which it gives up
// meanwhile.
func (t *table) pause(ctx context.Context) error {
	for {
		goOn := t.stop.Load()
		if goOn == nil {
			return nil
		}
		t.mu.Unlock()
		select {
		case <-*goOn:
		case <-ctx.Done():
		}
		t.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// awaitSwitch has a successor wait, connected, until it is to read on where the predecessor has
// stopped.
func (t *table) awaitSwitch(ctx context.Context, conn *pgx.Conn) error {
	if !t.Holds() {
		return nil
	}
	if err := conn.Ping(ctx); err != nil {
		return err
	}
	t.Up()
	for waiting := true; waiting; {
		select {
		case <-t.Taken():
			waiting = false
		case <-t.Set.Wake():
		case <-ctx.Done():
			return ctx.Err()
		}
		t.take()
	}
	place := t.Place()
	if !place.Exact {
		return nil
	}
	now := time.Now()
	t.known, t.ids, t.held = true, ids{newest: place.Table.Newest}, nil
	for _, m := range place.Table.Missing {
		t.ids.missing = append(t.ids.missing, span{m.Low, m.High, now.Add(-time.Duration(m.Age)), m.Before})
	}
	for _, r := range place.Table.Held {
		t.held = append(t.held, row{r.ID, r.Hash, int(r.Size)})
	}
	return nil
}

// HandOver is that of link.Link, for both forms.
func (b *Backplane) HandOver(ctx context.Context, fence string) handover.Engine {
	if t, ok := b.follower.(*table); ok {
		return t.handOver(ctx)
	}
	return b.Link.HandOver(ctx, fence)
}

// TakeBack is that of link.Link, for both forms.
func (b *Backplane) TakeBack() {
	if t, ok := b.follower.(*table); ok {
		t.takeBack()
	}
	b.Link.TakeBack()
}
