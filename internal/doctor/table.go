package doctor

import (
	"fmt"
	"io"
	"strings"
)

// WriteTable writes r for people, in lines of 100 columns at most.
func (r Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", r.Verdict(), r.Machine)
	r.writeLimits(&b)
	r.writeTables(&b)
	r.writeFixes(&b)
	r.writeSettings(&b)
	for i, u := range r.Unread {
		if i == 0 {
			b.WriteString("\nnot read, and not counted:\n")
		}
		fmt.Fprintf(&b, "  %s: %s\n", u.Name, u.Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) writeLimits(b *strings.Builder) {
	const row = "%-13s  %-30s  %-24s  %14s  %s\n"
	fmt.Fprintf(b, "\n"+row, "LIMIT", "SETTING", "VALUE", "STREAMS", "VERDICT")
	for _, l := range r.Limits {
		fmt.Fprintf(b, row, l.Name, l.Setting, l.Value, l.Allows, l.Verdict)
	}
}

// writeTables tells the effect of a descriptor table per loop.
func (r Report) writeTables(b *strings.Builder) {
	t := r.Tables
	switch {
	case !t.Possible:
		fmt.Fprintf(b, "\n%s\n", t.Reason)
	case r.PerLoop:
		fmt.Fprintf(b, "\na descriptor table per event loop, planned with %s streams each\n", t.PerTable)
	default:
		fmt.Fprintf(b, "\nwith --fd-tables per-loop, %s streams a loop: %s; first limit: %s\n", t.PerTable, t.Holds, t.First)
	}
}

func (r Report) writeFixes(b *strings.Builder) {
	begun := false
	for _, l := range r.Limits {
		name := l.Name
		for _, f := range l.Fixes {
			if !begun {
				fmt.Fprintf(b, "\nto hold %s streams (one line of each limit, and all limits):\n", r.FixesFor)
				begun = true
			}
			fmt.Fprintf(b, "  %-13s  %-9s  %s\n", name, f.Where, f.Line)
			name = ""
		}
	}
}

func (r Report) writeSettings(b *strings.Builder) {
	if len(r.Settings) == 0 {
		return
	}
	const row = "%-34s  %-25s  %s\n"
	fmt.Fprintf(b, "\n"+row, "SETTING, NO BOUND", "VALUE", "WHAT IT BOUNDS")
	var fixes []string
	for _, s := range r.Settings {
		fmt.Fprintf(b, row, s.Name, s.Value, s.Note)
		if s.Fix != "" {
			fixes = append(fixes, s.Fix)
		}
	}
	if len(fixes) > 0 {
		fmt.Fprintf(b, "\nbetter for broadcasts, bursts and mass closes:\n  %s\n", strings.Join(fixes, "\n  "))
	}
}
