// Package enginetest has the tests that every backplane must pass. It runs millrace
// processes over a real engine, with publishers and streams on all of them, while the
// engine, the nodes and their connections come and go, and counts.
//
// It is called by the tests of each engine's package with [Run].
package enginetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// Engine is a server that links nodes. It keeps its data, if it has any, while it
// is stopped.
type Engine interface {
	Start(t testing.TB)
	Stop(t testing.TB)
	// Dial connects to it.
	Dial() (net.Conn, error)
	// URL returns the --backplane of an engine at an address.
	URL(address string) string
}

// Suite describes the engine to be tested.
type Suite struct {
	Engine Engine
	// Complete tells that the engine keeps the history: no stream misses a message, and
	// there are no gaps.
	Complete bool
	// Lossless tells that a lost connection to the engine loses nothing, although a
	// killed node does.
	Lossless bool
	// Exact tells that one process can go on where another one has stopped, without a gap,
	// when a node is upgraded.
	Exact bool
	// Unordered tells that two nodes may get the messages of two publishers in different
	// orders: the engine keeps that of each publisher, which is always checked.
	Unordered bool
	// Pipelined tells that a pipeline of publishes is one for the engine, too.
	Pipelined bool
	// Refused is the prefix of channel names that the engine refuses, "" if it refuses
	// none: a stranger asks for them all the time.
	Refused string
	// MaxAdded is the time that the engine may add at the median, from a publish to its
	// last stream; 0 for 3 ms.
	MaxAdded time.Duration
	// Args are further arguments of every node.
	Args []string
}

// Full names the environment variable that asks for ten times the streams, and five
// times the disturbances: some two minutes.
const Full = "MILLRACE_TEST_FULL"

// Run runs the suite. The engine has to be stopped. With the race detector, which
// makes all of it slow, it is only the connections that are cut.
func Run(t *testing.T, s Suite) {
	streams, cycles := 300, 4
	if os.Getenv(Full) != "" {
		streams, cycles = 3000, 20
	}
	program := testenv.Program(t, testenv.Race)
	for _, scenario := range []struct {
		name    string
		disturb func(t *testing.T, f *fleet, i int) // once a cycle
	}{
		{"Quiet", nil},
		{"EngineRestarts", func(t *testing.T, f *fleet, _ int) {
			s.Engine.Stop(t)
			f.pause(50 * time.Millisecond)
			s.Engine.Start(t)
		}},
		{"NodeKilled", func(t *testing.T, f *fleet, i int) {
			n := f.nodes[i%len(f.nodes)]
			n.kill()
			f.pause(50 * time.Millisecond)
			n.start()
		}},
		{upgraded, func(t *testing.T, f *fleet, i int) {
			if i%2 == 0 { // each takes a second or two
				f.nodes[i/2%len(f.nodes)].upgrade()
			}
		}},
		{"ConnectionsCut", func(t *testing.T, f *fleet, _ int) { f.proxy.cut() }},
	} {
		if testenv.Race && scenario.name != "ConnectionsCut" || scenario.name == upgraded && runtime.GOOS != "linux" {
			continue
		}
		t.Run(scenario.name, func(t *testing.T) {
			s.Engine.Start(t)
			defer s.Engine.Stop(t)
			f := s.start(t, program, streams)
			if scenario.disturb == nil {
				f.pause(time.Second)
			} else {
				for i := range cycles {
					f.pause(200 * time.Millisecond)
					scenario.disturb(t, f, i)
				}
			}
			f.finish(s.Complete || scenario.disturb == nil || s.Lossless && scenario.name != "NodeKilled" || s.Exact && scenario.name == upgraded)
			if n := f.returns(); n > 0 && scenario.name == upgraded {
				t.Errorf("streams have come back %d times over upgrades, want none", n)
			}
		})
	}
	if testenv.Race {
		return
	}
	t.Run("Upgrade", func(t *testing.T) { s.upgrade(t, program, streams) })
	t.Run("Stall", func(t *testing.T) { s.stall(t, program) })
	if s.Pipelined {
		t.Run("Pipeline", func(t *testing.T) { s.pipeline(t, program) })
	}
	t.Run("Latency", func(t *testing.T) { s.latency(t, program) })
}

// upgraded is the scenario in which the process of a node hands over to another one.
const upgraded = "NodeUpgraded"

// fleet is nodes over one engine, with streams and publishers at all of them.
type fleet struct {
	t          *testing.T
	unordered  bool // see Suite
	proxy      *Proxy
	nodes      []*Node
	names      []string // of the channels
	publishers []*publisher
	streams    []*stream
	stranger   *stranger // nil for none

	stopPublishing, stopListening func() // which return when that has come to an end
}

// nodePause is how long nodes of two commits are on one engine.
const nodePause = 300 * time.Millisecond

const (
	nodeCount    = 3
	channelCount = 30
)

