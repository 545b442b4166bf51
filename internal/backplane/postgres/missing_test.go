package postgres

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Ensure that every id is seen exactly once, in whatever order transactions
// commit, and that nothing above an open one is ready before its time.
func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type transaction struct {
			ids []int64
			xid int64
		}
		var (
			open    []transaction
			table   = map[int64]bool{} // true once it has been read
			drawn   int64
			nextXID = int64(100)
			rolled  = map[int64]bool{}
			seq     ids
			now     = time.Unix(0, 0)
			xmin    = func() int64 { // the oldest that is open
				oldest := nextXID
				for _, tx := range open {
					oldest = min(oldest, tx.xid)
				}
				return oldest
			}
		)
		t.Repeat(map[string]func(*rapid.T){
			"draw": func(t *rapid.T) {
				if n := rapid.IntRange(0, len(open)).Draw(t, "transaction"); n == len(open) {
					open = append(open, transaction{xid: nextXID})
					nextXID++
				}
				tx := &open[rapid.IntRange(0, len(open)-1).Draw(t, "of")]
				for range rapid.IntRange(1, 3).Draw(t, "ids") {
					drawn++
					tx.ids = append(tx.ids, drawn)
				}
			},
			"end": func(t *rapid.T) {
				if len(open) == 0 {
					return
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "transaction")
				commits := rapid.Bool().Draw(t, "commits")
				for _, id := range open[i].ids {
					if commits {
						table[id] = false
					} else {
						rolled[id] = true
					}
				}
				open = slices.Delete(open, i, i+1)
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 6000).Draw(t, "ms")) * time.Millisecond)
			},
			"read": func(t *rapid.T) {
				var found []int64
				for id := range table {
					missing := slices.ContainsFunc(seq.missing, func(m span) bool { return m.low <= id && id <= m.high })
					if id > seq.newest || missing {
						found = append(found, id)
					}
				}
				slices.Sort(found)
				for _, id := range found {
					if !seq.see(id, nextXID, now) || table[id] {
						t.Fatalf("id %d was seen twice", id)
					}
					table[id] = true
				}
				seq.forget(xmin(), now)
				ready := seq.ready(xmin(), now)
				for _, tx := range open {
					for _, id := range tx.ids {
						i := slices.IndexFunc(seq.missing, func(m span) bool { return m.low <= id && id <= m.high })
						if id < seq.newest && i < 0 {
							t.Fatalf("id %d of an open transaction is not missing any more: %v", id, seq)
						}
						if id < ready && now.Sub(seq.missing[i].since) < settling {
							t.Fatalf("%d is ready while %d is open and missing for %v", ready, id, now.Sub(seq.missing[i].since))
						}
					}
				}
			},
			"": func(t *rapid.T) {
				for id, seen := range table {
					if known := id <= seq.newest && !slices.ContainsFunc(seq.missing, func(m span) bool { return m.low <= id && id <= m.high }); known && !seen {
						t.Fatalf("id %d is taken for seen and was not: %v", id, seq)
					}
				}
			},
		})
	})
}

// Ensure that an id that was rolled back is forgotten, and only once nobody can have
// drawn it.
func TestIDsForget(t *testing.T) {
	began := time.Unix(0, 0)
	seq := ids{newest: 10}
	seq.see(14, 100, began)
	seq.see(12, 101, began)
	for _, tt := range []struct {
		xmin  int64
		after time.Duration
		ready int64
		left  int
	}{
		{99, 0, 10, 2},
		{99, settling - 1, 10, 2},
		{100, settling / 20, 14, 2}, // all transactions of then have ended
		{99, settling, 14, 2},
		{99, time.Hour, 14, 2}, // one of them goes on
		{100, doubt - 1, 14, 2},
		{100, doubt, 14, 0},
	} {
		now := began.Add(tt.after)
		s := ids{seq.newest, slices.Clone(seq.missing)}
		s.forget(tt.xmin, now)
		if ready := s.ready(tt.xmin, now); ready != tt.ready || len(s.missing) != tt.left {
			t.Errorf("xmin %d after %v: ready up to %d, missing %v; want %d, and %d spans", tt.xmin, tt.after, ready, s.missing, tt.ready, tt.left)
		}
	}
}
