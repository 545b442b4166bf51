package postgres

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// A table is read every soonest while there are messages and every latest
	// when there have been none for a while, or when a trigger tells of them.
	// It is not read twice within tight.
	latest, soonest, tight = time.Second, 100 * time.Millisecond, 5 * time.Millisecond
	// maxRows is how many rows one reading asks for.
	maxRows = 10_000
	// maxBodies is how many bytes of messages one exchange fetches, but for the
	// last one.
	maxBodies = 1 << 20
	// maxBody is the longest payload that is fetched: no event is longer, with its
	// envelope.
	maxBody = 17 << 20
	// lookback is how many rows, of those that are there at the start, are
	// searched for missing ids.
	lookback = 1000
	// maxMissing bounds the spans of missing ids.
	maxMissing = 10_000
	// triggerPeriod is how often is looked for a trigger.
	triggerPeriod = time.Minute
	// wakeName is the name of the trigger of docs/scaling.md, and of the channel that it
	// notifies.
	wakeName = "millrace_wake"
)

var errNoReading = errors.New("the database has answered a reading of the table with nothing")

// table is the follower of a table in the form of Solid Cable. It reads which ids
// are new, and fetches those of channels that are wanted. As transactions commit
// out of order, ids that were missing are asked for again. Nothing is lost while it is
// not connected: it goes on after the last row that it has read.
type table struct {
	*Backplane
	name  string        // quoted
	poke  chan struct{} // holds a token when there is something for certain
	known bool          // whether seen is: it has been connected
	ids   ids
	held  []row              // of channels that are wanted, not delivered yet; by id
	names map[int64][]string // wanted channels by the hash of their name in the table, which several may have

	mu   sync.Mutex                    // held by the session's goroutine while it uses the fields above and below
	stop atomic.Pointer[chan struct{}] // of a predecessor: closed by TakeBack; nil: none

	xmin     int64     // of the newest reading
	read     time.Time // when that was
	interval time.Duration
	trigger  bool      // whether there is one
	asked    time.Time // when it was looked for
}

// row has the columns of a message that are read at first.
type row struct {
	id, hash int64
	size     int
}

func newTable(b *Backplane, name string) *table {
	return &table{Backplane: b, name: name, poke: make(chan struct{}, 1), names: make(map[int64][]string)}
}

// hash returns the channel_hash that Solid Cable has for a channel's name in the database.
func hash(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

func (t *table) statement(name string, payload []byte) (statement, error) {
	return statement{
		"INSERT INTO " + t.name + " (created_at, channel, payload, channel_hash) VALUES (now(), $1, $2, $3)",
		[][]byte{[]byte(name), payload, binary.BigEndian.AppendUint64(nil, uint64(hash(name)))},
	}, nil
}

func (t *table) published() {
	select {
	case t.poke <- struct{}{}:
	default: // it is about to look anyway
	}
}

func (t *table) follow(ctx context.Context, conn *pgx.Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.awaitSwitch(ctx, conn); err != nil {
		return err
	}
	if err := t.begin(ctx, conn); err != nil {
		return err
	}
	if t.Holds() {
		t.Resume(t.Place().Exact)
	}
	t.interval = soonest
	for {
		if err := t.pause(ctx); err != nil {
			return err
		}
		rows, err := t.look(ctx, conn)
		if err != nil {
			return err
		}
		// Only now: a channel that was wanted before a row was committed gets it.
		t.take()
		t.hold(rows)
		if err := t.release(ctx, conn); err != nil {
			return err
		}
		t.Up()
		t.Alive()
		if len(rows) == maxRows {
			continue
		}
		if t.read.Sub(t.asked) >= triggerPeriod {
			if err := t.listen(ctx, conn); err != nil {
				return err
			}
		}
		if err := t.rest(ctx, conn, len(rows) > 0); err != nil {
			return err
		}
	}
}

// begin finds the place to read from.
func (t *table) begin(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := t.listen(ctx, conn); err != nil {
		return err
	}
	if !t.known {
		return t.start(ctx, conn)
	}
	if t.ids.newest == 0 {
		return nil
	}
	// Messages go in the order of their age: if the newest that it has is there,
	// so are those after it.
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.name+" WHERE id = $1)", t.ids.newest).Scan(&there); err != nil {
		return err
	}
	if !there {
		t.Log.Warn("the newest message read from PostgreSQL is not there any more, those after it may have gone too", "id", t.ids.newest)
		t.loseAll()
	}
	return nil
}