// start runs nodes, opens streams, and then has publishers publish.
func (s *Suite) start(t *testing.T, program string, streams int) *fleet {
	t.Helper()
	f := &fleet{t: t, unordered: s.Unordered, proxy: StartProxy(t, s.Engine.Dial)}
	args := append([]string{"--backplane", s.Engine.URL(f.proxy.Address()), "--history", "100000", "--keepalive", "1s"}, s.Args...)
	for i := range nodeCount {
		f.nodes = append(f.nodes, StartNode(t, program, args...))
		f.publishers = append(f.publishers, &publisher{id: int16(i), node: f.nodes[i]})
	}
	for _, n := range f.nodes {
		n.awaitEngine() // or the first streams would open with a gap
	}
	for i := range channelCount {
		f.names = append(f.names, fmt.Sprintf("/raum %d/größe", i))
	}
	var opened sync.WaitGroup
	listen, stopListening := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	for i := range streams {
		channels := []int{i % channelCount}
		if i%10 == 0 {
			channels = append(channels, (i+1)%channelCount, (i+7)%channelCount)
		}
		stream := newStream(f.nodes, i%nodeCount, f.names, channels...)
		f.streams = append(f.streams, stream)
		opened.Add(1)
		listening.Go(func() { stream.run(listen, opened.Done) })
	}
	f.stopListening = func() {
		stopListening()
		listening.Wait()
	}
	t.Cleanup(f.stopListening)
	within(t, "all streams open", opened.Wait)
	if s.Refused != "" {
		f.stranger = startStranger(f.nodes, s.Refused, 8)
		t.Cleanup(f.stranger.close)
	}
	publish, stopPublishing := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	for _, p := range f.publishers {
		p.channels = f.names
		publishing.Go(func() { p.run(publish, 300*time.Millisecond) })
	}
	f.stopPublishing = func() {
		stopPublishing()
		publishing.Wait()
	}
	t.Cleanup(func() {
		f.stopPublishing()
		for _, p := range f.publishers {
			p.close()
		}
	})
	return f
}

// finish ends the publishing, has every publisher publish once more on each channel until
// every stream has got such a message, and checks everything.
func (f *fleet) finish(complete bool) {
	f.t.Helper()
	f.stopPublishing()
	first := make([][]int32, len(f.publishers)) // of each publisher: the number of its last message on each channel
	for i, p := range f.publishers {
		for _, accepted := range p.accepted {
			first[i] = append(first[i], int32(len(accepted)+1))
		}
	}
	f.await(first, func() {
		for _, p := range f.publishers {
			for channel := range f.names {
				p.publish(f.t.Context(), channel)
			}
		}
	})
	if complete {
		last := make([][]int32, len(f.publishers))
		for i, p := range f.publishers {
			for _, accepted := range p.accepted {
				number := len(accepted)
				for number > 0 && !accepted[number-1] {
					number--
				}
				last[i] = append(last[i], int32(number))
			}
		}
		f.await(last, func() {})
	}
	f.stopListening()
	if s := f.stranger; s != nil {
		s.close()
		f.t.Logf("a stranger has opened %d streams on channels that the engine refuses, and was told of %d", s.opened.Load(), s.told.Load())
		if s.told.Load() == 0 {
			f.t.Error("a stranger was never told that a channel is refused")
		}
	}
	gaps, got := 0, 0
	for i, s := range f.streams {
		if err := s.check(f.publishers, !complete); err != nil {
			f.t.Fatalf("stream %d on channels %v: %v", i, s.channels, err)
		}
		got += len(s.got)
		for _, m := range s.got {
			if m.number <= gap {
				gaps++
			}
		}
	}
	for channel := range f.names {
		if err := checkOrder(channel, f.streams, complete, !f.unordered); err != nil {
			f.t.Fatal(err)
		}
	}
	accepted, refused := 0, 0
	for _, p := range f.publishers {
		for _, channel := range p.accepted {
			for _, ok := range channel {
				if ok {
					accepted++
				} else {
					refused++
				}
			}
		}
	}
	f.t.Logf("%d streams, %d messages accepted, %d not, %d events received, %d of them gaps", len(f.streams), accepted, refused, got, gaps)
}

// await waits until every stream has a message that is not older than those that
// numbers has by publisher and channel, and calls meanwhile now and then.
func (f *fleet) await(numbers [][]int32, meanwhile func()) {
	f.t.Helper()
	begun := time.Now()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for missing := len(f.streams); missing > 0; <-ticker.C {
		if time.Since(begun) > patience {
			for i, s := range f.streams {
				for _, p := range f.publishers {
					if !s.has(p.id, numbers[p.id]) {
						f.t.Errorf("stream %d at node %d, on channels %v, has not got all of publisher %d", i, s.at.Load(), s.channels, p.id)
					}
				}
			}
			f.t.Fatalf("%d of %d streams have not got what was published in the last %v", missing, len(f.streams), patience)
		}
		meanwhile()
		missing = 0
		for _, s := range f.streams {
			for _, p := range f.publishers {
				if !s.has(p.id, numbers[p.id]) {
					missing++
					break
				}
			}
		}
	}
}

// returns is how often streams have come back.
func (f *fleet) returns() (n int32) {
	for _, s := range f.streams {
		n += s.returns.Load()
	}
	return n
}

// pause lets things go on for a while.
func (f *fleet) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-f.t.Context().Done():
	}
}

// within fails the test if f does not return in time.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
}
