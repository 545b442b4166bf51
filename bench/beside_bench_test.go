package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
	"millrace/server"
)

// besideStreams are the streams of the large channel: as many as a descriptor
// limit of 20,000 has room for.
const besideStreams = 15_000

// besideChannel publishes to /small, which has one stream, each event as soon as
// the one before has arrived, until over is closed. It returns how long each took
// to arrive, sorted.
func besideChannel(addr string, client *redis.Client, over <-chan struct{}) (arrived []time.Duration, err error) {
	c := ssetest.Client{Target: "/small"}
	if err := c.Open(addr, time.Now().Add(patience)); err != nil {
		return nil, err
	}
	defer c.Close()
	for i := 0; ; i++ {
		select {
		case <-over:
			slices.Sort(arrived)
			return arrived, nil
		default:
		}
		began := time.Now()
		data := fmt.Sprint("small ", i)
		if err := client.Publish(context.Background(), "/small", data).Err(); err != nil {
			return nil, err
		}
		for ev := (ssetest.Event{}); ev.Data != data; {
			if ev, err = c.Next(); err != nil {
				return nil, err
			}
		}
		arrived = append(arrived, time.Since(began))
	}
}

// BenchmarkBeside reports what a channel with one stream feels of 15,000 streams
// beside it, whose clients are a process of their own: on one loop, but for the
// kick.
func BenchmarkBeside(b *testing.B) {
	run := func(b *testing.B, args MillraceArgs, streams int, disturb func(*rig, *redis.Client)) {
		for range b.N {
			r, client := newMillrace(b, args, 16)
			r.connect(streams)
			over, done := make(chan struct{}), make(chan struct{})
			var arrived []time.Duration
			var err error
			go func() {
				defer close(done)
				arrived, err = besideChannel(r.addr, client, over)
			}()
			disturb(r, client)
			close(over)
			<-done
			if err != nil {
				b.Fatal(err)
			}
			for name, q := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "longest-ms": 1} {
				b.ReportMetric(arrived[int(q*float64(len(arrived)-1))].Seconds()*1e3, name)
			}
			r.server.Close()
			r.clients.Close()
		}
	}
	gone := func(r *rig) {
		testenv.Eventually(b, "all streams but that of /small have gone", func() bool {
			var stats server.Stats
			call(b, r.server, "Stats", None{}, &stats)
			return stats.Streams <= 1
		})
	}
	one := MillraceArgs{Loops: 1}
	b.Run("fanout", func(b *testing.B) { // one event after the other
		run(b, one, besideStreams, func(r *rig, _ *redis.Client) {
			for range 20 {
				r.broadcast()
			}
		})
	})
	b.Run("leaving", func(b *testing.B) { // all at once
		run(b, one, besideStreams, func(r *rig, _ *redis.Client) {
			if err := r.clients.cmd.Process.Kill(); err != nil {
				b.Fatal(err)
			}
			gone(r)
		})
	})
	kicked := besideStreams
	if os.Getenv("MILLRACE_TEST_FULL") != "" {
		kicked = 100_000 // on Linux, with a descriptor table a loop
	}
	b.Run("kick", func(b *testing.B) { // all are ended at once
		run(b, MillraceArgs{Streams: kicked + 100}, kicked, func(r *rig, client *redis.Client) {
			began := time.Now()
			ended, err := client.Do(context.Background(), "SSE.KICK", "CHANNEL", rigTarget).Int()
			if took := time.Since(began); ended != kicked || err != nil {
				b.Fatalf("%d streams of %d were ended in %v: %v", ended, kicked, took, err)
			} else {
				b.ReportMetric(took.Seconds()*1e3, "kick-ms")
			}
			gone(r)
		})
	})
}
