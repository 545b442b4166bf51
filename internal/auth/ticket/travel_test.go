package ticket

import (
	"encoding/base64"
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"

	"millrace/internal/handover"
)

// travel has the state of one node go on in another process, through its frames.
func travel(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, from, to *Tickets, now int64) {
	if err := from.Travel(func(b handover.Beside) error {
		payload := handover.Encode(handover.Version, &b)
		if len(payload) > handover.MaxPayload {
			t.Fatalf("a page has %d bytes", len(payload))
		}
		var came handover.Beside
		if err := handover.Decode(handover.Version, payload, &came); err != nil {
			return err
		}
		return to.Follow(&came, now)
	}); err != nil {
		t.Fatal(err)
	}
}

// Ensure that no ticket opens twice, however often a process takes over and however little room
// there is, and that while there is room everything newer opens.
func TestSpentTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := New(RandomKeys())
		roomy := rapid.Bool().Draw(t, "roomy")
		most := rapid.IntRange(2, 12).Draw(t, "most")
		if roomy {
			most = 1000
		}
		node.spent.most = most
		var families []contents
		opened, now := make(map[family]uint32), int64(1000)
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now += int64(rapid.SampledFrom([]int{0, 1, 60, 3600}).Draw(t, "seconds"))
			switch step := rapid.IntRange(0, 8).Draw(t, "step"); {
			case step == 0:
				next := New(RandomKeys())
				next.spent.most = most
				for range rapid.IntRange(1, 2).Draw(t, "times") {
					travel(t, node, next, now)
				}
				node = next
			case step < 4 || len(families) == 0:
				c := contents{issued: now * 1e6, until: now + int64(rapid.IntRange(1, 8000).Draw(t, "until"))}
				binary.LittleEndian.PutUint64(c.family[:], uint64(len(families)+1))
				families = append(families, c)
			default:
				c := rapid.SampledFrom(families).Draw(t, "family")
				if c.until <= now {
					continue // which Judge finds out
				}
				c.generation = uint32(rapid.IntRange(0, 3).Draw(t, "generation"))
				last, known := opened[c.family]
				is, was := node.spent.open(&c, now), known && c.generation <= last
				if is == 0 && was || roomy && is != 0 && !was {
					t.Fatalf("at %d generation %d of family %d: %d, last opened %d, %t", now, c.generation, c.family[0], is, last, known)
				}
				if is == 0 {
					opened[c.family] = c.generation
				}
			}
			if n, _ := node.spent.figures(); n > most+most/2 {
				t.Fatalf("%d families are known, want %d at most", n, most)
			}
		}
	})
}

// Ensure that tickets which one process has issued open at the one that takes over, and that a
// given key seals on.
func TestKeysTravel(t *testing.T) {
	given, err := ParseKeys("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_000_000, 0)
	for _, tt := range []struct {
		name          string
		before, after *Keys
		opens, seals  bool // old tickets open in the next process, and its tickets in the old one
	}{
		{"both drawn", RandomKeys(), RandomKeys(), true, true},
		{"now given", RandomKeys(), given, true, false},
		{"no longer given", given, RandomKeys(), false, false},
		{"the same given", given, given, true, true},
	} {
		before, after := New(tt.before), New(tt.after)
		travel(t, before, after, now.Unix())
		for _, d := range []struct {
			name     string
			from, to *Tickets
			want     bool
		}{{"old", before, after, tt.opens}, {"new", after, before, tt.seals}} {
			text, err := d.from.Issue(Grant{Channels: []string{"/c"}}, now)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := d.to.keys.Load().open(sealed); ok != d.want {
				t.Errorf("%s: that the %s ticket can be read is %t, want %t", tt.name, d.name, ok, d.want)
			}
		}
	}
	if err := New(RandomKeys()).Follow(&handover.Beside{TicketKey: []byte("short")}, 0); err == nil {
		t.Error("a key of 5 bytes is taken over")
	}
}
