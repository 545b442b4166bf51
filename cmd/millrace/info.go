package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"millrace/channels"
)

// figure is a line of INFO.
type figure struct {
	name  string
	value any
}

// infoSections are the sections of INFO that have the figures of a node, those that
// /metrics of the ops port has.
var infoSections = []struct {
	name    string
	figures func(*node) []figure
}{
	{"Millrace", streamFigures},
	{"Channels", func(n *node) []figure {
		b := n.broker.Figures()
		figures := []figure{
			{"channels", b.Channels},
			{"channels_refused", b.Refused},
			{"events_published", n.broker.Publishing().Published},
			{"messages", b.Messages},
			{"events_undecoded", b.Undecoded},
			{"history_bytes", b.Kept},
			{"history_bytes_max", b.MaxKept},
		}
		for reason, count := range b.Gaps[1:] {
			figures = append(figures, figure{"gaps_" + channels.Gap(reason+1).String(), count})
		}
		return figures
	}},
	{"Engine", engineFigures},
	{"Ops", opsFigures},
	{"Latency", func(n *node) []figure {
		s := n.public.Stats()
		return []figure{
			{"fanouts", s.Fanout.Count()},
			{"fanout_p50_usec", s.Fanout.Quantile(0.5).Microseconds()},
			{"fanout_p99_usec", s.Fanout.Quantile(0.99).Microseconds()},
			{"loop_turn_p50_usec", s.Step.Quantile(0.5).Microseconds()},
			{"loop_turn_p99_usec", s.Step.Quantile(0.99).Microseconds()},
		}
	}},
}

// appendInfo appends a section of INFO, in the form that admin.Config.Info asks for.
func (n *node) appendInfo(dst []byte, section string) []byte {
	from := len(dst)
	for _, s := range infoSections {
		if section != "" && section != strings.ToLower(s.name) {
			continue
		}
		if len(dst) > from {
			dst = append(dst, "\r\n"...)
		}
		dst = fmt.Appendf(dst, "# %s\r\n", s.name)
		for _, f := range s.figures(n) {
			dst = fmt.Appendf(dst, "%s:%v\r\n", f.name, f.value)
		}
	}
	return dst
}

func streamFigures(n *node) []figure {
	s := n.public.Stats()
	eventsPerWrite := 0.0
	if s.Writes > 0 {
		eventsPerWrite = float64(s.Deliveries) / float64(s.Writes)
	}
	figures := []figure{
		{"connections", s.Connections},
		{"connections_closing", s.Lingering},
		{"streams", s.Streams},
		{"streams_behind", s.Behind},
		{"streams_opened", s.Opened},
		{"connections_accepted", s.Accepted},
		{"accept_pauses", s.AcceptPauses},
		{"requests_refused", s.Refused},
		{"deliveries", s.Deliveries},
		{"writes", s.Writes},
		{"events_per_write", fmt.Sprintf("%.2f", eventsPerWrite)},
		{"bytes_written", s.Bytes},
		{"keepalives", s.Pings},
		{"log_lines_dropped", n.logs.Dropped()},
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Closed)) {
		figures = append(figures, figure{"closed_" + strings.ReplaceAll(reason, " ", "_"), s.Closed[reason]})
	}
	return figures
}

// engineFigures are those of the engine between nodes, if there is one.
func engineFigures(n *node) []figure {
	if n.backplane == nil {
		return []figure{{"engine", "none"}}
	}
	s, p := n.backplane.State(), n.broker.Publishing()
	up := 0
	if s.Up {
		up = 1
	}
	return []figure{
		{"engine", s.Engine},
		{"engine_up", up},
		{"engine_since", s.Since.Unix()},
		{"engine_reconnects", max(0, s.Connects-1)},
		{"engine_publish_failures", p.Failed},
		{"engine_publish_usec", p.Times.Sum.Microseconds()},
	}
}

// opsFigures are those of the ops port, if there is one.
func opsFigures(n *node) []figure {
	if n.ops == nil {
		return []figure{{"ops", off}}
	}
	s := n.ops.Stats()
	return []figure{
		{"ops_connections", s.Open},
		{"ops_connections_max", s.Most},
		{"ops_connections_displaced", s.Displaced},
		{"ops_requests_rejected", s.Rejected},
		{"ops_requests_refused", s.Refused},
		{"ops_wrong_tokens", s.WrongTokens},
		{"ops_streams", s.Streams},
	}
}

// slowReadersTimeout is how long a loop may take to say who is slow.
const slowReadersTimeout = time.Second

// inField keeps a channel's name within its field.
var inField = strings.NewReplacer("%", "%25", " ", "%20", ",", "%2C")

// appendSlowReaders appends the n worst, in the form of admin.Config.SlowReaders.
func (n *node) appendSlowReaders(dst []byte, most int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), slowReadersTimeout)
	defer cancel()
	readers, err := n.public.SlowReaders(ctx, most)
	for _, r := range readers {
		names := make([]string, len(r.Channels))
		for i, name := range r.Channels {
			names[i] = inField.Replace(name)
		}
		lapped := 0
		if r.Lapped {
			lapped = 1
		}
		dst = fmt.Appendf(dst, "addr=%s channels=%s loop=%d behind=%d lapped=%d seconds=%.3f\n",
			r.Address, strings.Join(names, ","), r.Loop, r.Missing, lapped, r.Behind.Seconds())
	}
	return dst, err
}
