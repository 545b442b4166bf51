package report

import (
	"bytes"
	"html/template"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plotted is a plot as it stands in a page.
type plotted struct {
	Title string
	SVG   template.HTML
}

// plots returns those for which there are figures.
func (d *Document) plots() (all []plotted, err error) {
	add := func(title string, p *plot.Plot) {
		if p == nil || err != nil {
			return
		}
		var svg template.HTML
		if svg, err = render(p); err == nil {
			all = append(all, plotted{title, svg})
		}
	}
	add("Streams", d.overTime("streams", func(s Sample) float64 { return float64(s.Streams) }))
	add("Resident memory of the server", d.overTime("MiB", func(s Sample) float64 { return s.RSSMB }))
	add("Memory of the kernel, both ends", d.overTime("MiB", func(s Sample) float64 { return s.KernelMB }))
	add("From publishing to arrival, all streams", d.latencies())
	broadcasts := func(r *Result) bool { return len(r.Broadcasts) > 0 }
	add("Deliveries per second", d.bars("per second", broadcasts, func(r *Result) float64 {
		return r.Median(func(b Broadcast) float64 { return b.PerSecond })
	}))
	add("Server's processor time of a delivery", d.bars("us", broadcasts, func(r *Result) float64 {
		return r.Median(func(b Broadcast) float64 { return b.ServerMicros })
	}))
	add("Anonymous memory of the server", d.bars("MiB", func(r *Result) bool { return r.Connect != nil }, func(r *Result) float64 { return r.Connect.AnonMB }))
	add("Deliveries per second in a flood", d.bars("per second", func(r *Result) bool { return r.Flood != nil }, func(r *Result) float64 { return r.Flood.PerSecond }))
	for _, p := range d.returnPlots() {
		title := p.Title.Text
		p.Title.Text = "" // the page has it above
		add(title, p)
	}
	return all, err
}

// palette is for the results of a plot, in their order.
var palette = []color.Color{
	color.RGBA{0x1f, 0x6f, 0xb2, 0xff}, color.RGBA{0xd9, 0x6c, 0x1e, 0xff}, color.RGBA{0x2e, 0x8b, 0x57, 0xff},
	color.RGBA{0x8a, 0x4f, 0xae, 0xff}, color.RGBA{0xb8, 0x3b, 0x4c, 0xff}, color.RGBA{0x6b, 0x75, 0x80, 0xff},
}

func ink(i int) color.Color { return palette[i%len(palette)] }

func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = true, true
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{0xe4}, color.Gray{0xe4}
	p.Add(grid)
	return p
}

// overTime draws a figure of the samples of every result; nil when there are
// none.
func (d *Document) overTime(unit string, of func(Sample) float64) *plot.Plot {
	p, some := newPlot("seconds", unit), false
	p.Y.Tick.Marker = counts{}
	for i, r := range d.Results {
		var points plotter.XYs
		for _, s := range r.Samples {
			points = append(points, plotter.XY{X: s.Second, Y: of(s)})
		}
		some = addLine(p, i, r.Name(), points) || some
	}
	if !some {
		return nil
	}
	return p
}

// latencies draws the distributions of all results, slower to the top.
func (d *Document) latencies() *plot.Plot {
	p, some := newPlot("% of deliveries", "ms"), false
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{}
	p.Y.Min = math.MaxFloat64
	for i, r := range d.Results {
		var points plotter.XYs
		for _, point := range r.Latency {
			points = append(points, plotter.XY{X: point.Percent, Y: max(point.MS, 0.001)})
		}
		some = addLine(p, i, r.Name(), points) || some
	}
	if !some {
		return nil
	}
	p.Y.Min = math.Pow(10, math.Floor(math.Log10(p.Y.Min)))
	p.Y.Max = math.Pow(10, math.Ceil(math.Log10(p.Y.Max)))
	return p
}

func addLine(p *plot.Plot, i int, name string, points plotter.XYs) bool {
	line := newLine(i, points)
	if line == nil {
		return false
	}
	p.Add(line)
	p.Legend.Add(name, line)
	return true
}

// newLine is the line of the i-th result; nil where there is nothing to draw.
func newLine(i int, points plotter.XYs) *plotter.Line {
	if len(points) < 2 {
		return nil
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil // a figure that is no number
	}
	line.Color, line.Width = ink(i), vg.Points(1.8)
	return line
}

// bars draws one figure of the results that have it; nil when fewer than two
// do.
func (d *Document) bars(unit string, has func(*Result) bool, of func(*Result) float64) *plot.Plot {
	p := newPlot("", unit)
	p.Y.Tick.Marker = counts{}
	var names []string
	for _, r := range d.Results {
		if !has(r) {
			continue
		}
		bar, err := plotter.NewBarChart(plotter.Values{of(r)}, vg.Points(34))
		if err != nil {
			return nil
		}
		bar.Color, bar.LineStyle.Width, bar.XMin = ink(len(names)), 0, float64(len(names))
		p.Add(bar)
		names = append(names, r.Name())
	}
	if len(names) < 2 {
		return nil
	}
	p.NominalX(names...)
	return p
}

// counts are ticks with commas between thousands.
type counts struct{}

// Ticks returns ticks for an axis.
func (counts) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range ticks {
		if t.Label != "" && t.Value >= 1000 {
			ticks[i].Label = Count(int(t.Value))
		}
	}
	return ticks
}

// Size of a plot.
const width, height = 16 * vg.Centimeter, 9 * vg.Centimeter

// render draws a plot as SVG, to be put into HTML.
func render(p *plot.Plot) (template.HTML, error) {
	canvas := vgsvg.New(width, height)
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", err
	}
	svg := b.Bytes()
	if i := bytes.Index(svg, []byte("<svg")); i > 0 { // the declaration of XML is not for HTML
		svg = svg[i:]
	}
	return template.HTML(svg), nil
}
