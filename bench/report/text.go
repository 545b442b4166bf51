package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// WriteText writes the figures for people at a terminal.
func (d *Document) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s\ncommit %s, %s, in %v\n%s\n", d.Title, d.Command, d.Commit,
		d.Started.Format(time.RFC3339), (time.Duration(d.Seconds * float64(time.Second))).Round(time.Second), d.Machine)
	for _, note := range d.Notes {
		fmt.Fprintln(w, note)
	}
	for _, t := range d.Tables() {
		fmt.Fprintf(w, "\n%s\n", t.Title)
		columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		writeRow(columns, append([]string{""}, t.Columns...))
		for _, row := range t.Rows {
			writeRow(columns, append([]string{row.Name}, row.Cells...))
		}
		columns.Flush()
	}
	if len(d.Verdicts) > 0 {
		fmt.Fprintln(w)
	}
	for _, v := range d.Verdicts {
		fmt.Fprintf(w, "%s  %s: %s (want %s)\n", v.Mark(), v.What, v.Got, v.Want)
	}
}

func writeRow(w io.Writer, cells []string) {
	for _, cell := range cells {
		fmt.Fprint(w, cell, "\t")
	}
	fmt.Fprintln(w)
}

// Mark is the verdict in a word.
func (v Verdict) Mark() string {
	if v.Passed {
		return "pass"
	}
	return "FAIL"
}

func (m Machine) String() string {
	return fmt.Sprintf("%d cores of %s, %d MB, %s, %s, descriptor limit %s", m.Cores, m.CPU, m.MemoryMB, m.Kernel, m.Go, Count(m.DescriptorLimit))
}
