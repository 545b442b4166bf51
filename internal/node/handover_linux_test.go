package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"millrace/internal/handover"
)

// mortal is a process that ends when it is killed.
type mortal struct{ gone chan struct{} }

func (m mortal) Gone() <-chan struct{} { return m.gone }
func (m mortal) Kill()                 {}

// Ensure that one answer decides whether there is a way back, wherever it lies when a predecessor
// begins to doubt, and that the successor learns whether it came.
func TestSwitchIsDecided(t *testing.T) {
	kinds := func(kinds ...handover.Kind) []handover.Kind { return kinds }
	for name, tt := range map[string]struct {
		ordered  bool
		before   []handover.Kind // sent by the successor before the doubt
		unserved bool            // nobody reads until then
		failed   bool            // the upgrade has failed meanwhile
		end      bool            // the successor's end has been closed
		want     bool
	}{
		"it has said nothing":          {ordered: true, before: kinds(handover.KindBeat)},
		"it has said so":               {ordered: true, before: kinds(handover.KindBeat, handover.KindSwitched), want: true},
		"and ended":                    {ordered: true, before: kinds(handover.KindSwitched), end: true, want: true},
		"it lies unread":               {ordered: true, before: kinds(handover.KindSwitched), unserved: true, want: true},
		"unread, of a dead process":    {ordered: true, before: kinds(handover.KindBeat, handover.KindSwitched), unserved: true, end: true, want: true},
		"the upgrade has failed":       {ordered: true, before: kinds(handover.KindSwitched), unserved: true, failed: true, want: true},
		"failed without it":            {ordered: true, before: kinds(handover.KindBeat), failed: true},
		"it has refused":               {ordered: true, before: kinds(handover.KindRefuse)},
		"trouble comes after it":       {ordered: true, before: kinds(handover.KindSwitched, handover.KindRefuse), want: true},
		"nobody has told it to switch": {before: kinds(handover.KindSwitched)},
	} {
		here, there, err := handover.Pair()
		if err != nil {
			t.Fatal(err)
		}
		other := mortal{make(chan struct{})}
		p := &predecessor{Node: &Node{opts: Options{Logger: slog.New(slog.DiscardHandler)}}, answers: make(chan handover.Frame, maxAnswers), heard: make(chan struct{}), ordered: tt.ordered}
		p.exchange = begin(context.Background(), handover.NewConn(here), other)
		successor := handover.NewConn(there)
		if !tt.unserved {
			p.tasks.Go(p.hear)
		}
		for _, kind := range tt.before {
			var payload []byte
			if kind == handover.KindRefuse {
				payload = handover.Encode(handover.Oldest, &handover.Refusal{Why: []string{"trouble"}})
			}
			if err := successor.Send(kind, payload); err != nil {
				t.Fatal(err)
			}
		}
		if tt.end {
			close(other.gone)
			successor.Close()
		}
		if tt.failed {
			p.fail(errors.New("a failure"))
		}
		if tt.unserved {
			p.tasks.Go(p.hear)
		}
		if got := p.isSwitched(); got != tt.want {
			t.Errorf("%s: switched %t, want %t", name, got, tt.want)
		}
		if !tt.end {
			if err := successor.Send(handover.KindSwitched, nil); err == nil {
				t.Errorf("%s: the successor may say so later", name)
			}
			close(other.gone)
			successor.Close()
		}
		p.end(nil)
	}
}

// Ensure that an answer which is there counts, whatever has happened since.
func TestAnswersComeFirst(t *testing.T) {
	for range 100 {
		p := &predecessor{answers: make(chan handover.Frame, 1), exchange: new(exchange)}
		p.ctx, p.fail = context.WithCancelCause(context.Background())
		p.answers <- handover.Frame{Kind: handover.KindSwitched}
		p.fail(errors.New("the successor is silent"))
		if _, err := p.expect(handover.KindSwitched, time.Nanosecond); err != nil {
			t.Fatal(err)
		}
	}
}