// listen has the trigger wake the follower if there is one.
func (t *table) listen(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t.asked = time.Now()
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname = $2 AND tgenabled <> 'D')",
		t.name, wakeName).Scan(&t.trigger)
	if err != nil || !t.trigger {
		return err
	}
	return exchange(ctx, conn, "LISTEN "+wakeName)
}

// start notes which ids are there already.
func (t *table) start(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT id, txid_snapshot_xmax(txid_current_snapshot()) FROM "+
		"(SELECT id FROM "+t.name+" ORDER BY id DESC LIMIT $1) AS newest ORDER BY id", lookback)
	if err != nil {
		return err
	}
	var id, xmax int64
	now := time.Now()
	_, err = pgx.ForEachRow(rows, []any{&id, &xmax}, func() error {
		if t.ids.newest == 0 {
			t.ids.newest = id
		}
		t.ids.see(id, xmax, now)
		return nil
	})
	t.known = err == nil
	return err
}

// look returns the rows that can be seen for the first time, by id.
func (t *table) look(ctx context.Context, conn *pgx.Conn) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lows, highs := make([]int64, len(t.ids.missing)), make([]int64, len(t.ids.missing))
	for i, m := range t.ids.missing {
		lows[i], highs[i] = m.low, m.high
	}
	t.read = time.Now()
	found, err := conn.Query(ctx, `SELECT txid_snapshot_xmin(s), txid_snapshot_xmax(s), (SELECT coalesce(max(id), $1) FROM `+t.name+`), id, channel_hash, octet_length(payload)
FROM txid_current_snapshot() AS s LEFT JOIN (
  (SELECT id, channel_hash, payload FROM `+t.name+` WHERE id > $1 ORDER BY id LIMIT $4)
  UNION ALL
  SELECT id, channel_hash, payload FROM unnest($2::bigint[], $3::bigint[]) AS missing (low, high) JOIN `+t.name+` ON id BETWEEN low AND high
) AS new ON true ORDER BY id LIMIT $4`, t.ids.newest, lows, highs, maxRows)
	if err != nil {
		return nil, err
	}
	type reading struct {
		Xmin, Xmax, Newest int64
		ID, Hash, Size     *int64 // nil where nothing is new
	}
	readings, err := pgx.CollectRows(found, pgx.RowToStructByPos[reading])
	if err != nil {
		return nil, err
	}
	var rows []row
	if len(readings) == 0 {
		return nil, errNoReading
	}
	for _, r := range readings {
		if r.ID == nil || !t.ids.see(*r.ID, r.Xmax, t.read) {
			continue
		}
		if r.Hash == nil || r.Size == nil { // no message of Solid Cable: nobody can tell whose it is
			t.Log.Warn("a row has no channel_hash or no payload, which may be one of Solid Cable's: all channels are told of a gap", "table", t.name, "id", *r.ID)
			t.loseAll()
			continue
		}
		rows = append(rows, row{*r.ID, *r.Hash, int(*r.Size)})
	}
	t.xmin = readings[0].Xmin
	if newest := readings[0].Newest; newest < t.ids.newest {
		t.Log.Warn("the ids in PostgreSQL have begun anew", "table", t.name, "newest", newest, "seen", t.ids.newest)
		t.ids, t.held = ids{newest: newest}, nil
		t.loseAll()
	}
	t.ids.forget(t.xmin, t.read)
	if n := len(t.ids.missing) - maxMissing; n > 0 {
		t.Log.Warn("too many ids are missing, for a transaction that has been open for long: some are given up", "table", t.name, "oldest", t.ids.missing[0].low)
		t.ids.missing = slices.Delete(t.ids.missing, 0, n)
		t.loseAll()
	}
	return rows, nil
}

