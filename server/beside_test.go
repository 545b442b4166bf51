package server

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// openMany opens n streams on target. What they are sent is for the kernel to hold, or, if
// they read, thrown away.
func openMany(t testing.TB, s *Server, target string, n int, read bool) (conns []net.Conn) {
	t.Helper()
	before := s.Stats().Streams
	for range n {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target)
		conns = append(conns, conn)
		if read {
			go func() {
				for b := make([]byte, 64<<10); ; {
					if _, err := conn.Read(b); err != nil {
						return
					}
				}
			}()
		}
	}
	testenv.Eventually(t, fmt.Sprint(n, " streams on ", target), func() bool { return s.Stats().Streams == before+int64(n) })
	return conns
}

// keepPublishing has n publishers publish to a channel until stop is called.
func keepPublishing(t testing.TB, b *channels.Broker, channel string, n int) (stop func()) {
	var publishing sync.WaitGroup
	var over atomic.Bool
	for range n {
		publishing.Go(func() {
			for !over.Load() {
				if _, err := b.Publish(channel, burstEvent); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return func() {
		over.Store(true)
		publishing.Wait()
	}
}

// beside publishes to /small, of which c is the only stream, and returns how long it took
// to publish and until it arrived, sorted.
func beside(t testing.TB, b *channels.Broker, c *client, n int) (published, arrived []time.Duration) {
	for i := range n {
		data := fmt.Sprint("small ", i)
		began := time.Now()
		publish(t, b, "/small", data, 1)
		published = append(published, time.Since(began))
		c.want("data: " + data + "\n\n")
		arrived = append(arrived, time.Since(began))
	}
	slices.Sort(published)
	slices.Sort(arrived)
	return published, arrived
}

// of returns a quantile of sorted times.
func of(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// besideFanOut runs events to a stream on /small beside n streams on /big, to which one
// event follows the other, on one loop. It returns the times of /small, and how long one
// fan-out of /big takes alone.
func besideFanOut(t testing.TB, n, events int) (arrived []time.Duration, fanout time.Duration) {
	s, b := start(t, Config{Loops: 1}, channels.Options{})
	openMany(t, s, "/big", n, false)
	small := subscribe(t, s, "/small")
	poll := time.NewTicker(100 * time.Microsecond)
	defer poll.Stop()
	one := func() {
		want := s.loops[0].counters.deliveries.Load() + uint64(n)
		publish(t, b, "/big", "x", n)
		for s.loops[0].counters.deliveries.Load() < want && !t.Failed() {
			<-poll.C
		}
	}
	began := time.Now()
	for range 5 {
		one()
	}
	fanout = time.Since(began) / 5
	next := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			select {
			case <-next:
				return
			default:
				one() // back to back
			}
		}
	})
	_, arrived = beside(t, b, small, events)
	close(next)
	busy.Wait()
	return arrived, fanout
}

// Ensure that a channel with one stream does not wait for the fan-out of one with many.
func TestSmallBesideALargeFanOut(t *testing.T) {
	const streams = 3000
	arrived, fanout := besideFanOut(t, streams, 100)
	t.Logf("fan-out to %d streams: %v; /small: median %v, p95 %v", streams, fanout, of(arrived, 0.5), of(arrived, 0.95))
	if median := of(arrived, 0.5); median > fanout/2 {
		t.Errorf("the median of /small is %v beside fan-outs of %v, want at most half of that", median, fanout)
	}
}

// besideFlood runs events to a stream on /small beside 64 publishers that flood n streams
// on /big, on one loop. It returns how long it takes to publish to /small, and until that
// has arrived. channels.TestFloodLeavesRoom holds it without a clock.
func besideFlood(t testing.TB, n, events int) (published, arrived []time.Duration) {
	s, b := start(t, Config{Loops: 1}, channels.Options{})
	openMany(t, s, "/big", n, true)
	small := subscribe(t, s, "/small")
	stop := keepPublishing(t, b, "/big", 64)
	testenv.Eventually(t, "the loop is flooded", func() bool { return s.loops[0].inbox.Len() > 1000 })
	published, arrived = beside(t, b, small, events)
	stop()
	return published, arrived
}

// Ensure that a publisher to a quiet channel does not stand in the line of 64 publishers
// that flood another one: the median is some two times that of a quiet loop, and was some
// hundreds of times that in their line.
func TestQuietBesideAFlood(t *testing.T) {
	const most, events = 50, 100
	s, b := start(t, Config{Loops: 1}, channels.Options{})
	openMany(t, s, "/big", 100, true)
	quiet, quietArrived := beside(t, b, subscribe(t, s, "/small"), events)
	published, arrived := besideFlood(t, 100, events)
	t.Logf("medians: quiet, published in %v, arrived in %v; flooded, %v and %v", of(quiet, 0.5), of(quietArrived, 0.5), of(published, 0.5), of(arrived, 0.5))
	if of(published, 0.5) > most*of(quiet, 0.5) {
		t.Errorf("the median publish takes %v beside a flood and %v without, want at most %d times that", of(published, 0.5), of(quiet, 0.5), most)
	}
}

// Ensure that thousands of clients that leave at once do not hold up others: an event
// that is published while a loop has yet to see all of them gone arrives before that.
func TestManyLeaveAtOnce(t *testing.T) {
	const streams = 2000
	s, b := start(t, Config{Loops: 1}, channels.Options{})
	leaving := openMany(t, s, "/big", streams, false)
	small := subscribe(t, s, "/small")
	stopped, goOn := make(chan struct{}), make(chan struct{})
	s.loops[0].mail <- func() { close(stopped); <-goOn }
	s.loops[0].waker.Signal()
	<-stopped
	for _, conn := range leaving {
		conn.Close()
	}
	publish(t, b, "/small", "x", 1)
	arrived := make(chan int64)
	go func() {
		small.want("data: x\n\n")
		arrived <- s.Stats().Streams
	}()
	close(goOn)
	if left := <-arrived; left < streams/2 {
		t.Errorf("when the event arrived, %d of %d streams were yet to be closed", left, streams)
	}
}

// BenchmarkBeside reports what a channel with one stream feels of others on its loop.
func BenchmarkBeside(b *testing.B) {
	report := func(b *testing.B, name string, sorted []time.Duration) {
		b.ReportMetric(of(sorted, 0.5).Seconds()*1e3, name+"-p50-ms")
		b.ReportMetric(of(sorted, 0.95).Seconds()*1e3, name+"-p95-ms")
	}
	b.Run("fanout", func(b *testing.B) {
		for range b.N {
			arrived, fanout := besideFanOut(b, 8000, 200)
			report(b, "arrive", arrived)
			b.ReportMetric(fanout.Seconds()*1e3, "fanout-ms")
		}
	})
	b.Run("flood", func(b *testing.B) {
		for range b.N {
			published, arrived := besideFlood(b, 1000, 200)
			report(b, "publish", published)
			report(b, "arrive", arrived)
		}
	})
}
