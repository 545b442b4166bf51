package bench

import (
	"strings"
	"testing"

	"millrace/bench/report"
)

// Ensure that the times which a million streams may take are those of each
// million, where there are more.
func TestTimesScaleWithStreams(t *testing.T) {
	for _, tt := range []struct {
		streams    int
		open, last float64 // seconds
		passed     bool
	}{
		{1_000_000, 120, 25, true},
		{1_000_000, 121, 25, false},
		{1_000_000, 120, 26, false},
		{2_000_000, 240, 50, true},
		{2_000_000, 241, 50, false},
		{2_000_000, 240, 51, false},
		{1_500_000, 180, 37.5, true},
		{1_500_000, 181, 37.5, false},
	} {
		l := Lab{Document: &report.Document{Results: []*report.Result{
			{
				Server: NameMillrace, Streams: tt.streams, Connect: &report.Connect{Seconds: tt.open, RSSBytes: 90}, Close: &report.Close{KernelPercent: 99},
				Broadcasts: []report.Broadcast{{Deliveries: tt.streams, Seconds: tt.last, PerSecond: 100_000}},
			},
			{Server: NameFloor, Streams: tt.streams, Broadcasts: []report.Broadcast{{Deliveries: tt.streams, PerSecond: 100_000}}},
		}}}
		l.judgeMillion(tt.streams, 1)
		if got := l.Document.Passed(); got != tt.passed {
			t.Errorf("%+v: passed %v, verdicts %+v", tt, got, l.Document.Verdicts)
		}
		for _, v := range l.Document.Verdicts {
			if strings.HasPrefix(v.What, "deliveries per second") && !strings.HasSuffix(v.What, "the floor's before") {
				t.Errorf("with the floor measured once, the verdict is on %q", v.What)
			}
		}
	}
}
