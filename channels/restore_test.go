package channels

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"millrace/internal/handover"
)

// Ensure that a successor has the history, ages and losses of its predecessor, whatever
// happens there while they are on their way.
func TestRestoreAgainstPredecessor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := Options{History: rapid.IntRange(0, 4).Draw(t, "history"), HistoryTTL: time.Minute, Epoch: "E"}
		from, now := NewBroker(opts), time.Duration(0)
		from.clock = func() time.Duration { return now }
		in := from.NewInbox(func() {})
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("/%d", rapid.IntRange(0, 20).Draw(t, "channel")) })
		var attached []*Channel
		act := map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				channel, size := name.Draw(t, "channel"), rapid.SampledFrom([]int{0, 10, 55 << 10}).Draw(t, "size")
				publish(t, from, channel, strings.Repeat("x", size))
				in.Served(in.Take(nil))
			},
			"come": func(t *rapid.T) { attached, _ = in.Attach(attached, []byte(name.Draw(t, "channel"))) },
			"leave": func(*rapid.T) {
				if len(attached) > 0 {
					in.Detach(attached[0])
					attached = attached[1:]
				}
			},
			"lose": func(t *rapid.T) { from.Feed().Lost(GapBackplane, name.Draw(t, "channel")) },
			"time": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second
				from.sweep()
			},
		}
		t.Repeat(act)
		tap, err := from.Tap(handover.Version)
		if err != nil {
			t.Fatal(err)
		}
		opts.Successor = true
		to := NewBroker(opts)
		to.clock = from.clock
		act["send"] = func(t *rapid.T) {
			if _, err := tap.step(to); err != nil {
				t.Fatal(err)
			}
			tap.guards = false
		}
		t.Repeat(act)
		tap.sendAll(t, to)
		compareRestored(t, from, to)
		s, err := from.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		if err := to.TakeOver(s); err != nil {
			t.Fatal(err)
		}
		for to.unsettled.is {
			to.sweep()
		}
		to.verify(t)
	})
}

// compareRestored checks that to has all that from has. It may have more, since it has dropped
// nothing yet.
func compareRestored(t *rapid.T, from, to *Broker) {
	if from.seq != to.seq || from.epoch != to.epoch || to.epoch == "" {
		t.Fatalf("the successor is at %s-%d, want %s-%d", to.epoch, to.seq, from.epoch, from.seq)
	}
	for i := range 22 {
		name := fmt.Sprintf("/%d", i)
		c, d := from.channels[name], to.channels[name]
		if c == nil {
			if d == nil && from.forgotten.of(name) != to.forgotten.of(name) {
				t.Fatalf("what went with %s: %d, want %d", name, to.forgotten.of(name), from.forgotten.of(name))
			} else if d != nil && from.forgotten.of(name) > max(d.newest(), d.gap) {
				t.Fatalf("%s goes to %d, want %d", name, d.newest(), from.forgotten.of(name))
			}
			continue
		}
		if d == nil {
			if c.log.count() > 0 || c.evicted != to.forgotten.of(name) || c.gap > 0 {
				t.Fatalf("%s is not restored", name)
			}
			continue
		}
		// A channel that was closed and opened again has evicted what was lost meanwhile.
		if c.gap > 0 && (d.gap != c.gap || d.why != c.why) || d.evicted > c.evicted || max(d.newest(), d.gap) != max(c.newest(), c.gap) {
			t.Fatalf("%s: gap %d %v, published %d, evicted %d, newest %d; want %d %v, %d, %d, %d", name,
				d.gap, d.why, d.published, d.evicted, d.newest(), c.gap, c.why, c.published, c.evicted, c.newest())
		}
		for j := c.log.after(c.evicted); j < c.log.count(); j++ {
			want := c.log.at(j)
			got := d.log.at(min(d.log.after(want.Seq-1), d.log.count()-1))
			// What was on its way for a time counts as younger.
			if got.Seq != want.Seq || got.born < want.born || !bytes.Equal(got.Wire, want.Wire) {
				t.Fatalf("%s: message %d of age %v, want %d of %v", name, got.Seq, got.born, want.Seq, want.born)
			}
		}
	}
	for m, seq := to.kept.oldest, uint64(0); m != nil; m = m.newer {
		if m.Seq <= seq {
			t.Fatalf("message %d is older than %d", m.Seq, seq)
		}
		seq = m.Seq
	}
}

