package channels

import (
	"sync"
	"testing"

	"millrace/internal/testenv"
)

// Ensure that the first message of a burst is told from the others, since the owner is
// woken for it alone.
func TestInboxTellsTheFirst(t *testing.T) {
	in := NewBroker(Options{}).NewInbox(func() {})
	var spare []*Message
	for burst := 1; burst <= 3; burst++ {
		for seq := range uint64(5) {
			if first := in.post(&Message{Seq: seq}); first != (seq == 0) {
				t.Fatalf("burst %d, message %d: it is the first: %v", burst, seq, first)
			}
		}
		spare = in.Take(spare)
		for i, m := range spare {
			if m.Seq != uint64(i) {
				t.Fatalf("burst %d: Take()[%d] is message %d", burst, i, m.Seq)
			}
		}
		if len(spare) != 5 {
			t.Fatalf("burst %d: took %d messages, want 5", burst, len(spare))
		}
	}
	if rest := in.Take(spare); len(rest) != 0 {
		t.Fatalf("took %d messages from an empty inbox", len(rest))
	}
}

// Ensure that slices passed back are used again, and hold no message.
func TestInboxReusesSpare(t *testing.T) {
	in := NewBroker(Options{}).NewInbox(func() {})
	in.post(&Message{})
	in.post(&Message{})
	first := in.Take(nil)
	if rest := in.Take(first); len(rest) != 0 {
		t.Fatalf("took %d messages from an empty inbox", len(rest))
	}
	for i, m := range first {
		if m != nil {
			t.Errorf("slot %d still holds a message after its slice was passed back", i)
		}
	}
	in.post(&Message{})
	if second := in.Take(nil); &second[0] != &first[0] {
		t.Error("the slice passed back was not used for what came next")
	}
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	var spare []*Message
	m := &Message{}
	if n := testing.AllocsPerRun(1000, func() { in.post(m); spare = in.Take(spare) }); n != 0 {
		t.Errorf("post and Take allocate %v times, want 0", n)
	}
}

// Ensure that no message waits without a wake while posters and the owner race.
func TestInboxConcurrent(t *testing.T) {
	const posters, each = 4, 5000
	woken := make(chan struct{}, posters*each)
	in := NewBroker(Options{}).NewInbox(func() { woken <- struct{}{} })
	var posting sync.WaitGroup
	for p := range posters {
		posting.Go(func() {
			for i := range each {
				if in.post(&Message{Seq: uint64(p*each + i)}) {
					in.wake()
				}
			}
		})
	}
	next := [posters]int{}
	var msgs []*Message
	for taken := 0; taken < posters*each; {
		<-woken // a lost wake blocks here for good
		if msgs = in.Take(msgs); len(msgs) == 0 {
			t.Fatal("woken for nothing: a wake belongs to exactly one burst")
		}
		for _, m := range msgs {
			p, i := int(m.Seq)/each, int(m.Seq)%each
			if i != next[p] {
				t.Fatalf("poster %d: message %d, want %d", p, i, next[p])
			}
			next[p]++
		}
		taken += len(msgs)
	}
	posting.Wait()
	if len(woken) != 0 {
		t.Errorf("%d wakes without messages", len(woken))
	}
}
