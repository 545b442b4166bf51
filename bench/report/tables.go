package report

import "fmt"

// Table has the results side by side, as far as they have something in common.
type Table struct {
	Title   string
	Columns []string // names of results
	Rows    []Row
}

// Row is one figure of all the results of a table.
type Row struct {
	Name  string
	Cells []string
}

// Tables returns the figures of the document as tables.
func (d *Document) Tables() []Table {
	tables := []Table{
		d.table("Opening", func(r *Result) bool { return r.Connect != nil }, []figure{
			{"seconds", func(r *Result) string { return Figure(r.Connect.Seconds) }},
			{"streams per second", func(r *Result) string { return Figure(r.Connect.PerSecond) }},
			{"server's processor time of a stream, us", func(r *Result) string { return Figure(r.Connect.ServerMicros) }},
			{"connect to response, ms: p50, p99, max", func(r *Result) string { return r.Connect.LatencyMS.String() }},
			{"server's resident memory, MiB", func(r *Result) string { return Figure(r.Connect.RSSMB) }},
			{"of it before the first stream, MiB", func(r *Result) string { return Figure(r.Connect.BaseRSSMB) }},
			{"resident bytes by streams, all included", func(r *Result) string { return Figure(r.Connect.RSSBytes) }},
			{"anonymous memory, MiB", func(r *Result) string { return Figure(r.Connect.AnonMB) }},
			{"anonymous bytes that a stream has brought", func(r *Result) string { return Figure(r.Connect.GrownAnonBytes) }},
			{"kernel's bytes of a stream, both ends", func(r *Result) string { return Figure(r.Connect.KernelBytes) }},
		}),
		d.table("One event to all streams (medians)", func(r *Result) bool { return len(r.Broadcasts) > 0 }, []figure{
			{"events", func(r *Result) string { return Count(len(r.Broadcasts)) }},
			{"seconds to the last stream", median(func(b Broadcast) float64 { return b.Seconds })},
			{"deliveries per second", median(func(b Broadcast) float64 { return b.PerSecond })},
			{"server's processor time of a delivery, us", median(func(b Broadcast) float64 { return b.ServerMicros })},
			{"clients' processor time of a delivery, us", median(func(b Broadcast) float64 { return b.ClientMicros })},
			{"bytes of a delivery", median(func(b Broadcast) float64 { return b.Bytes })},
			{"latency p50, ms", median(func(b Broadcast) float64 { return b.LatencyMS.P50 })},
			{"latency p99, ms", median(func(b Broadcast) float64 { return b.LatencyMS.P99 })},
			{"latency max, ms", median(func(b Broadcast) float64 { return b.LatencyMS.Max })},
		}),
		d.table("Idle", func(r *Result) bool { return r.Idle != nil }, []figure{
			{"seconds", func(r *Result) string { return Figure(r.Idle.Seconds) }},
			{"server's processor time, % of one", func(r *Result) string { return Figure(r.Idle.ServerPercent) }},
			{"pings", func(r *Result) string { return Count(r.Idle.Pings) }},
			{"pings off their phase, ms: p50, p99, max", func(r *Result) string { return r.Idle.PingsOffMS.String() }},
		}),
		d.table("Flood", func(r *Result) bool { return r.Flood != nil }, []figure{
			{"events", func(r *Result) string { return Count(r.Flood.Events) }},
			{"seconds to the last byte", func(r *Result) string { return Figure(r.Flood.Seconds) }},
			{"deliveries per second", func(r *Result) string { return Figure(r.Flood.PerSecond) }},
			{"server's processor time of a delivery, us", func(r *Result) string { return Figure(r.Flood.ServerMicros) }},
			{"events per write", func(r *Result) string { return Figure(r.Flood.EventsPerWrite) }},
			{"lag of an event to the last stream, ms: p50, p99, max", func(r *Result) string { return r.Flood.LagMS.String() }},
		}),
		d.table("Streams that come and go", func(r *Result) bool { return r.Churn != nil }, []figure{
			{"replaced", func(r *Result) string { return Count(r.Churn.Replaced) }},
			{"per second", func(r *Result) string { return Figure(r.Churn.PerSecond) }},
			{"server's processor time of a stream, us", func(r *Result) string { return Figure(r.Churn.ServerMicros) }},
			{"server's resident memory has grown by, MiB", func(r *Result) string { return Figure(r.Churn.GrownRSSMB) }},
		}),
		d.table("Everybody reconnects at once", func(r *Result) bool { return r.Storm != nil }, []figure{
			{"seconds", func(r *Result) string { return Figure(r.Storm.Seconds) }},
			{"streams per second", func(r *Result) string { return Figure(r.Storm.PerSecond) }},
			{"connect to response, ms: p50, p99, max", func(r *Result) string { return r.Storm.LatencyMS.String() }},
			{"server's processor time of a stream, us", func(r *Result) string { return Figure(r.Storm.ServerMicros) }},
		}),
		d.upgrades(),
		d.returns(),
		d.rolling(),
		d.table("The end", func(r *Result) bool { return r.Close != nil || r.GC != nil }, []figure{
			{"server's resident memory before, MiB", ofClose(func(c *Close) string { return Figure(c.FullRSSMB) })},
			{"seconds to close all", ofClose(func(c *Close) string { return Figure(c.Seconds) })},
			{"server's resident memory after, MiB", ofClose(func(c *Close) string { return Figure(c.RSSMB) })},
			{"kernel's memory that came back, %", ofClose(func(c *Close) string { return Figure(c.KernelPercent) })},
			{"longest pause of the garbage collector, ms", ofGC(func(g *GC) string { return fmt.Sprintf("%s of %d", Figure(g.MaxMS), g.Pauses) })},
			{"of those with all streams open, ms", ofGC(func(g *GC) string { return fmt.Sprintf("%s of %d", Figure(g.OpenMaxMS), g.OpenPauses) })},
		}),
	}
	var some []Table
	for _, t := range tables {
		if len(t.Columns) > 0 {
			some = append(some, t)
		}
	}
	return some
}

// figure is a row of a table, for any result.
type figure struct {
	name string
	of   func(*Result) string
}

// table has the figures of the results that have them.
func (d *Document) table(title string, has func(*Result) bool, figures []figure) Table {
	t := Table{Title: title}
	for _, f := range figures {
		t.Rows = append(t.Rows, Row{Name: f.name})
	}
	for _, r := range d.Results {
		if !has(r) {
			continue
		}
		t.Columns = append(t.Columns, r.Name())
		for i, f := range figures {
			t.Rows[i].Cells = append(t.Rows[i].Cells, f.of(r))
		}
	}
	return t
}

func median(of func(Broadcast) float64) func(*Result) string {
	return func(r *Result) string { return Figure(r.Median(of)) }
}

func ofClose(of func(*Close) string) func(*Result) string {
	return func(r *Result) string {
		if r.Close == nil {
			return ""
		}
		return of(r.Close)
	}
}

func ofGC(of func(*GC) string) func(*Result) string {
	return func(r *Result) string {
		if r.GC == nil {
			return ""
		}
		return of(r.GC)
	}
}

func (s Summary) String() string {
	return fmt.Sprintf("%s, %s, %s", Figure(s.P50), Figure(s.P99), Figure(s.Max))
}