// Ensure that a message that is longer than a frame arrives.
func TestLargeMessageIsRelayed(t *testing.T) {
	opts := Options{History: 2, MaxEventBytes: 4 << 20}
	from := NewBroker(opts)
	large := strings.Repeat("x", 3<<20)
	publish(t, from, "/a", large)
	tap, to := upgrade(t, from, opts)
	publish(t, from, "/a", large)
	tap.sendAll(t, to)
	if log := to.channels["/a"].log; log.count() != 2 || len(log.at(0).Wire) < len(large) || !bytes.Equal(log.at(1).Wire, from.channels["/a"].log.at(1).Wire) {
		t.Errorf("the successor keeps %d messages of %d bytes", log.count(), log.bytes())
	}
}

// Ensure that a loop waits for relays that are on their way, and is refused what is lost.
func TestAttachAtWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := NewBroker(Options{History: 1})
		from.NewInbox(func() {}).Attach(nil, []byte("/a"))
		tap, to := upgrade(t, from, Options{History: 1})
		publish(t, from, "/a", "one")
		publish(t, from, "/a", "two")
		var msgs []*Message
		done := make(chan error)
		go func() {
			in := to.NewInbox(func() {})
			_, err := in.AttachAt(nil, 1, 2, [][]byte{[]byte("/a")}, []int32{1})
			msgs = in.Take(nil)
			done <- err
		}()
		synctest.Wait()
		tap.sendAll(t, to)
		if err := <-done; err != nil || len(msgs) != 1 || msgs[0].Seq != 2 {
			t.Errorf("AttachAt() = %v, with %d messages, want the second", err, len(msgs))
		}
		if _, err := to.NewInbox(func() {}).AttachAt(nil, 1, 99, nil, nil); !errors.Is(err, ErrRelay) {
			t.Errorf("AttachAt a place that is never reached: %v, want %v", err, ErrRelay)
		}
	})
}

// Ensure that a loop is not attached where messages that it has yet to serve have left.
func TestAttachAtEvicted(t *testing.T) {
	from := NewBroker(Options{History: 1})
	for range 3 {
		publish(t, from, "/a", "x")
	}
	_, to := upgrade(t, from, Options{History: 1})
	in := to.NewInbox(func() {})
	if _, err := in.AttachAt(nil, 1, 3, [][]byte{[]byte("/a")}, []int32{1}); !errors.Is(err, ErrEvicted) {
		t.Errorf("AttachAt(1) = %v, want %v", err, ErrEvicted)
	}
	if _, err := to.NewInbox(func() {}).AttachAt(nil, 2, 3, [][]byte{[]byte("/a")}, []int32{1}); err != nil {
		t.Errorf("AttachAt(2) = %v", err)
	}
}

// Ensure that the tap ends, and publishers wait, when more is published than may be kept.
func TestOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := NewBroker(Options{PublishTimeout: time.Second})
		tap, to := upgrade(t, from, Options{})
		data, err := bytes.Repeat([]byte("x"), 50<<10), error(nil)
		for sent := 0; err == nil && sent < 2*maxTaken; sent += len(data) {
			if _, err = from.Publish("/a", Event{Data: data}); err == nil {
				if _, failed := tap.step(to); failed != nil && !errors.Is(failed, ErrOverrun) {
					t.Fatal(failed)
				}
			}
		}
		if !errors.Is(err, ErrBusy) || tap.taken < maxTaken || tap.taken > maxTaken+2*len(data) {
			t.Errorf("Publish: %v after %d bytes, want %v after %d", err, tap.taken, ErrBusy, maxTaken)
		}
		if err := tap.Run(to.Relay); !errors.Is(err, ErrOverrun) {
			t.Errorf("Run() = %v, want %v", err, ErrOverrun)
		}
		tap.Close()
		publish(t, from, "/a", "as ever")
	})
}

// Ensure that another epoch ends an upgrade.
func TestTapEndsWithEpoch(t *testing.T) {
	opts := Options{History: 1, Numbered: true, Backplane: new(engine)}
	from := NewBroker(opts)
	from.Feed().SetEpoch("E", 2)
	tap, to := upgrade(t, from, opts)
	if to.epoch != "E" || to.newest != from.newest {
		t.Errorf("the successor is at %s-%d", to.epoch, to.newest)
	}
	from.Feed().SetEpoch("F", 2)
	if _, err := tap.step(to); !errors.Is(err, ErrRestarted) {
		t.Errorf("the tap goes on: %v, want %v", err, ErrRestarted)
	}
	if _, err := from.Tap(handover.Version); !errors.Is(err, ErrTapped) {
		t.Errorf("a second tap: %v, want %v", err, ErrTapped)
	}
	tap.Close()
}

