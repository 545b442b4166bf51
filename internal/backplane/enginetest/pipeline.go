package enginetest

import (
	"slices"
	"testing"
	"time"
)

// pipeline publishes over an engine that is far away, has stopped answering, or is
// gone: a pipeline is one for the engine too, its replies leave as they come, and
// a publisher is told at once if the engine is known to be gone.
func (s *Suite) pipeline(t *testing.T, program string) {
	const messages = 1000
	s.Engine.Start(t)
	defer s.Engine.Stop(t)
	proxy := StartProxy(t, s.Engine.Dial)
	node := StartNode(t, program, append([]string{"--backplane", s.Engine.URL(proxy.Address())}, s.Args...)...)
	node.awaitEngine()
	p := &publisher{node: node, channels: []string{"/pipeline"}}
	defer p.close()
	proxy.slow(2 * time.Millisecond)
	var singles []time.Duration
	for range 20 {
		_, took, err := p.pipeline(t.Context(), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		singles = append(singles, took)
	}
	slices.Sort(singles)
	single := singles[len(singles)/2]
	first, all, err := p.pipeline(t.Context(), 0, messages)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("over an engine that is 2 ms away: one event takes %v, %d in a pipeline %v, the first of them %v", single, messages, all, first)
	if all > messages*single/5 {
		t.Errorf("%d events in a pipeline take %v, and one %v: want them not to wait for each other", messages, all, single)
	}
	if first > all/2 {
		t.Errorf("the first reply of a pipeline comes after %v, the last after %v: want them to come as they are there", first, all)
	}

	proxy.slow(0)
	proxy.stall(true)
	_, one, err := p.pipeline(t.Context(), 0, 1)
	if err == nil || one > maxRefusal {
		t.Errorf("publishing while the engine does not answer: %v after %v, want an error within %v", err, one, maxRefusal)
	}
	_, five, err := p.pipeline(t.Context(), 0, 5)
	if err == nil || five > 2*one {
		t.Errorf("five in a pipeline while the engine does not answer: %v after %v, want errors in the time of one, %v", err, five, one)
	}
	proxy.stall(false)
	within(t, "the engine is heard again", func() {
		for err := error(errRefused); err != nil; {
			_, _, err = p.pipeline(t.Context(), 0, 1)
		}
	})
	s.Engine.Stop(t)
	within(t, "the engine is known to be gone", func() {
		for gone := time.Duration(1 << 62); gone > one/10; {
			_, gone, err = p.pipeline(t.Context(), 0, 1)
		}
	})
	if err == nil {
		t.Error("publishing while the engine is gone: no error")
	}
	s.Engine.Start(t)
	within(t, "the engine is back", func() {
		for err := error(errRefused); err != nil; {
			_, _, err = p.pipeline(t.Context(), 0, 1)
		}
	})
}
