package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// plotted is a plot as it stands in a page.
type plotted struct {
	Title  string
	Legend []key
	SVG    template.HTML
}

// key says which result a line is of.
type key struct {
	Name  string
	Color template.CSS
}

// figures is a plot, and the names of its lines: they stand beside it, since there is
// always a line where a legend within would be.
type figures struct {
	*plot.Plot
	title string
	names []string // in the order of their inks; none for bars, which have theirs
	tall  vg.Length
}

// plots returns those for which there are figures.
func (d *Document) plots() (all []plotted, err error) {
	broadcasts := func(r *Result) bool { return len(r.Broadcasts) > 0 }
	for _, f := range append([]*figures{
		d.overTime("Streams", counts, func(s Sample) float64 { return float64(s.Streams) }),
		d.overTime("Resident memory of the server", mebibytes, func(s Sample) float64 { return s.RSSMB }),
		d.overTime("Memory of the kernel, both ends", mebibytes, func(s Sample) float64 { return s.KernelMB }),
		d.latencies("From publishing to arrival, all streams"),
		d.bars("Deliveries per second", counts, broadcasts, func(r *Result) float64 {
			return r.Median(func(b Broadcast) float64 { return b.PerSecond })
		}),
		d.bars("Server's processor time of a delivery", micros, broadcasts, func(r *Result) float64 {
			return r.Median(func(b Broadcast) float64 { return b.ServerMicros })
		}),
		d.bars("Bytes of a delivery", bytesEach, broadcasts, func(r *Result) float64 {
			return r.Median(func(b Broadcast) float64 { return b.Bytes })
		}),
		d.bars("Anonymous memory of the server", mebibytes, func(r *Result) bool { return r.Connect != nil }, func(r *Result) float64 { return r.Connect.AnonMB }),
		d.bars("Deliveries per second in a flood", counts, func(r *Result) bool { return r.Flood != nil }, func(r *Result) float64 { return r.Flood.PerSecond }),
	}, d.returnPlots()...) {
		if f == nil {
			continue
		}
		svg, err := f.render()
		if err != nil {
			return nil, err
		}
		p := plotted{Title: f.title, SVG: svg}
		for i, name := range f.names {
			p.Legend = append(p.Legend, key{name, template.CSS(css(ink(i)))})
		}
		all = append(all, p)
	}
	return all, nil
}

// palette is for the results of a plot, in their order. All can be told apart on light
// and on dark paper.
var palette = []color.RGBA{
	{0x2f, 0x86, 0xd1, 0xff}, {0xe0, 0x7b, 0x2c, 0xff}, {0x33, 0x9d, 0x63, 0xff},
	{0xa0, 0x6a, 0xc8, 0xff}, {0xcf, 0x4d, 0x5e, 0xff}, {0x7c, 0x88, 0x94, 0xff},
}

func ink(i int) color.RGBA { return palette[i%len(palette)] }

// css writes a colour as style sheets have it.
func css(c color.RGBA) string { return fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B) }

// Marks by which style sheets find parts of a plot, to draw them on dark paper.
var (
	textInk = color.RGBA{0x33, 0x40, 0x4d, 0xff}
	gridInk = color.RGBA{0xe3, 0xe8, 0xed, 0xff}
)

// Size of a plot: as wide as a phone, so that its words can be read there.
const width, height = 360 * vg.Inch / 96, 216 * vg.Inch / 96

func newPlot(title string) *figures {
	p := plot.New()
	p.BackgroundColor = nil
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridInk, gridInk
	p.Add(grid)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.LineStyle.Width, a.Tick.LineStyle.Width, a.Tick.Length = 0, 0, vg.Points(3)
		a.Tick.Label.Color, a.Tick.Label.Font.Size = textInk, vg.Points(8.5)
		a.Tick.Label.Font.Variant = font.Variant("Sans")
		a.Padding = 0
	}
	return &figures{Plot: p, title: title, tall: height}
}

