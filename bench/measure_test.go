package bench

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/testenv"
	"millrace/server"
)

// measured skips a test of figures where they would say nothing.
func measured(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes thousands of connections and some seconds: not with -short")
	}
	if testenv.Race {
		t.Skip("the race detector changes what is measured: not with -race")
	}
	if _, err := processCPU(os.Getpid()); err != nil {
		t.Skip(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max < 20_000 {
		t.Skipf("a process may have %d open files (%v): not with less than 20000", limit.Max, err)
	}
}

// attempts is how often a figure may be measured until it is good. The machine
// may be busy with something else; a figure that is wrong stays wrong.
const attempts = 3

// One event to 15,000 streams costs hardly more than as many calls of write.
func TestFanOutNearFloor(t *testing.T) {
	measured(t)
	const streams, events, size, most = 15_000, 9, 16, 1.15
	floor := newFloor(t, size)
	floor.connect(streams)
	millrace, _ := newMillrace(t, MillraceArgs{}, size)
	millrace.connect(streams)

	for attempt := 1; ; attempt++ {
		var ours, theirs []time.Duration
		for range events { // by turns, so that what disturbs one disturbs the other
			ours = append(ours, millrace.broadcast())
			theirs = append(theirs, floor.broadcast())
		}
		ratio := float64(median(ours)) / float64(median(theirs))
		t.Logf("medians of %d events: processor time of a delivery: millrace %v, floor %v, ratio %.3f; from first stream to last: %v, %v",
			events, median(ours)/streams, median(theirs)/streams, ratio, millrace.spread(events), floor.spread(events))
		if ratio <= most {
			return
		}
		if attempt == attempts {
			t.Fatalf("a delivery costs %.3f times what the floor needs, want at most %v", ratio, most)
		}
	}
}

func median(d []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

// 18,000 idle streams are next to nothing on the heap.
func TestIdleStreamsOnTheHeap(t *testing.T) {
	measured(t)
	const few, many = 1_000, 17_000
	millrace, _ := newMillrace(t, MillraceArgs{Keepalive: 15 * time.Second}, 1)
	var base, full Heap
	millrace.connect(few) // what the first streams bring is not theirs
	call(t, millrace.server, "Heap", None{}, &base)
	rss := millrace.memory()
	millrace.connect(many)
	call(t, millrace.server, "Heap", None{}, &full)
	bytes := (float64(full.Bytes) - float64(base.Bytes)) / many
	objects := (float64(full.Objects) - float64(base.Objects)) / many
	t.Logf("%d more streams: %.1f bytes and %.4f objects each; anonymous memory %.1f bytes each, %d KiB in all",
		many, bytes, objects, float64(millrace.memory()-rss)/many, millrace.memory()>>10)
	if bytes > 100 || objects > 0.01 {
		t.Errorf("a stream has %.1f bytes and %.4f objects of heap, want at most 100 and 0.01", bytes, objects)
	}
}

// A pipeline of a thousand events reaches a thousand streams whole and in
// order, many events with one write.
func TestPipelineInFewWrites(t *testing.T) {
	measured(t)
	const streams, events, size = 1_000, 1_000, 16
	millrace, client := newMillrace(t, MillraceArgs{}, size)
	millrace.connect(streams)

	began, before := Now(), millrace.cpu()
	millrace.pipeline(client, events)
	cpu := millrace.cpu() - before
	report := millrace.report()
	if report.Events != streams*events {
		t.Errorf("%d deliveries, want %d", report.Events, streams*events)
	}
	var stats server.Stats
	call(t, millrace.server, "Stats", None{}, &stats)
	perWrite := float64(stats.Deliveries) / float64(stats.Writes)
	t.Logf("%d deliveries in %v, %v of processor time each, %.1f by a write",
		stats.Deliveries, report.Arrivals[events-1].Last-began, cpu/(streams*events), perWrite)
	if stats.Deliveries != streams*events || perWrite < 20 {
		t.Errorf("%d deliveries with %d writes, %.1f by each; want %d, at least 20 by each",
			stats.Deliveries, stats.Writes, perWrite, streams*events)
	}
}

// A server of 15,000 silent streams does nothing between pings, and next to
// nothing with them.
func TestIdleServerRests(t *testing.T) {
	measured(t)
	const streams, window = 15_000, 3 * time.Second
	for _, c := range []struct {
		keepalive time.Duration
		most      float64 // share of one processor
	}{
		{24 * time.Hour, 0.002},
		{time.Minute, 0.02},
	} {
		millrace, _ := newMillrace(t, MillraceArgs{Keepalive: c.keepalive}, 1)
		millrace.connect(streams)
		for attempt := 1; ; attempt++ {
			pings := millrace.report().Pings
			began, before := Now(), millrace.cpu()
			time.Sleep(window)
			cpu, wall := millrace.cpu()-before, Now()-began
			share := float64(cpu) / float64(wall)
			t.Logf("keepalive %v: %d pings in %v, %v of processor time, %.3f %%",
				c.keepalive, millrace.report().Pings-pings, wall.Round(time.Millisecond), cpu, 100*share)
			if share <= c.most {
				break
			}
			if attempt == attempts {
				t.Fatalf("keepalive %v: an idle server takes %.3f %% of a processor, want at most %.1f %%", c.keepalive, 100*share, 100*c.most)
			}
		}
		millrace.clients.Close()
	}
}

// The pings of 15,000 streams are spread over their period.
func TestPingsAreSpread(t *testing.T) {
	measured(t)
	const streams, keepalive, most = 15_000, 5 * time.Second, 1.5
	millrace, _ := newMillrace(t, MillraceArgs{Keepalive: keepalive}, 1)
	millrace.connect(streams)
	time.Sleep(keepalive) // in the first period the heads put the pings of half of the streams off
	for attempt := 1; ; attempt++ {
		time.Sleep(keepalive + PingBucket)
		times := millrace.report().PingTimes
		times = times[len(times)-1-int(keepalive/PingBucket) : len(times)-1] // the last one is not over yet
		sum := 0
		for _, n := range times {
			sum += n
		}
		ratio := float64(slices.Max(times)) * float64(len(times)) / float64(sum)
		t.Logf("%d pings in %v, by %v: %v, at most %.2f of the mean", sum, keepalive, PingBucket, times, ratio)
		if ratio <= most && sum > streams*9/10 && sum < streams*11/10 {
			return
		}
		if attempt == attempts {
			t.Fatalf("%d pings in %v, the busiest %v with %.2f times the mean; want %d, and at most %v", sum, keepalive, PingBucket, ratio, streams, most)
		}
	}
}
