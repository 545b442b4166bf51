package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"millrace/server"
)

// infoSection returns the section of INFO that has the figures of the public
// port, in the form that admin.Config.Info asks for.
func infoSection(stats func() server.Stats) func(dst []byte, section string) []byte {
	return func(dst []byte, section string) []byte {
		if section != "" && section != "millrace" {
			return dst
		}
		return appendStats(append(dst, "# Millrace\r\n"...), stats())
	}
}

// appendStats appends s as lines of "name:value".
func appendStats(dst []byte, s server.Stats) []byte {
	eventsPerWrite := 0.0
	if s.Writes > 0 {
		eventsPerWrite = float64(s.Deliveries) / float64(s.Writes)
	}
	for _, line := range []struct {
		name  string
		value any
	}{
		{"connections", s.Connections},
		{"streams", s.Streams},
		{"streams_behind", s.Behind},
		{"connections_accepted", s.Accepted},
		{"accept_pauses", s.AcceptPauses},
		{"requests_refused", s.Refused},
		{"deliveries", s.Deliveries},
		{"writes", s.Writes},
		{"events_per_write", fmt.Sprintf("%.2f", eventsPerWrite)},
		{"bytes_written", s.Bytes},
		{"keepalives", s.Pings},
	} {
		dst = fmt.Appendf(dst, "%s:%v\r\n", line.name, line.value)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Closed)) {
		dst = fmt.Appendf(dst, "closed_%s:%d\r\n", strings.ReplaceAll(reason, " ", "_"), s.Closed[reason])
	}
	return dst
}
