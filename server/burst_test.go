package server

import (
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// fastReaders opens streams on target that read as fast as they can, and returns a
// function that waits until each has had as many bytes or its end, and returns how many
// have not had them.
func fastReaders(t testing.TB, via ssetest.Transport, s *Server, target string, n, bytes int) (lacking func() int) {
	var reading sync.WaitGroup
	var short atomic.Int32
	for range n {
		c := subscribeOver(t, via, s, target)
		reading.Go(func() {
			if _, err := io.CopyN(io.Discard, c.r, int64(bytes)); err != nil {
				short.Add(1)
			}
		})
	}
	return func() int {
		reading.Wait()
		return int(short.Load())
	}
}

// burstEvent is what burst publishes, and burstWire its size on a stream without history.
var (
	burstEvent = channels.Event{Data: []byte(strings.Repeat("x", 100))}
	burstWire  = len("data: \n\n") + len(burstEvent.Data)
)

// burst publishes events as one pipelining publisher does, and returns how long it took.
func burst(t testing.TB, b *channels.Broker, channel string, events int) time.Duration {
	t.Helper()
	began := time.Now()
	for range events {
		if _, err := b.Publish(channel, burstEvent); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(began)
}

// Ensure that a burst of more than twice the backlog ends no reader that reads as fast as
// it can, and that one that never reads is lapped as ever.
func TestBurst(t *testing.T) { ssetest.Over(t, testBurst) }

func testBurst(t *testing.T, via ssetest.Transport) {
	streams := 20
	if testenv.Full() {
		streams = 200
	}
	const events = 100_000
	s, b := startOver(t, via, Config{Loops: 2}, channels.Options{})
	never := subscribeOver(t, via, s, "/a")
	lacking := fastReaders(t, via, s, "/a", streams, events*burstWire)
	took := burst(t, b, "/a", events)
	if n := lacking(); n > 0 {
		t.Errorf("%d of %d readers did not get everything: %v", n, streams, s.Stats().Closed)
	}
	closed := s.Stats().Closed
	t.Logf("published in %v", took)
	if closed[reasonLapped.String()] != 1 {
		t.Errorf("%d streams lapped, want the one that never reads", closed[reasonLapped.String()])
	}
	never.Close()
}

// Ensure that a reader that has read fast and then does not for a moment, as happens on a
// busy host, is waited for.
func TestBurstPause(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a client took before it fell behind is known on Linux only")
	}
	const events, before, pause = 200_000, 3 << 20, 700 * time.Millisecond
	s, b := start(t, Config{Loops: 1}, channels.Options{})
	c := subscribe(t, s, "/a")
	read := make(chan error)
	go func() {
		_, err := io.CopyN(io.Discard, c.r, before)
		if err == nil {
			time.Sleep(pause)
			_, err = io.CopyN(io.Discard, c.r, int64(events*burstWire-before))
		}
		read <- err
	}()
	burst(t, b, "/a", events)
	if err := <-read; err != nil {
		t.Errorf("after a pause of %v: %v; %v", pause, err, s.Stats().Closed)
	}
}

// Ensure that one reader at the floor rate, alone or among others, adds at most twice the
// time that a burst takes without it, and nothing to another channel.
func TestBurstAtFloorRate(t *testing.T) {
	many := 20
	if testenv.Full() {
		many = 200
	}
	for _, others := range []int{0, many} {
		for tries := 3; tries > 0 && !t.Failed(); tries-- { // the host may be busy with another thing
			without, quiet, with, other := burstAtFloorRate(t, others)
			t.Logf("%d others: %v without, %v with a reader at the floor rate; median of another channel %v, %v", others, without, with, quiet, other)
			if with <= 3*without && other <= 3*quiet {
				break
			}
			if tries == 1 {
				t.Errorf("%d others: want at most twice as much more with such a reader, and nothing more for another channel", others)
			}
		}
	}
}

// burstAtFloorRate returns how long a burst takes, and an event of another channel
// meanwhile, without a reader at the floor rate and with one.
func burstAtFloorRate(t *testing.T, others int) (without, quiet, with, other time.Duration) {
	s, b := start(t, Config{Loops: 2}, channels.Options{})
	small := subscribe(t, s, "/small")
	without, quiet = burstBeside(t, s, b, small, "/fast", max(others, 1))
	slow := subscribe(t, s, "/slow")
	defer slow.Close()
	go func() {
		for b := make([]byte, floorRate/4); ; time.Sleep(time.Second / 4) {
			if _, err := slow.Read(b); err != nil {
				return
			}
		}
	}()
	with, other = burstBeside(t, s, b, small, "/slow", others)
	return without, quiet, with, other
}

// burstBeside returns how long a burst on a channel with n readers takes that read as fast
// as they can, and the median of what an event of small takes meanwhile.
func burstBeside(t *testing.T, s *Server, b *channels.Broker, small *client, channel string, n int) (took, other time.Duration) {
	const events = 200_000
	lacking := fastReaders(t, ssetest.Plain, s, channel, n, events*burstWire)
	over, arrived := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var all []time.Duration
		for {
			select {
			case <-over:
				arrived <- all
				return
			default:
				_, some := beside(t, b, small, 1)
				all = append(all, some...)
			}
		}
	}()
	took = burst(t, b, channel, events)
	close(over)
	all := <-arrived
	if lacking := lacking(); lacking > 0 {
		t.Errorf("%d of %d readers of %s did not get everything", lacking, n, channel)
	}
	slices.Sort(all)
	return took, of(all, 0.5)
}

// Ensure that a reader which takes nothing is waited for as long as a window, and until
// its loop has judged it in time once, but 2 s at most.
func TestLateJudgement(t *testing.T) {
	for _, late := range []struct {
		windows []time.Duration // one after the other
		fast    []bool          // whether publishers wait for it after each
	}{
		{[]time.Duration{fastWindow}, []bool{false}},
		{[]time.Duration{fastWindow + fastLate, fastWindow}, []bool{true, false}},
		{[]time.Duration{time.Second, time.Second, time.Second}, []bool{true, false, false}},
	} {
		h := turnByHand(t, Config{}, channels.Options{})
		fd, _ := h.stream("/a")
		c := h.conn(fd)
		for { // until the socket is full
			if n, _ := h.write(c, make([]byte, 4<<10)); n == 0 {
				break
			}
		}
		h.fallBehind(&c.stream, leftoverOf([]byte("rest")), false)
		for i, window := range late.windows {
			h.now += window
			if h.judge(&c.stream); c.flags.is(fast) != late.fast[i] {
				t.Errorf("after %v: fast is %t, want %t", late.windows[:i+1], c.flags.is(fast), late.fast[i])
			}
		}
	}
}
