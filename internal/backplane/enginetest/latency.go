package enginetest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

// maxAdded is what an engine may add at the median to the time from a publish to its
// last stream, unless the suite says otherwise.
const maxAdded = 3 * time.Millisecond

// latency compares a node that is linked with another one, at which is published,
// with one on its own, message by message in turn.
func (s *Suite) latency(t *testing.T, program string) {
	const streams, messages = 1000, 100
	s.Engine.Start(t)
	defer s.Engine.Stop(t)
	args := append([]string{"--backplane", s.Engine.URL(StartProxy(t, s.Engine.Dial).Address())}, s.Args...)
	alone := StartNode(t, program)
	linked, other := StartNode(t, program, args...), StartNode(t, program, args...)
	direct := newRace(t, alone, alone, streams)
	through := newRace(t, other, linked, streams)
	var times [2][]time.Duration
	for range messages {
		times[0] = append(times[0], direct.run(t))
		times[1] = append(times[1], through.run(t))
	}
	for i := range times {
		slices.Sort(times[i])
	}
	alike, added := times[0][messages/2], times[1][messages/2]-times[0][messages/2]
	t.Logf("from a publish to the last of %d streams, median of %d: %v on one node, %v more through the engine", streams, messages, alike, added)
	// A machine that is busy with something else takes longer for everything.
	if most := max(cmp.Or(s.MaxAdded, maxAdded), alike/2); added > most {
		t.Errorf("the engine adds %v, want at most %v", added, most)
	}
}

// race is one publisher and streams on one channel.
type race struct {
	publisher *publisher
	streams   int
	arrived   sync.WaitGroup // the streams that have not got the newest message
}

func newRace(t *testing.T, from, to *Node, streams int) *race {
	t.Helper()
	r := &race{publisher: &publisher{node: from, channels: []string{"/race"}}, streams: streams}
	t.Cleanup(r.publisher.close)
	ctx, stop := context.WithCancel(t.Context())
	var running, opened sync.WaitGroup
	for range streams {
		s := newStream([]*Node{to}, 0, r.publisher.channels, 0)
		s.arrived = r.arrived.Done
		opened.Add(1)
		running.Go(func() { s.run(ctx, opened.Done) })
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	within(t, "all streams open", opened.Wait)
	return r
}

// run publishes a message and returns how long it took to reach every stream.
func (r *race) run(t *testing.T) time.Duration {
	t.Helper()
	r.arrived.Add(r.streams)
	begun := time.Now()
	if _, err := r.publisher.publish(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	within(t, "the message reaches every stream", r.arrived.Wait)
	return time.Since(begun)
}
