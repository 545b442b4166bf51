package channels

import (
	"testing"

	"pgregory.net/rapid"

	"millrace/internal/testenv"
)

// verify rechecks the whole ring against what it should hold.
func (l *log) verify(t rapid.TB, want []*Message) {
	t.Helper()
	if l.count() != len(want) {
		t.Fatalf("log holds %d messages, want %d", l.count(), len(want))
	}
	size := 0
	for i, m := range want {
		if l.at(i) != m {
			t.Fatalf("log.at(%d) is message %d, want %d", i, l.at(i).Seq, m.Seq)
		}
		size += m.size()
	}
	if l.bytes() != size {
		t.Fatalf("log.bytes() = %d, want %d", l.bytes(), size)
	}
	if l == nil {
		return
	}
	if c := len(l.ring); c&(c-1) != 0 || (l.n == 0) != (c == 0) || c > max(16, 4*l.count()) {
		t.Fatalf("a ring of %d slots for %d messages, want a power of two, none when empty, and at most a quarter-full one", c, l.n)
	}
	held := 0
	for _, m := range l.ring {
		if m != nil {
			held++
		}
	}
	if held != l.count() {
		t.Fatalf("the ring holds on to %d messages, want %d", held, l.n)
	}
}

func TestLogAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l log
		var naive []*Message
		var seq uint64
		push := func(t *rapid.T) {
			seq += rapid.Uint64Range(1, 5).Draw(t, "gap") // other channels' messages
			m := &Message{Seq: seq, Wire: make([]byte, rapid.IntRange(0, 9).Draw(t, "size"))}
			l.push(m)
			naive = append(naive, m)
		}
		pop := func(t *rapid.T) {
			if len(naive) == 0 {
				t.Skip("empty")
			}
			if got := l.pop(); got != naive[0] {
				t.Fatalf("pop() = message %d, want %d", got.Seq, naive[0].Seq)
			}
			naive = naive[1:]
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": push,
			"pop":  pop,
			"burst": func(t *rapid.T) {
				for range rapid.IntRange(1, 80).Draw(t, "n") {
					push(t)
				}
			},
			"drain": func(t *rapid.T) {
				for range min(len(naive), rapid.IntRange(1, 80).Draw(t, "n")) {
					pop(t)
				}
			},
			"after": func(t *rapid.T) {
				cursor := rapid.Uint64Range(0, seq+1).Draw(t, "cursor")
				want := 0
				for want < len(naive) && naive[want].Seq <= cursor {
					want++
				}
				if got := l.after(cursor); got != want {
					t.Fatalf("after(%d) = %d, want %d", cursor, got, want)
				}
			},
			"": func(t *rapid.T) { l.verify(t, naive) },
		})
	})
}

// Ensure that a burst leaves no capacity behind, and that a log that holds its
// size does not allocate.
func TestLogFollowsItsContent(t *testing.T) {
	var l log
	for i := range 10000 {
		l.push(&Message{Seq: uint64(i)})
	}
	for l.n > 10 {
		l.pop()
		if len(l.ring) > max(16, 4*l.count()) {
			t.Fatalf("%d slots for %d messages", len(l.ring), l.n)
		}
	}
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	m := &Message{}
	if n := testing.AllocsPerRun(1000, func() { l.push(m); l.pop() }); n != 0 {
		t.Errorf("push and pop at %d messages allocate %v times, want 0", l.n, n)
	}
}