// take takes up the channels that are wanted by now.
func (t *table) take() {
	for {
		ask, drop, _ := t.Set.Next(batch)
		if len(ask)+len(drop) == 0 {
			return
		}
		for _, channel := range drop {
			h := hash(t.prefix + channel)
			t.names[h] = slices.DeleteFunc(t.names[h], func(c string) bool { return c == channel })
			if len(t.names[h]) == 0 {
				delete(t.names, h)
			}
		}
		for _, channel := range ask {
			h := hash(t.prefix + channel)
			t.names[h] = append(t.names[h], channel)
		}
		t.Confirm(ask...)
	}
}

// hold keeps the rows of channels that are wanted until it is their turn.
func (t *table) hold(rows []row) {
	for _, r := range rows {
		if len(t.names[r.hash]) == 0 {
			continue
		}
		if r.size > maxBody {
			t.lose(r, fmt.Errorf("the payload of row %d has %d bytes, want at most %d", r.id, r.size, maxBody))
			continue
		}
		i, _ := slices.BinarySearchFunc(t.held, r.id, func(h row, id int64) int { return cmp.Compare(h.id, id) })
		t.held = slices.Insert(t.held, i, r)
	}
}

// release delivers, in the order of their ids, the held messages that nothing
// before them can be missing of.
func (t *table) release(ctx context.Context, conn *pgx.Conn) error {
	ready := t.ids.ready(t.xmin, t.read)
	for len(t.held) > 0 && t.held[0].id <= ready {
		n, size := 0, 0
		for ; n < len(t.held) && t.held[n].id <= ready && n < maxRows && size < maxBodies; n++ {
			size += t.held[n].size
		}
		if err := t.fetch(ctx, conn, t.held[:n]); err != nil {
			return err
		}
		t.held = slices.Delete(t.held, 0, n)
	}
	return nil
}

// fetch delivers the messages of rows. When it fails it has delivered none.
func (t *table) fetch(ctx context.Context, conn *pgx.Conn, rows []row) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type message struct {
		ID      int64
		Channel []byte
		Payload []byte
	}
	ids := make([]int64, 0, len(rows))
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	found, err := conn.Query(ctx, "SELECT id, channel, payload FROM "+t.name+" WHERE id = ANY ($1) ORDER BY id", ids)
	if err != nil {
		return err
	}
	messages, err := pgx.CollectRows(found, pgx.RowToStructByPos[message])
	if err != nil {
		return err
	}
	for _, r := range rows {
		if len(messages) == 0 || messages[0].ID != r.id {
			t.lose(r, fmt.Errorf("the row %d of %s is gone", r.id, t.name))
			continue
		}
		name, ours := strings.CutPrefix(string(messages[0].Channel), t.prefix)
		if ours && slices.Contains(t.names[r.hash], name) {
			t.DeliverPayload(name, messages[0].Payload)
		}
		messages = messages[1:]
	}
	return nil
}

// lose tells that a row is missing whose channel is not known but by its hash.
func (t *table) lose(r row, why error) {
	for _, channel := range t.names[r.hash] {
		t.Lose(channel, why)
	}
}

// rest waits until the table is worth a look.
func (t *table) rest(ctx context.Context, conn *pgx.Conn, busy bool) error {
	switch {
	case busy:
		t.interval = soonest
	default:
		t.interval = min(t.interval+t.interval/16, latest)
	}
	pause := t.interval
	switch {
	case len(t.held) > 0:
		pause = tight
	case t.trigger:
		pause = latest
	}
	select {
	case <-time.After(tight):
	case <-ctx.Done():
		return ctx.Err()
	}
	return await(ctx, conn, pause-tight, t.Set.Wake(), t.poke, func(*pgconn.Notification) bool { return false })
}

// loseAll tells all channels that messages may be missing.
func (t *table) loseAll() {
	t.Feed.Interrupted(slices.Concat(slices.Collect(maps.Values(t.names))...)...)
}
