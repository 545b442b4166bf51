package report

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// axis makes the ticks of an axis: at round numbers, each labelled with its unit, so
// that a plot needs no other words. Its units are in the order of their sizes.
type axis []unit

// unit is a name and how much it is, in the unit of the figures.
type unit struct {
	name string
	size float64
}

// The axes of plots.
var (
	counts    = axis{{"", 1}, {"k", 1e3}, {"M", 1e6}}
	seconds   = axis{{"s", 1}}
	millis    = axis{{"µs", 1e-3}, {"ms", 1}, {"s", 1e3}}
	micros    = axis{{"µs", 1}, {"ms", 1e3}}
	bytesEach = axis{{"B", 1}, {"KiB", 1 << 10}}
	mebibytes = axis{{"MiB", 1}, {"GiB", 1 << 10}}
	percents  = axis{{"%", 1}}
)

// fit returns the largest unit of which v is one at least, or the smallest there is.
func (a axis) fit(v float64) unit {
	best := a[0]
	for _, u := range a {
		if v >= u.size*(1-1e-9) {
			best = u
		}
	}
	return best
}

// with writes a number with the unit; 0 goes without.
func (u unit) with(number string) string {
	if number == "0" || u.name == "" {
		return number
	}
	return number + " " + u.name
}

// label writes a round v in the unit.
func (u unit) label(v float64) string {
	return u.with(strconv.FormatFloat(math.Round(v/u.size*1e6)/1e6, 'f', -1, 64))
}

// Label writes one value in the unit that suits it, with three figures.
func (a axis) Label(v float64) string {
	u := a.fit(v)
	return u.with(Figure(v / u.size))
}

// Ticks returns five ticks or so between low and high.
func (a axis) Ticks(low, high float64) (ticks []plot.Tick) {
	if high <= low {
		return nil
	}
	u := a.fit(high)
	step := roundStep((high - low) / u.size / 4)
	for i := math.Ceil(low / u.size / step); i*step*u.size <= high*(1+1e-9); i++ {
		v := i * step * u.size
		ticks = append(ticks, plot.Tick{Value: v, Label: u.label(v)})
	}
	return ticks
}

// roundStep returns the number of 1, 2 and 5 times a power of ten that is next to v,
// from above.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, round := range []float64{1, 2, 5} {
		if round*power >= v*(1-1e-9) {
			return round * power
		}
	}
	return 10 * power
}

// decades are the ticks of a logarithmic axis: a label at each power of ten.
type decades struct{ axis }

// Ticks returns the powers of ten from low to high, and unlabelled ticks between.
func (d decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for power := math.Pow(10, math.Floor(math.Log10(low))); power <= high*(1+1e-9); power *= 10 {
		u := d.fit(power)
		ticks = append(ticks, plot.Tick{Value: power, Label: u.label(power)})
		for i := 2.0; i < 10 && i*power < high; i++ {
			ticks = append(ticks, plot.Tick{Value: i * power})
		}
	}
	return ticks
}
