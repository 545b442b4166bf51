package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"millrace/bench/report"
	"millrace/internal/testenv"
)

var update = flag.Bool("update", false, "write the plot of docs/scaling.md")

// docs is where the documents are.
const docs = "../../docs"

// simulated returns the report of the command as it is without flags.
func simulated(t *testing.T) *report.Document {
	t.Helper()
	c := new(simulateCommand)
	if _, err := kong.Must(c).Parse(nil); err != nil {
		t.Fatal(err)
	}
	d, err := c.simulate([]string{"millbench", "simulate"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Ensure that the plot and the figures of docs/scaling.md are those of
// `millbench simulate`.
func TestScalingDocument(t *testing.T) {
	if testenv.Race {
		t.Skip("a minute of one goroutine, in which there are no races")
	}
	d := simulated(t)
	var svg bytes.Buffer
	if err := d.WriteReturnSVG(&svg); err != nil {
		t.Fatal(err)
	}
	plot := filepath.Join(docs, "reconnect-storm.svg")
	if *update {
		if err := os.WriteFile(plot, svg.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(plot)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(svg.Bytes(), want) {
		t.Errorf("%s is another one than millbench simulate draws (go test -update writes it anew)", plot)
	}
	text, err := os.ReadFile(filepath.Join(docs, "scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	d.WriteText(&printed)
	_, table, _ := strings.Cut(printed.String(), "\n\n")
	if !strings.Contains(string(text), table) {
		t.Errorf("docs/scaling.md has other figures than millbench simulate, which are:\n%s", table)
	}
}

// Ensure that a report goes to the files that are asked for.
func TestSimulatedFiles(t *testing.T) {
	dir := t.TempDir()
	names := map[string]string{"--json": "", "--html": "", "--svg": ""}
	args := []string{"simulate", "--nodes", "3", "--streams", "500", "--lost", "2", "--drain", "2s", "--accept-rate", "50/s,0"}
	for name := range names {
		names[name] = filepath.Join(dir, name)
		args = append(args, name, names[name])
	}
	if status := run(args); status != 0 {
		t.Fatalf("millbench %v: exit status %d", args, status)
	}
	read := func(name string) string {
		text, err := os.ReadFile(names[name])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var d report.Document
	if err := json.Unmarshal([]byte(read("--json")), &d); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"killed", "killed, 50/s", "drain 2s"} {
		r := d.Results[i]
		if r.Server != want || r.Return == nil || r.Return.Clients != 1000 || len(r.Return.Course) == 0 {
			t.Errorf("result %d: %+v, want %q with 1000 clients", i, r, want)
		}
	}
	if page := read("--html"); strings.Count(page, "<svg") != 2 || !strings.Contains(page, "drain 2s") {
		t.Error("the page has not two plots with all scenarios")
	}
	if svg := read("--svg"); !strings.HasPrefix(svg, "<?xml") || !strings.Contains(svg, "drain 2s") {
		t.Error("the plot has not all scenarios")
	}
}

// Ensure that an invalid plan is an error of the command line.
func TestSimulateWhatCannotBe(t *testing.T) {
	for _, args := range [][]string{
		{"--nodes", "1"}, {"--lost", "10"}, {"--streams", "0"}, {"--accept-rate", "fast"}, {"--accept-rate", "1/ms"},
		{"--drain", "2h"}, {"--jitter=-1s"}, {"--backlog", "0"}, {"--streams", "20000001"},
	} {
		if status := run(append([]string{"simulate"}, args...)); status != 2 {
			t.Errorf("simulate %q: exit status %d, want 2", args, status)
		}
	}
}
