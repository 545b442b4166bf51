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
				Server: NameMillrace, Streams: tt.streams, Connect: &report.Connect{Seconds: tt.open}, Close: &report.Close{KernelPercent: 99},
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

// Ensure that memory is held against the bound of its protocol and of its number of streams.
func TestMemoryVerdicts(t *testing.T) {
	const rest = rssBase / 20_000 // what the process itself may take, by 20,000 streams
	for _, tt := range []struct {
		protocol Protocol
		streams  int
		bytes    float64 // resident, by streams
		passed   bool
	}{
		{Plain, 1_000_000, 100, true},
		{Plain, 1_000_000, 101, false},
		{Plain, 20_000, 149 + rest, true},
		{Plain, 20_000, 152 + rest, false},
		{TLS, 1_000_000, 300, true},
		{TLS, 1_000_000, 301, false},
		{TLS, 200_000, 400, true},
		{TLS, 200_000, 401, false},
		{TLS, 20_000, 449 + rest, true},
		{TLS, 20_000, 452 + rest, false},
	} {
		l := Lab{Document: &report.Document{}, Protocol: tt.protocol}
		resident := megabytes(int(tt.bytes) * tt.streams)
		l.judgeMemory(&report.Result{Connect: &report.Connect{RSSMB: resident}, Close: &report.Close{FullRSSMB: resident}}, tt.streams)
		if v := l.Document.Verdicts; len(v) != 1 || v[0].Passed != tt.passed {
			t.Errorf("%+v: %+v, want passed %v", tt, v, tt.passed)
		}
	}
}

// Ensure that protocols are compared round by round, and each with events of one size.
func TestProtocolVerdicts(t *testing.T) {
	rounds := func(server string, payload int, micros ...float64) *report.Result {
		r := &report.Result{Server: server, Streams: protocolStreams, Payload: payload}
		for _, m := range micros {
			r.Broadcasts = append(r.Broadcasts, report.Broadcast{ServerMicros: m})
		}
		return r
	}
	l := Lab{Load: Load{PayloadSize: 100}, Document: &report.Document{Results: []*report.Result{
		rounds("millrace", 1000, 1, 1, 1),
		rounds("millrace", 100, 10, 20, 30), // something else disturbs more and more
		rounds("millrace+tls", 100, 13, 25, 60),
		rounds("millrace+h2x6", 100, 3, 7, 10),
		rounds("haproxy+tls", 100, 26, 46, 100),
	}}}
	l.judgeProtocols(protocolStreams)
	for i, want := range []string{"1.30", "0.33", "1.84"} {
		if v := l.Document.Verdicts; len(v) != 3 || !strings.HasPrefix(v[i].Got, want+" (") || v[i].Passed != (i != 1) {
			t.Fatalf("verdicts %+v, want the %dth with %s", v, i, want)
		}
	}
	if l.judgeProtocols(protocolStreams - 1); len(l.Document.Verdicts) != 3 {
		t.Errorf("with fewer streams there are verdicts: %+v", l.Document.Verdicts[3:])
	}
}
