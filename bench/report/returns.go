package report

import (
	"errors"
	"image/color"
	"io"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Return is how the clients of nodes that went away came back to others. Rates
// are of one node; seconds are from the moment at which the nodes began to go.
type Return struct {
	Clients        int      `json:"clients"`
	HalfBack       float64  `json:"half_back_seconds"`
	MostBack       float64  `json:"99_percent_back_seconds"`
	AllBack        float64  `json:"all_back_seconds"`
	Without        int      `json:"most_without_a_stream"`
	Outage         Summary  `json:"without_a_stream_seconds"` // of a client
	PeakArrivals   int      `json:"peak_arrivals_per_second"`
	PeakTurnedAway int      `json:"peak_turned_away_per_second"`
	TurnedAway     int      `json:"turned_away"`
	Dropped        int      `json:"accept_queue_full"`
	QueueSeconds   float64  `json:"longest_in_accept_queue_seconds"`
	Attempts       float64  `json:"attempts_per_client"`
	MostAttempts   int      `json:"most_attempts"`
	Nodes          int      `json:"nodes_that_stay"`
	Course         []Moment `json:"course"`
}

// Moment is a second of a return, its figures those of all nodes together.
type Moment struct {
	Second     float64 `json:"second"` // at its end
	Arrivals   int     `json:"arrivals"`
	Accepted   int     `json:"accepted"`
	TurnedAway int     `json:"turned_away"`
	Dropped    int     `json:"accept_queue_full"`
	Without    int     `json:"without_a_stream"`
}

// Rolling is what a rolling restart leaves behind, where the balancer chooses
// nodes in some way. The unit is a node's fair share of the streams.
type Rolling struct {
	Peak     float64 `json:"peak"` // of any node, at any time
	Fullest  float64 `json:"fullest"`
	Emptiest float64 `json:"emptiest"`
	Rush     float64 `json:"most_that_came_to_one"` // while others were drained
}

// returns has the results that are returns side by side.
func (d *Document) returns() Table {
	t := d.table("Clients of lost nodes come back (simulated)", isReturn, []figure{
		ofReturn("seconds until 50 %, 99 %, all are back", func(r *Return) string {
			return Figure(r.HalfBack) + ", " + Figure(r.MostBack) + ", " + Figure(r.AllBack)
		}),
		ofReturn("most clients without a stream", func(r *Return) string { return Count(r.Without) }),
		ofReturn("seconds without a stream: p50, p99, max", func(r *Return) string { return r.Outage.String() }),
		ofReturn("a node's fullest second: connections", func(r *Return) string { return Count(r.PeakArrivals) }),
		ofReturn("of them turned away", func(r *Return) string { return Count(r.PeakTurnedAway) }),
		ofReturn("longest wait in an accept queue, seconds", func(r *Return) string { return Figure(r.QueueSeconds) }),
		ofReturn("SYNs that found it full", func(r *Return) string { return Count(r.Dropped) }),
		ofReturn("attempts of a client: mean, most", func(r *Return) string { return Figure(r.Attempts) + ", " + Count(r.MostAttempts) }),
	})
	return t.named(d.Results, isReturn)
}

// rolling has the results that are of rolling restarts side by side.
func (d *Document) rolling() Table {
	isRolling := func(r *Result) bool { return r.Rolling != nil }
	return d.table("Nodes restarted one after the other (computed): streams of a node, by its fair share", isRolling, []figure{
		{"the most at any time", func(r *Result) string { return Figure(r.Rolling.Peak) }},
		{"the fullest at the end", func(r *Result) string { return Figure(r.Rolling.Fullest) }},
		{"the emptiest at the end", func(r *Result) string { return Figure(r.Rolling.Emptiest) }},
		{"the most that came to one in one drain", func(r *Result) string { return Figure(r.Rolling.Rush) }},
	}).named(d.Results, isRolling)
}

// named has its columns named after the scenarios alone: all are of the same size.
func (t Table) named(results []*Result, has func(*Result) bool) Table {
	t.Columns = nil
	for _, r := range results {
		if has(r) {
			t.Columns = append(t.Columns, r.Server)
		}
	}
	return t
}

// ofReturn is a row of a table of returns.
func ofReturn(name string, of func(*Return) string) figure {
	return figure{name, func(r *Result) string { return of(r.Return) }}
}

func isReturn(r *Result) bool { return r.Return != nil }

// returnPlots draws the course of the returns; none when there are none.
func (d *Document) returnPlots() []*plot.Plot {
	arrivals := d.course("Connections to a node, per second", func(r *Return, m Moment) float64 {
		return max(float64(m.Arrivals)/float64(r.Nodes), 1)
	})
	without := d.course("Clients without a stream", func(_ *Return, m Moment) float64 { return float64(m.Without) })
	if arrivals == nil {
		return nil
	}
	arrivals.Y.Min, arrivals.Y.Scale, arrivals.Y.Tick.Marker = 1, plot.LogScale{}, powers{}
	arrivals.Legend.Left, without.Legend.Left = false, false
	return []*plot.Plot{arrivals, without}
}

// course draws a figure of the returns over time, the first on top; nil when
// there are none.
func (d *Document) course(title string, of func(*Return, Moment) float64) *plot.Plot {
	p, lines := newPlot("seconds", ""), []plot.Plotter(nil)
	p.Title.Text, p.X.Min, p.Y.Tick.Marker = title, 0, counts{}
	for i, r := range d.Results {
		if !isReturn(r) {
			continue
		}
		var points plotter.XYs
		for _, m := range r.Return.Course {
			points = append(points, plotter.XY{X: m.Second, Y: of(r.Return, m)})
		}
		if line := newLine(i, points); line != nil {
			lines = append(lines, line)
			p.Legend.Add(r.Server, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	slices.Reverse(lines)
	p.Add(lines...)
	return p
}

// powers are logarithmic ticks with commas between thousands.
type powers struct{}

// Ticks returns ticks for an axis.
func (powers) Ticks(low, high float64) []plot.Tick {
	ticks := plot.LogTicks{}.Ticks(low, high)
	for i, t := range ticks {
		if t.Label != "" {
			ticks[i].Label = Count(int(t.Value + 0.5))
		}
	}
	return ticks
}

// WriteReturnSVG writes the plots of the returns, one above the other, as a file.
func (d *Document) WriteReturnSVG(w io.Writer) error {
	plots := d.returnPlots()
	if len(plots) == 0 {
		return errors.New("no return to draw")
	}
	canvas := vgsvg.New(width, vg.Length(len(plots))*height)
	paper := draw.New(canvas)
	paper.SetColor(color.White)
	paper.Fill(paper.Rectangle.Path())
	margin := vg.Points(8)
	tiles := draw.Tiles{Rows: len(plots), Cols: 1, PadTop: margin, PadBottom: margin, PadLeft: 2 * margin, PadRight: margin, PadY: margin}
	rows := make([][]*plot.Plot, len(plots))
	for i, p := range plots {
		rows[i] = []*plot.Plot{p}
	}
	for i, row := range plot.Align(rows, tiles, paper) {
		plots[i].Draw(row[0])
	}
	_, err := canvas.WriteTo(w)
	return err
}
