package server

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
)

// Ensure that pings come once a period at a phase that does not move, whatever is
// written meanwhile, and that a write in the half period before one has it come half a
// period later.
func TestKeepalive(t *testing.T) {
	const period = 5 * time.Second
	h := turnByHand(t, Config{Keepalive: period}, channels.Options{})
	const streams = 200
	peers := make([]int, streams)
	for i := range peers {
		_, peers[i] = h.stream("/x")
	}
	const step, start = 50 * time.Millisecond, 2 * period
	for range start / step { // until the head puts off no ping any more
		h.pass(step)
	}
	for _, peer := range peers {
		received(peer)
	}
	// Walk through four periods, with an event in the third, and note when each
	// stream is pinged.
	const event = start + 2*period + period/2
	pings := make([][]time.Duration, streams)
	for now := start + step; now <= start+4*period; now += step {
		h.pass(step)
		if now == event {
			publish(t, h.broker, "/x", "news", streams)
			h.turnOver()
		}
		for i, peer := range peers {
			switch got := strings.Replace(received(peer), "data: news\n\n", "", 1); got {
			case "":
			case ":keepalive\n\n":
				pings[i] = append(pings[i], now)
			default:
				t.Fatalf("stream %d got %q", i, got)
			}
		}
	}
	distinct, later := make(map[time.Duration]bool), 0
	for i, at := range pings {
		if len(at) == 0 || at[0] > start+period {
			t.Fatalf("stream %d is pinged at %v, want every %v", i, at, period)
		}
		distinct[at[0]] = true
		due := at[0] + 2*period
		want := []time.Duration{at[0], at[0] + period, due, due + period}
		if due > event && due < event+period/2 {
			want[2] += period / 2
			later++
		}
		if !slices.EqualFunc(at, want, func(a, b time.Duration) bool { return (a - b).Abs() <= step }) {
			t.Fatalf("stream %d is pinged at %v, want %v with an event at %v", i, at, want, event)
		}
	}
	if later < streams/3 || later > streams*2/3 {
		t.Errorf("the event puts off %d pings of %d, want those of half a period", later, streams)
	}
	if len(distinct) < 50 {
		t.Errorf("%d streams share %d phases of %v", streams, len(distinct), step)
	}
}

// Ensure that events which come twice a period stand in for all pings: a ping of each
// of a million streams beside a fan-out to them would take as long again.
func TestEventsStandInForPings(t *testing.T) {
	const period, streams = 5 * time.Second, 50
	h := turnByHand(t, Config{Keepalive: period}, channels.Options{})
	for range streams {
		h.stream("/x")
	}
	for range 20 {
		h.pass(period/2 - tick)
		publish(t, h.broker, "/x", "news", streams)
		h.turnOver()
	}
	if n := h.counters.keepalives.Load(); n != 0 {
		t.Errorf("%d pings of %d streams with an event every %v and pings every %v, want none", n, streams, period/2-tick, period)
	}
}

// Ensure that no stream is silent for longer than the period, whenever events come; not
// even one that waits for its channel. A proxy with a little more patience ends none.
func TestSilenceIsBounded(t *testing.T) {
	for _, period := range []time.Duration{100 * time.Millisecond, time.Second, 15 * time.Second} {
		h := turnByHand(t, Config{Keepalive: period}, channels.Options{Backplane: lateEngine{"/late"}})
		var peers []int
		for i := range 40 {
			target := "/x"
			if i%4 == 0 {
				target = "/late"
			}
			fd, peer := h.connect()
			unixWrite(t, peer, "GET "+target+" HTTP/1.1\r\nHost: test\r\n\r\n")
			h.on(fd, true, false)
			peers = append(peers, peer)
			h.pass(period / 40)
		}
		h.pass(headPatience)
		const step = tick
		const most = 2 * step // beyond the period, for what the ticks round off
		wrote, silence := make([]time.Duration, len(peers)), time.Duration(0)
		for i, peer := range peers {
			received(peer)
			wrote[i] = *h.time
		}
		random := rand.New(rand.NewPCG(1, uint64(period)))
		for next := *h.time; *h.time < 60*period && *h.time < 2000*step+headPatience; {
			if *h.time >= next {
				channel := []string{"/x", "/late"}[random.IntN(2)]
				if _, err := h.broker.Feed().Deliver(channel, channels.Event{Data: []byte("news")}); err != nil {
					t.Fatal(err)
				}
				next += time.Duration(random.Int64N(int64(2 * period)))
			}
			h.pass(step)
			for i, peer := range peers {
				if got := received(peer); strings.Contains(got, "EOF") {
					t.Fatalf("stream %d: %q", i, got)
				} else if got != "" {
					wrote[i] = *h.time
				}
				if silence = *h.time - wrote[i]; silence > period+most {
					t.Fatalf("with pings every %v stream %d is silent for %v at %v, want at most %v", period, i, silence, *h.time, period)
				}
			}
		}
	}
}

// lateEngine is a backplane that never gets one channel ready.
type lateEngine struct{ late string }

