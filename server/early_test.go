package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"millrace/channels"
)

// Ensure that streams on any of four channels get every message of theirs once and in
// order, whatever is served early, while they come and go in the midst of turns.
func TestEarlyOrder(t *testing.T) {
	for seed := range uint64(4) {
		testEarlyOrder(t, seed)
	}
}

func testEarlyOrder(t *testing.T, seed uint64) {
	const names, steps = 4, 1000
	h := turnByHand(t, Config{}, channels.Options{History: 1, PublishTimeout: 1})
	type stream struct {
		fd   int32
		peer int
		on   [names]bool
		want []string
		got  strings.Builder
	}
	random := rand.New(rand.NewPCG(5, seed))
	var streams []*stream
	check := func(s *stream) {
		s.got.WriteString(received(s.peer))
		_, got, _ := strings.Cut(s.got.String(), "\n\n") // what follows the greeting
		for i, data := range s.want {
			at := strings.Index(got, "data: "+data)
			if at < 0 || strings.Count(got[:at], "data: ") != 0 {
				_, next, _ := strings.Cut(got, "data: ")
				t.Fatalf("a stream on %v: message %d is %.20q, want %.20q", s.on, i, next, data)
			}
			got = got[at+len("data: "):]
		}
		if strings.Contains(got, "data: ") {
			t.Fatalf("a stream on %v has %q twice", s.on, got)
		}
	}
	earlies := 0
	for step := range steps {
		switch n := random.IntN(20); {
		case n < 2 && len(streams) < 40:
			s, first := &stream{}, random.IntN(names)
			s.on[first] = true
			target := fmt.Sprintf("/%d?", first)
			for i := range names {
				if !s.on[i] && random.IntN(4) == 0 {
					s.on[i] = true
					target += fmt.Sprintf("&channel=/%d", i)
				}
			}
			s.fd, s.peer = h.connect()
			unixWrite(t, s.peer, "GET "+target+" HTTP/1.1\r\nHost: test\r\n\r\n")
			h.on(s.fd, true, false)
			streams = append(streams, s)
		case n == 2 && len(streams) > 0:
			i := random.IntN(len(streams))
			h.end(h.conn(streams[i].fd), reasonClient)
			streams[i] = streams[len(streams)-1]
			streams = streams[:len(streams)-1]
		case n < 10:
			channel, size := random.IntN(names), random.IntN(100)
			if random.IntN(4) == 0 {
				size = 20_000 + random.IntN(40_000)
			}
			data := fmt.Sprint(step, ".", strings.Repeat("x", size))
			if _, err := offer(h.broker, fmt.Sprint("/", channel), channels.Event{Data: []byte(data)}); err != nil {
				break // the loop is crowded
			}
			for _, s := range streams {
				if s.on[channel] {
					s.want = append(s.want, data)
				}
			}
		default:
			for i := random.IntN(4); i > 0; i-- {
				before := h.counters.writes.Load()
				h.takeIn(len(h.turn.groups) > 0)
				earlies += int(h.counters.writes.Load() - before)
				h.fanOut(1 + random.IntN(8))
			}
			for _, s := range streams {
				s.got.WriteString(received(s.peer))
				if c := h.conn(s.fd); c.flags.is(behind) {
					h.catchUp(&c.stream)
				}
			}
		}
	}
	for h.fanOut(slice) {
	}
	for _, s := range streams {
		for h.conn(s.fd).flags.is(behind) {
			s.got.WriteString(received(s.peer))
			h.catchUp(&h.conn(s.fd).stream)
		}
		check(s)
	}
	if earlies < 50 {
		t.Errorf("seed %d: %d writes served messages early", seed, earlies)
	}
	if _, err := offer(h.broker, "/0", channels.Event{}); err != nil {
		t.Errorf("with everything served: %v", err)
	}
}

// Ensure that a channel with few subscribers is served while the fan-out of one with
// many is under way; that a stream on both gets what is published on both in order; and
// that a channel that is part of a turn is not served beside it.
func TestEarlyBesideALargeFanOut(t *testing.T) {
	const many = 30
	h := turnByHand(t, Config{}, channels.Options{})
	_, both := h.stream("/big?channel=/small")
	_, small := h.stream("/small")
	var big []int
	for range many {
		_, peer := h.stream("/big")
		big = append(big, peer)
	}
	publish(t, h.broker, "/big", "one", many+1)
	h.fanOut(many / 2)
	publish(t, h.broker, "/small", "two", 2)
	publish(t, h.broker, "/big", "three", many+1)
	h.fanOut(1)
	if got := received(small); got != "data: two\n\n" {
		t.Errorf("between two slices of a turn of /big, a stream on /small got %q", got)
	}
	if got := received(both); got != "" {
		t.Errorf("the stream on both got %q before its turn", got)
	}
	for range many - many/2 - 2 {
		if h.fanOut(1) == false {
			t.Fatal("the turn is over")
		}
	}
	publish(t, h.broker, "/small", "four", 2)
	for h.fanOut(1) {
	}
	for _, peer := range big {
		if got := received(peer); got != "data: one\n\ndata: three\n\n" {
			t.Errorf("a stream on /big got %q", got)
		}
	}
	if got := received(small); got != "data: four\n\n" {
		t.Errorf("the stream on /small got %q", got)
	}
	if got := received(both); got != "data: one\n\ndata: two\n\ndata: three\n\ndata: four\n\n" {
		t.Errorf("the stream on both got %q", got)
	}
}

// Ensure that a gap is told before what comes after it, though the channel of that has
// few subscribers and another's fan-out is under way.
func TestEarlyBehindAGap(t *testing.T) {
	const many = 30
	h := turnByHand(t, Config{}, channels.Options{})
	_, small := h.stream("/small")
	for range many {
		h.stream("/big")
	}
	publish(t, h.broker, "/big", "one", many)
	h.fanOut(many / 2)
	h.broker.Feed().Lost(channels.GapBackplane, "/small")
	publish(t, h.broker, "/small", "two", 1)
	for h.fanOut(1) {
	}
	got := received(small)
	if gap, two := strings.Index(got, "event: millrace.gap"), strings.Index(got, "data: two"); gap < 0 || two < gap {
		t.Errorf("a stream on /small got %q, want a gap and then two", got)
	}
}

// offer delivers an event unless a loop has no room for it.
func offer(b *channels.Broker, channel string, ev channels.Event) (channels.Receipt, error) {
	a, err := b.Feed().Prepare(channel, ev, 0)
	if err != nil {
		return channels.Receipt{}, err
	}
	return b.Feed().Offer(a)
}
