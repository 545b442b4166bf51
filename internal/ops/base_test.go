package ops

import (
	"bufio"
	"slices"
	"strconv"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/backplane/link"
	"millrace/internal/handover"
	"millrace/server"
)

// grown returns the series of /metrics of millrace that only grow.
func grown(t *testing.T, n *node) map[string]float64 {
	t.Helper()
	_, text := n.ask("GET", "/metrics", "")
	series, kinds := make(map[string]float64), make(map[string]string)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 4 && fields[1] == "TYPE" {
			kinds[fields[2]] = fields[3]
			continue
		}
		if len(fields) != 2 || !strings.HasPrefix(fields[0], "millrace_") {
			continue
		}
		name, _, _ := strings.Cut(fields[0], "{")
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			if family, ok := strings.CutSuffix(name, part); ok && kinds[family] == "histogram" {
				name = family
			}
		}
		value, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if kind := kinds[name]; kind == "counter" || kind == "histogram" {
			series[fields[0]] = value
		}
	}
	return series
}

// Ensure that no metric that only grows falls over upgrades, or goes, whatever the processes
// count, and that what both brokers have counted counts once.
func TestMetricsGoOn(t *testing.T) {
	process := func() *node {
		return start(t, Config{Engine: func() link.State { return link.State{Connects: 3} }}, channels.Options{History: 2}, server.Config{Loops: 2})
	}
	work := func(n *node, events int) {
		n.subscribe("/a")
		for range events {
			n.want("POST", "/publish?channel=/a", "x", 200, `"receivers":`)
		}
		n.broker.Feed().Interrupted("/a")
	}
	before := process()
	work(before, 3)
	for i := range 3 {
		next := process()
		work(next, 2)
		was := grown(t, before)
		if len(was) < 100 {
			t.Fatalf("%d series only grow, want more", len(was))
		}
		counters, times := before.ops.Counters()
		next.ops.GoOnFrom(counters, times)
		for name, is := range grown(t, next) {
			if is < was[name] {
				t.Errorf("after %d upgrades %s is %g, and was %g", i+1, name, is, was[name])
			}
			delete(was, name)
		}
		if len(was) > 0 {
			t.Errorf("after %d upgrades there is no %v", i+1, was)
		}
		before = next
	}
	series := grown(t, before)
	for name, want := range map[string]float64{
		"millrace_streams_opened_total":           4, // one a process
		"millrace_events_published_total":         3, // those of a successor were relayed
		"millrace_messages_total":                 3,
		"millrace_engine_reconnects_total":        8, // 2 of each
		`millrace_gaps_total{reason="backplane"}`: 1,
	} {
		if got := series[name]; got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
}

// Ensure that what cannot be added is left out: metrics and labels of another version.
func TestMetricsOfAnotherVersion(t *testing.T) {
	n := start(t, Config{}, channels.Options{}, server.Config{Loops: 1})
	n.ops.GoOnFrom([]handover.Counter{
		{Name: "gone_total", Value: 3},
		{Name: "streams_opened_total", Labels: []string{"x"}, Value: 3},
		{Name: "streams_opened_total", Value: 5},
		{Name: "connections_closed_total", Labels: []string{"a_former_reason"}, Value: 7},
	}, []handover.Times{{Name: "fanout_seconds", Counts: []uint64{1}}, {Name: "gone_seconds"}})
	series := grown(t, n)
	for name, want := range map[string]float64{
		"millrace_streams_opened_total":                               5,
		`millrace_connections_closed_total{reason="a_former_reason"}`: 7,
		`millrace_fanout_seconds_count`:                               0,
	} {
		if got, ok := series[name]; !ok || got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	counters, _ := n.ops.Counters()
	if !slices.ContainsFunc(counters, func(c handover.Counter) bool { return slices.Equal(c.Labels, []string{"a_former_reason"}) }) {
		t.Error("what this process has not counted does not go on")
	}
}