func (lateEngine) Send(string, channels.Event) (channels.Receipt, error) {
	return channels.Receipt{}, errors.New("nothing is published here")
}
func (e lateEngine) Follow(channel string) (uint64, bool) { return 0, channel != e.late }
func (lateEngine) Unfollow(string)                        {}
func (lateEngine) Health() error                          { return nil }

// Ensure that pings share their moments, so that a loop wakes up for few of
// them, and that every moment of a period has its share.
func TestPingsShareMoments(t *testing.T) {
	for _, c := range []struct {
		period time.Duration
		beats  int64
	}{
		{tick, 100},
		{5 * time.Second, 100},
		{15 * time.Second, 100},
		{time.Minute, 240},
		{61*time.Second + 1, 244},
		{maxDuration, int64(maxDuration / (250 * time.Millisecond))},
	} {
		if got := beats(c.period); got != c.beats {
			t.Errorf("%d beats in %v, want %d", got, c.period, c.beats)
		}
		for _, now := range []time.Duration{0, 1, tick, 7*time.Second + 3, time.Hour} {
			first, second, last := nthBeat(1, c.period, now), nthBeat(2, c.period, now), nthBeat(c.beats, c.period, now)
			if first <= now || last > now+c.period || last-first != time.Duration(c.beats-1)*(second-first) {
				t.Errorf("period %v: beats at %v, %v to %v, want them spread over a period after %v", c.period, first, second, last, now)
			}
			if early := nthBeat(1, c.period, first-1); early != first {
				t.Errorf("period %v: the beat after %v is %v, want %v as after %v", c.period, first-1, early, first, now)
			}
		}
	}
	const period, streams = 15 * time.Second, 500
	h := turnByHand(t, Config{Keepalive: period}, channels.Options{})
	moments := make(map[time.Duration]int)
	for range streams {
		fd, _ := h.stream("/x")
		moments[h.nextPing(h.conn(fd))]++
	}
	if n := int64(len(moments)); n > beats(period) || n < beats(period)*9/10 {
		t.Errorf("%d streams are pinged at %d moments of %v, want nearly %d", streams, n, period, beats(period))
	}
}

// Ensure that a maximum lifetime ends a stream, pinged or not, and that streams
// which came together leave over a tenth of it.
func TestMaxLifetime(t *testing.T) {
	const lifetime, streams, step = 10 * time.Second, 400, 20 * time.Millisecond
	h := turnByHand(t, Config{Keepalive: 4 * time.Second, MaxLifetime: lifetime}, channels.Options{})
	peers := make([]int, streams)
	for i := range peers {
		_, peers[i] = h.stream("/x")
	}
	h.pass(lifetime - lifetime/10 - step)
	for i, peer := range peers {
		if got := received(peer); strings.Contains(got, "EOF") || !strings.HasPrefix(got, ":keepalive\n\n") {
			t.Fatalf("stream %d after %v: %q", i, *h.time, got)
		}
	}
	ended, most := uint64(0), uint64(0) // in a tenth of the tenth
	for range 11 {
		h.pass(lifetime / 100)
		now := h.counters.closed[reasonLifetime].Load()
		ended, most = now, max(most, now-ended)
	}
	if ended != streams || most > streams/4 {
		t.Errorf("%d streams of %d ended for their age of %v, %d of them in a hundredth of it; want all, spread over a tenth", ended, streams, lifetime, most)
	}
	if got := received(peers[0]); !strings.HasSuffix(got, "EOF") {
		t.Errorf("after its lifetime of %v: %q", lifetime, got)
	}
}

// Ensure that a moment stands for its time wherever the circle of moments begins.
func TestMoments(t *testing.T) {
	const circle = tick << 32
	for _, now := range []time.Duration{0, tick - 1, tick, time.Hour + 1, circle - tick, circle, circle + tick, 3*circle - 1} {
		for _, far := range []time.Duration{0, tick, 15 * time.Second, maxDuration} {
			if then := now - far; then >= 0 {
				if got := momentOf(then).age(now); got < far || got >= far+tick {
					t.Errorf("at %d, %d is %d ago, want %d", now, then, got, far)
				}
				if got := momentOf(then).within(15*time.Second, now); got != then/tick*tick {
					t.Errorf("at %d, %d was %d", now, then, got)
				}
			}
			if got := momentOf(now+far).within(far, now); got != (now+far)/tick*tick {
				t.Errorf("at %d, %d will be %d", now, now+far, got)
			}
		}
	}
}

// BenchmarkPing is what a ping costs that is due and written, beside a bare
// write(2) of its bytes: streams on /dev/null, as in BenchmarkFanOut.
func BenchmarkPing(b *testing.B) {
	const streams, period = 5000, 5 * time.Second
	h := turnByHand(b, Config{Keepalive: period}, channels.Options{})
	descriptors := h.streamsToNowhere(streams)
	b.Run("millrace", func(b *testing.B) {
		b.ReportAllocs()
		before := h.counters.keepalives.Load()
		for b.Loop() {
			for range 100 {
				h.pass(period / 100)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(h.counters.keepalives.Load()-before), "ns/ping")
	})
	b.Run("bare writes", func(b *testing.B) {
		for b.Loop() {
			for _, fd := range descriptors {
				unix.Write(fd, pingBytes)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams), "ns/ping")
	})
}
