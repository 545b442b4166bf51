package link

import (
	"errors"
	"testing"

	"millrace/channels"
)

// Ensure that a snapshot that no engine should send is refused, or put right.
func TestSnapshotCheck(t *testing.T) {
	kept := func(numbers ...uint64) []Log {
		var l Log
		for _, n := range numbers {
			l.Kept = append(l.Kept, channels.Kept{Number: n, Age: -1})
		}
		l.Evicted = 1 << 63
		return []Log{l}
	}
	a := []string{"/a"}
	for _, tt := range []struct {
		name string
		s    Snapshot
		ok   bool
	}{
		{"right", Snapshot{"E1", 8, a, kept(2, 4, 8)}, true},
		{"no epoch", Snapshot{"", 8, a, kept()}, false},
		{"an epoch with a line break", Snapshot{"E\n\ndata: x", 8, a, kept()}, false},
		{"an odd place", Snapshot{"E", 7, a, kept()}, false},
		{"a huge place", Snapshot{"E", 1 << 63, a, kept()}, false},
		{"too few logs", Snapshot{"E", 8, a, nil}, false},
		{"an odd number", Snapshot{"E", 8, a, kept(3)}, false},
		{"out of order", Snapshot{"E", 8, a, kept(4, 2)}, false},
		{"twice", Snapshot{"E", 8, a, kept(4, 4)}, false},
		{"above the place", Snapshot{"E", 8, a, kept(10)}, false},
	} {
		err := tt.s.check()
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, errNonsense) {
			t.Errorf("%s: %v, want it refused: %v", tt.name, err, !tt.ok)
		}
		if l := tt.s.Logs; tt.ok && (l[0].Evicted != 8 || l[0].Kept[0].Age != 0) {
			t.Errorf("%s: evicted up to %d, an age of %v, want 8, 0", tt.name, l[0].Evicted, l[0].Kept[0].Age)
		}
	}
}
