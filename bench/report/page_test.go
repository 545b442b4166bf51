package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"millrace/internal/testenv/browser"
)

// sample is a report with every kind of plot.
func sample() *Document {
	d := &Document{
		Title: "15,000 streams, side by side", Command: "millbench compare --streams 15000", Commit: "0123456", Started: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Seconds: 312,
		Machine:  Machine{CPU: "a processor", Cores: 2, MemoryMB: 24576, Kernel: "6.1", Go: "go1.26", DescriptorLimit: 20000, Sysctls: map[string]string{"net.ipv4.tcp_wmem": "4096 16384 4194304"}},
		Verdicts: []Verdict{{What: "every event once", Want: "45,000", Got: "45,000", Passed: true}, {What: "floor", Want: "at least 0.95", Got: "0.91"}},
	}
	for i, name := range []string{"millrace", "nchan 1.3.6", "net/http"} {
		factor := float64(i*i*i + 1)
		r := &Result{
			Server: name, Streams: 15000, Connect: &Connect{AnonMB: 2 * factor * 40}, Flood: &Flood{PerSecond: 1.9e6 / factor},
			Broadcasts: []Broadcast{{PerSecond: 420_000 / factor, ServerMicros: 2.1 * factor}},
		}
		for s := range 40 {
			r.Samples = append(r.Samples, Sample{Second: float64(s), Streams: min(s*1000, 15000), RSSMB: 20 + factor*float64(min(s, 15)), KernelMB: float64(min(s, 15)) * 8})
		}
		for _, percent := range []float64{0, 1, 10, 50, 90, 99, 99.9, 100} {
			r.Latency = append(r.Latency, Percentile{percent, 0.4 * factor * math.Exp(percent/20)})
		}
		ret := &Return{Nodes: 8}
		for s := range 90 {
			ret.Course = append(ret.Course, Moment{Second: float64(s), Arrivals: int(200_000 / float64(s*s+1) / factor), Without: int(400_000 * math.Exp(-float64(s)/10/factor))})
		}
		r.Return = ret
		d.Results = append(d.Results, r)
	}
	return d
}

// Ensure that a report is to be read on a phone and on a desk, on light and on dark
// paper: nothing is wider than the window, and every plot is there.
func TestPageInBrowser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.html")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sample().WriteHTML(file); err != nil {
		t.Fatal(err)
	}
	file.Close()
	page := browser.Chromium(t)
	page.Do("opening the report", chromedp.Navigate("file://"+path))
	for _, w := range []struct {
		width, columns int64
		scheme         string
	}{{360, 1, "dark"}, {1440, 2, "light"}} {
		page.Picture(fmt.Sprintf("report-%d-%s.png", w.width, w.scheme), w.width, 900, w.scheme)
		page.Await("eleven plots", "document.querySelectorAll('figure svg').length === 11")
		page.Await("nothing wider than the window", "document.documentElement.scrollWidth <= innerWidth")
		page.Await("columns of plots", fmt.Sprintf("getComputedStyle(document.querySelector('.plots')).gridTemplateColumns.split(' ').length === %d", w.columns))
	}
}

// Ensure that the file of a simulation's plots has the names of their lines.
func TestReturnSVG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plot.svg")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sample().WriteReturnSVG(file); err != nil {
		t.Fatal(err)
	}
	file.Close()
	page := browser.Chromium(t)
	page.Do("opening the plot", chromedp.Navigate("file://"+path))
	page.Await("the names of all lines, twice", "[...document.querySelectorAll('text')].filter(t => ['millrace', 'nchan 1.3.6', 'net/http'].includes(t.textContent.trim())).length === 6")
	page.Picture("report-returns.png", 640, 640, "dark")
}