// Ensure that a successor whose predecessor has died goes on above all places that were given.
func TestGoOn(t *testing.T) {
	opts := Options{History: 10, Epoch: "E"}
	from := NewBroker(opts)
	publish(t, from, "/a", "one")
	_, to := upgrade(t, from, opts)
	publish(t, from, "/a", "is lost with its publisher's reply, but streams may have had it")
	if err := to.GoOn(); err != nil {
		t.Fatal(err)
	}
	in := to.NewInbox(func() {})
	var s Start
	in.Join(&s, []byte("E-2"), 1<<20, []byte("/a"))
	if s.Gap != NoGap || !s.Resumed || len(s.Missed) > 0 {
		t.Errorf("a client that has had the lost message: gap %q, resumed %v, %d messages", s.Gap, s.Resumed, len(s.Missed))
	}
	r, err := to.Publish("/a", Event{})
	if err != nil || r.Seq <= from.seq || len(in.Take(nil)) != 1 {
		t.Errorf("Publish() = %+v, %v, want a place above %d, and one message", r, err, from.seq)
	}
}

// Ensure that nothing is relayed after the place of a switch, where channels close.
func TestFrozenTapIsSilent(t *testing.T) {
	opts := Options{History: 1, HistoryTTL: time.Minute}
	from, now := NewBroker(opts), time.Duration(0)
	from.clock = func() time.Duration { return now }
	publish(t, from, "/a", "x")
	tap, to := upgrade(t, from, opts)
	s, err := from.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	if err := to.TakeOver(s); err != nil {
		t.Fatal(err)
	}
	now = time.Hour
	from.sweep()
	if from.Find("/a") != nil {
		t.Error("the channel is still there")
	}
	if more, err := tap.step(to); more || err != nil {
		t.Errorf("something is relayed after the switch: %v, %v", more, err)
	}
}

// Ensure that what no predecessor says is refused.
func TestRelayRefuses(t *testing.T) {
	head := handover.BrokerHead{Version: handover.Version, Epoch: "E", Seq: 5, Newest: 5, IDs: true}
	channel := handover.ChannelState{Name: []byte("/a"), Evicted: 3}
	for name, parts := range map[string][]relay{
		"no head":            {{handover.PartRestored, new(handover.Empty)}},
		"two heads":          {{handover.PartHead, &head}, {handover.PartHead, &head}},
		"another history":    {{handover.PartHead, &handover.BrokerHead{Epoch: "E"}}},
		"another numbering":  {{handover.PartHead, &handover.BrokerHead{Epoch: "E", IDs: true, Numbered: true}}},
		"a short page":       {{handover.PartHead, &head}, {handover.PartForgotten, &handover.ForgottenPage{Buckets: []byte{1}}}},
		"no channel":         {{handover.PartHead, &head}, {handover.PartKept, &handover.KeptMessage{Seq: 1}}},
		"an empty name":      {{handover.PartHead, &head}, {handover.PartChannel, new(handover.ChannelState)}},
		"an evicted message": {{handover.PartHead, &head}, {handover.PartChannel, &channel}, {handover.PartKept, &handover.KeptMessage{Seq: 3}}},
		"an old message":     {{handover.PartHead, &head}, {handover.PartMessage, &handover.PlacedMessage{Seq: 4, Channel: []byte("/a")}}},
		"an old place":       {{handover.PartHead, &head}, {handover.PartAdvance, &handover.Place{Seq: 4, Newest: 5}}},
		"an unknown gap":     {{handover.PartHead, &head}, {handover.PartGap, &handover.PlacedGap{Place: handover.Place{Seq: 6, Newest: 5}, Channel: []byte("/a"), Why: 99}}},
		"an unknown part":    {{handover.PartHead, &head}, {handover.OptionalPart - 1, new(handover.Empty)}},
		"a cut record":       {{handover.PartHead, &head}, {handover.PartGap, new(handover.Place)}},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBroker(Options{History: 1, Successor: true})
			err := write(&handover.Writer{Version: handover.Version}, parts, b.Relay)
			if !errors.Is(err, ErrRelay) && !errors.Is(err, handover.ErrShort) && !errors.Is(err, ErrName) {
				t.Errorf("Relay() = %v, want an error", err)
			}
		})
	}
	b := NewBroker(Options{History: 1, Successor: true})
	parts := []relay{{handover.PartHead, &head}, {handover.OptionalPart, new(handover.Empty)}, {handover.PartRestored, new(handover.Empty)}}
	if err := write(&handover.Writer{Version: handover.Version}, parts, b.Relay); err != nil {
		t.Errorf("with a part that may be ignored: %v", err)
	}
	if err := b.TakeOver(handover.Switch{Place: handover.Place{Seq: 5, Newest: 5}}); err != nil {
		t.Error(err)
	}
	if err := b.Relay(nil); !errors.Is(err, ErrRelay) {
		t.Errorf("Relay after the switch: %v, want %v", err, ErrRelay)
	}
}
