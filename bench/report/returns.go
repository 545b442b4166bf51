package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
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

// Rolling has the shares after a rolling restart, if the balancer chooses
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
func (d *Document) returnPlots() []*figures {
	arrivals := d.course("Connections to a node, per second", func(r *Return, m Moment) float64 {
		return max(float64(m.Arrivals)/float64(r.Nodes), 1)
	})
	without := d.course("Clients without a stream", func(_ *Return, m Moment) float64 { return float64(m.Without) })
	if arrivals == nil {
		return nil
	}
	arrivals.Y.Min, arrivals.Y.Scale, arrivals.Y.Tick.Marker = 1, plot.LogScale{}, decades{counts}
	arrivals.Y.Max = math.Pow(10, math.Ceil(math.Log10(arrivals.Y.Max)))
	without.Y.Min = 0
	over(&without.Y, counts)
	return []*figures{arrivals, without}
}

// course draws a figure of the returns over time, the first on top; nil when
// there are none.
func (d *Document) course(title string, of func(*Return, Moment) float64) *figures {
	f, lines := newPlot(title), []plot.Plotter(nil)
	for _, r := range d.Results {
		if !isReturn(r) {
			continue
		}
		var points plotter.XYs
		for _, m := range r.Return.Course {
			points = append(points, plotter.XY{X: m.Second, Y: of(r.Return, m)})
		}
		if line := newLine(len(f.names), points); line != nil {
			lines = append(lines, line)
			f.names = append(f.names, r.Server)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	slices.Reverse(lines)
	f.Add(lines...)
	f.X.Min = 0
	over(&f.X, seconds)
	return f
}

// sheet is the style of a plot that is a file: it looks right on light and dark pages.
const sheet = `<style>
text { font-family: Arial, Helvetica, 'Liberation Sans', sans-serif !important }
@media (prefers-color-scheme: dark) {
	text { fill: #c6d0da !important }
	path[style*="E3E8ED"] { stroke: #38434e !important }
}
</style>
`

// WriteReturnSVG writes the plots of the returns, one above the other and with the
// names of their lines beside, as a file.
func (d *Document) WriteReturnSVG(w io.Writer) error {
	plots := d.returnPlots()
	if len(plots) == 0 {
		return errors.New("no return to draw")
	}
	const names, title, margin = 110, 18, 6 // points beside, above and around each plot
	canvas := vgsvg.New(width+vg.Points(names), vg.Length(len(plots))*(height+vg.Points(title)))
	paper := draw.New(canvas)
	style := draw.TextStyle{Color: textInk, Font: plots[0].X.Tick.Label.Font, Handler: plots[0].X.Tick.Label.Handler}
	for i, p := range plots {
		top := paper.Max.Y - vg.Length(i)*(height+vg.Points(title))
		tile := draw.Canvas{Canvas: paper.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: vg.Points(margin), Y: top - height - vg.Points(title) + vg.Points(margin)},
			Max: vg.Point{X: width, Y: top - vg.Points(title)},
		}}
		p.Draw(tile)
		paper.FillText(style, vg.Point{X: tile.Min.X, Y: top - vg.Points(title-margin)}, p.title)
		for j, name := range p.names {
			y := tile.Max.Y - vg.Points(float64(12+14*j))
			x := width + vg.Points(8)
			paper.SetColor(ink(j))
			paper.Fill(vg.Rectangle{Min: vg.Point{X: x, Y: y}, Max: vg.Point{X: x + vg.Points(10), Y: y + vg.Points(3)}}.Path())
			paper.FillText(style, vg.Point{X: x + vg.Points(14), Y: y - vg.Points(1.5)}, name)
		}
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return err
	}
	head, body, _ := bytes.Cut(b.Bytes(), []byte("<g "))
	_, err := fmt.Fprintf(w, "%s%s<g %s", head, sheet, body)
	return err
}
