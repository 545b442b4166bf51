package report

import (
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis      axis
		low, high float64
		want      string
	}{
		{counts, 0, 20_000, "0, 5 k, 10 k, 15 k, 20 k"},
		{counts, 0, 1_000_000, "0, 0.5 M, 1 M"},
		{counts, 0, 2_100_000, "0, 1 M, 2 M"},
		{counts, 0, 9, "0, 5"},
		{seconds, 0, 47, "0, 20 s, 40 s"},
		{seconds, 0, 0.4, "0, 0.1 s, 0.2 s, 0.3 s, 0.4 s"},
		{mebibytes, 0, 130, "0, 50 MiB, 100 MiB"},
		{mebibytes, 0, 4096, "0, 1 GiB, 2 GiB, 3 GiB, 4 GiB"},
		{micros, 0, 12.5, "0, 5 µs, 10 µs"},
		{percents, 0, 100, "0, 50 %, 100 %"},
		{counts, 0, 0, ""},
	} {
		var labels []string
		for _, tick := range c.axis.Ticks(c.low, c.high) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, ", "); got != c.want {
			t.Errorf("ticks from %v to %v %v: %s, want %s", c.low, c.high, c.axis[0].name, got, c.want)
		}
	}
}

func TestDecades(t *testing.T) {
	var labels []string
	for _, tick := range (decades{millis}).Ticks(0.01, 10_000) {
		if tick.Label != "" {
			labels = append(labels, tick.Label)
		}
	}
	if got, want := strings.Join(labels, ", "), "10 µs, 100 µs, 1 ms, 10 ms, 100 ms, 1 s, 10 s"; got != want {
		t.Errorf("decades: %s, want %s", got, want)
	}
}

func TestAxisLabel(t *testing.T) {
	for _, c := range []struct {
		axis axis
		v    float64
		want string
	}{
		{counts, 1_234_567, "1.23 M"}, {counts, 950, "950"}, {millis, 0.25, "250 µs"}, {millis, 12, "12.0 ms"}, {millis, 2500, "2.50 s"},
		{mebibytes, 96, "96.0 MiB"}, {mebibytes, 4300, "4.20 GiB"}, {micros, 10.1, "10.1 µs"}, {counts, 0, "0"},
	} {
		if got := c.axis.Label(c.v); got != c.want {
			t.Errorf("%v %s is labelled %q, want %q", c.v, c.axis[0].name, got, c.want)
		}
	}
}