// over sets the range of an axis, up to the next tick, so that the last label is not at
// the edge.
func over(a *plot.Axis, along axis) {
	a.Tick.Marker = along
	if ticks := along.Ticks(0, a.Max); a.Min == 0 && len(ticks) > 1 {
		step := ticks[1].Value
		a.Max = math.Ceil(a.Max/step*(1-1e-9)) * step
	}
}

// overTime draws a figure of the samples of every result; nil when there are
// none.
func (d *Document) overTime(title string, along axis, of func(Sample) float64) *figures {
	f := newPlot(title)
	for _, r := range d.Results {
		var points plotter.XYs
		for _, s := range r.Samples {
			points = append(points, plotter.XY{X: s.Second, Y: of(s)})
		}
		f.addLine(r.Name(), points)
	}
	if len(f.names) == 0 {
		return nil
	}
	f.X.Min, f.Y.Min = 0, 0
	over(&f.X, seconds)
	over(&f.Y, along)
	return f
}

// latencies draws the distributions of all results, slower to the top.
func (d *Document) latencies(title string) *figures {
	f := newPlot(title)
	f.Y.Scale, f.Y.Tick.Marker = plot.LogScale{}, decades{millis}
	f.X.Tick.Marker = percents
	f.Y.Min = math.MaxFloat64
	for _, r := range d.Results {
		var points plotter.XYs
		for _, point := range r.Latency {
			points = append(points, plotter.XY{X: point.Percent, Y: max(point.MS, 0.001)})
		}
		f.addLine(r.Name(), points)
	}
	if len(f.names) == 0 {
		return nil
	}
	f.X.Min, f.X.Max = 0, 100
	f.Y.Min = math.Pow(10, math.Floor(math.Log10(f.Y.Min)))
	f.Y.Max = math.Pow(10, math.Ceil(math.Log10(f.Y.Max)))
	return f
}

// addLine draws the next result, if there is something to draw.
func (f *figures) addLine(name string, points plotter.XYs) {
	if line := newLine(len(f.names), points); line != nil {
		f.Add(line)
		f.names = append(f.names, name)
	}
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
	line.Color, line.Width = ink(i), vg.Points(1.6)
	return line
}

// bars draws one figure of the results that have it, the first on top, each with its
// name and value; nil when fewer than two do.
func (d *Document) bars(title string, along axis, has func(*Result) bool, of func(*Result) float64) *figures {
	f := newPlot(title)
	var with []*Result
	for _, r := range d.Results {
		if has(r) {
			with = append(with, r)
		}
	}
	if len(with) < 2 {
		return nil
	}
	names := make([]string, len(with))
	values := plotter.XYLabels{XYs: make(plotter.XYs, len(with)), Labels: make([]string, len(with))}
	for i, r := range with {
		bar, err := plotter.NewBarChart(plotter.Values{of(r)}, vg.Points(13))
		if err != nil {
			return nil
		}
		row := float64(len(with) - 1 - i)
		bar.Color, bar.LineStyle.Width, bar.XMin, bar.Horizontal = ink(i), 0, row, true
		f.Add(bar)
		names[len(with)-1-i] = r.Name()
		values.XYs[i], values.Labels[i] = plotter.XY{X: of(r), Y: row}, "  "+along.Label(of(r))
	}
	labels, err := plotter.NewLabels(values)
	if err != nil {
		return nil
	}
	for i := range labels.TextStyle {
		style := &labels.TextStyle[i]
		style.Color, style.Font.Size, style.YAlign = textInk, vg.Points(8.5), -0.3
		style.Font.Variant = font.Variant("Sans")
	}
	f.Add(labels)
	f.NominalY(names...)
	f.Y.Tick.Length = vg.Points(10) // names come out wider in a browser's font
	f.X.Min = 0
	over(&f.X, along)
	f.X.Max *= 1.18 // for the value of the longest
	f.tall = vg.Points(float64(24*len(with) + 30))
	return f
}

// render draws a plot as SVG, to be put into HTML.
func (f *figures) render() (template.HTML, error) {
	canvas := vgsvg.New(width, f.tall)
	f.Draw(draw.Crop(draw.New(canvas), 0, -vg.Points(10), 0, -vg.Points(4)))
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
