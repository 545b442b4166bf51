package link

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"millrace/channels"
)

// reader is a loop that serves its inbox when it is told to.
type reader struct {
	broker *channels.Broker
	inbox  *channels.Inbox
}

func newReader(l *linked, name string) *reader {
	r := &reader{l.broker, l.broker.NewInbox(func() {})}
	r.inbox.Attach(nil, []byte(name))
	l.Set.Next(1)
	l.Confirm(name)
	return r
}

// read returns what waits, without padding: data or "gap".
func (r *reader) read() (got []string) {
	messages := r.inbox.Take(nil)
	gaps, _ := r.inbox.Gaps(nil, 0, 100)
	all := slices.Concat(messages, gaps)
	slices.SortFunc(all, func(a, b *channels.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, m := range all {
		text := string(m.Wire)
		if strings.Contains(text, channels.GapType) {
			got = append(got, "gap")
			continue
		}
		_, text, _ = strings.Cut(text, "data: ")
		text, _, _ = strings.Cut(text, "\n")
		got = append(got, strings.TrimRight(text, " "))
	}
	r.inbox.Served(messages)
	return got
}

// linked is a link that is not started, with its broker.
type linked struct {
	*Link
	broker *channels.Broker
}

func newLink(o channels.Options) *linked {
	l := New("an engine", &url.URL{Host: "somewhere"}, slog.New(slog.DiscardHandler))
	o.Backplane = l.backplane()
	b := channels.NewBroker(o)
	l.Feed = b.Feed()
	return &linked{l, b}
}

// padded is an event of 16 KiB.
func padded(number int) channels.Event {
	return channels.Event{Data: fmt.Appendf(nil, "%-16384d", number)}
}

// Ensure that a loop without room holds up nobody but its own channels, and that these
// get everything in order, what was lost in its place.
func TestCrowdedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(channels.Options{})
		big, small := newReader(l, "/big"), newReader(l, "/small")
		var want []string
		begun := time.Now()
		for i := range 200 {
			if i == 150 {
				l.Lose("/big", errTest)
				want = append(want, "gap")
			}
			l.Deliver("/big", padded(i))
			l.Deliver("/small", channels.Event{Data: fmt.Append(nil, i)})
			if got := small.read(); !slices.Equal(got, []string{fmt.Sprint(i)}) {
				t.Fatalf("beside a crowded channel another got %q, want %d", got, i)
			}
			want = append(want, fmt.Sprint(i))
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the session stood still for %v", took)
		}
		var got []string
		for range len(want) {
			got = append(got, big.read()...)
			synctest.Wait()
		}
		if !slices.Equal(got, want) {
			t.Errorf("the crowded channel got %q, want %q", got, want)
		}
		if l.crowd.size != 0 || len(l.crowd.channels) != 0 {
			t.Errorf("a crowd of %d channels and %d bytes is left", len(l.crowd.channels), l.crowd.size)
		}
	})
}

// Ensure that a crowd is bounded, in memory and time, and that a message given up is told.
func TestCrowdIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(channels.Options{})
		big := newReader(l, "/big")
		for i := range 3 * maxCrowd / 16384 {
			l.Deliver("/big", padded(i))
		}
		if l.crowd.size > maxCrowd+itemOverhead {
			t.Errorf("%d bytes wait, want at most %d", l.crowd.size, maxCrowd)
		}
		got := big.read()
		for synctest.Wait(); len(l.crowd.channels) > 0; synctest.Wait() {
			got = append(got, big.read()...)
		}
		got = append(got, big.read()...)
		for i, text := range got[:len(got)-1] {
			if text != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, text)
			}
		}
		if last := got[len(got)-1]; last != "gap" {
			t.Errorf("after what had room comes %q, want a gap", last)
		}
		for i := range 200 {
			l.Deliver("/big", padded(i))
		}
		time.Sleep(channels.DefaultPublishTimeout)
		synctest.Wait()
		if l.crowd.size != 0 || len(l.crowd.channels) != 0 {
			t.Errorf("after the time of a publisher, a crowd of %d channels and %d bytes is left", len(l.crowd.channels), l.crowd.size)
		}
		if got := big.read(); got[len(got)-1] != "gap" {
			t.Errorf("what a loop had no time for ends with %q, want a gap", got[len(got)-1])
		}
	})
}

// Ensure that where nothing may overtake, a loop without room holds the others up for a
// small part of the time only, and that its channel is told.
func TestCrowdedNumbered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(channels.Options{History: 10, Numbered: true})
		l.Feed.SetEpoch("E", 0)
		k := NewKeeper(l.Link, nil)
		k.epoch = "E"
		k.live["/big"], k.live["/small"] = 0, 0
		big, small := newReader(l, "/big"), newReader(l, "/small")
		var seq uint64
		tell := func(channel string, ev channels.Event) {
			t.Helper()
			seq += 2
			if err := k.Message(Message{Epoch: "E", Channel: channel, Kept: channels.Kept{Number: seq, Event: ev}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		var longest time.Duration // that another channel has waited for
		for i := range 2000 {
			told := time.Now()
			tell("/big", padded(i))
			longest = max(longest, time.Since(told))
			tell("/small", channels.Event{Data: fmt.Append(nil, i)})
			if got := small.read(); !slices.Equal(got, []string{fmt.Sprint(i)}) {
				t.Fatalf("beside a crowded channel another got %q, want %d", got, i)
			}
			time.Sleep(time.Millisecond)
		}
		if stood := time.Since(began) - 2000*time.Millisecond; stood > 2*2000*time.Millisecond/patiencePart {
			t.Errorf("the session stood still for %v of 2 s and that, want about a tenth", stood)
		}
		if longest > maxPatience+recheck {
			t.Errorf("a crowded channel has held up another for %v, want at most %v", longest, maxPatience)
		}
		if got := big.read(); !slices.Contains(got, "gap") {
			t.Errorf("the crowded channel got %d messages and no gap", len(got))
		}

		// A loop that is only busy loses nothing.
		time.Sleep(time.Second)
		stop, stopped := make(chan bool), make(chan int)
		go func() {
			count := 0
			for {
				select {
				case <-stop:
					stopped <- count + len(big.read())
					return
				case <-time.After(300 * time.Microsecond):
					count += len(big.read())
				}
			}
		}()
		for i := range 1000 {
			tell("/big", padded(i))
			if i%40 == 39 { // which has no room at once
				time.Sleep(20 * time.Millisecond)
			}
		}
		close(stop)
		if n := <-stopped; n != 1000 {
			t.Errorf("a busy loop got %d messages and gaps, want all 1000", n)
		}
	})
}

// recovered is a History of which a session has missed what there is of two channels.
type recovered struct {
	History
	keeper *Keeper
	all    Snapshot
}

func (r *recovered) Subscribe(_ context.Context, names []string) error {
	r.keeper.Subscribed(names...)
	return r.keeper.Settled(context.Background())
}

func (r *recovered) Snapshot(_ context.Context, _ uint64, names []string) (Snapshot, error) {
	if names == nil {
		return Snapshot{Epoch: r.all.Epoch, Seq: r.all.Seq}, nil
	}
	return r.all, nil
}

func (r *recovered) Listen(context.Context) error {
	r.keeper.Fence(r.all.Seq)
	return nil
}

// Ensure that a loop which gets on now and then holds up a session that makes up for
// what was missed for a bounded time, in all, and that everybody is told what is lost.
func TestCrowdedRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(channels.Options{History: 200, Numbered: true})
		l.Feed.SetEpoch("E", 0)
		r := &recovered{all: Snapshot{Epoch: "E", Seq: 1000, Channels: []string{"/big", "/small"}, Logs: make([]Log, 2)}}
		var want []string
		for i := range 200 {
			n := uint64(4*i + 2)
			r.all.Logs[0].Kept = append(r.all.Logs[0].Kept, channels.Kept{Number: n, Event: padded(i)})
			r.all.Logs[1].Kept = append(r.all.Logs[1].Kept, channels.Kept{Number: n + 2, Event: channels.Event{Data: fmt.Append(nil, i)}})
			want = append(want, fmt.Sprint(i))
		}
		big, small := newReader(l, "/big"), newReader(l, "/small")
		l.Set.Reset()
		if held := l.Set.Held(); len(held) != 2 {
			t.Fatalf("%q are held, want both", held)
		}
		l.Set.Reset()
		r.keeper = NewKeeper(l.Link, r)
		begun, done := time.Now(), make(chan error)
		go func() { done <- r.keeper.Recover(t.Context()) }()
		var got []string
		for ended := false; !ended; {
			select {
			case err := <-done:
				if ended = true; err != nil {
					t.Fatal(err)
				}
			case <-time.After(channels.DefaultPublishTimeout - time.Second):
				got = append(got, big.read()...)
			}
		}
		if took := time.Since(begun); took > recovery+time.Second {
			t.Errorf("a loop that gets on now and then held up a session for %v, want %v at most", took, recovery)
		}
		if told := small.read(); !slices.Equal(told, want) {
			t.Errorf("beside it another channel got %d messages: %.80q, want %d", len(told), told, len(want))
		}
		if got = append(got, big.read()...); len(got) < 50 || got[len(got)-1] != "gap" {
			t.Errorf("the crowded channel got %d messages, want some, and a gap at last", len(got))
		}
	})
}
