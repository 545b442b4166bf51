package bench

import (
	"bufio"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// traceVariable has a Go program tell of each garbage collection on stderr.
const traceVariable = "GODEBUG=gctrace=1"

// pauses are those of a Go program's garbage collector, as its trace tells
// them: each collection stops the program twice.
type pauses struct {
	mu   sync.Mutex
	seen []time.Duration
}

// traceLine is a collection: the pauses are the first and the third time of
// wall clock, in milliseconds.
var traceLine = regexp.MustCompile(`^gc \d+ @[\d.]+s \d+%: ([\d.]+)\+[\d.]+\+([\d.]+) ms clock, `)

// follow reads the stderr of a Go program to its end. Lines that are not of the
// trace go to line.
//
// The runtime writes a line of the trace in pieces, between which a line of the
// program's log, in JSON, may come: what was written of the trace before it goes on
// in the next line.
func (p *pauses) follow(stderr io.Reader, line func(text string)) {
	scanner := bufio.NewScanner(stderr)
	begun := "" // of a line of the trace
	for scanner.Scan() {
		text := begun + scanner.Text()
		begun = ""
		if i := strings.IndexByte(text, '{'); i > 0 && strings.HasPrefix(text, "gc ") {
			begun, text = text[:i], text[i:]
		}
		found := traceLine.FindStringSubmatch(text)
		if found == nil {
			if text != "GC forced" { // as it is when there was none for two minutes
				line(text)
			}
			continue
		}
		p.mu.Lock()
		for _, text := range found[1:] {
			ms, _ := strconv.ParseFloat(text, 64) // the pattern lets nothing else pass
			p.seen = append(p.seen, time.Duration(ms*float64(time.Millisecond)))
		}
		p.mu.Unlock()
	}
	io.Copy(os.Stderr, stderr) // after a line that is too long, rather than to block the program
}

func (p *pauses) all() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Duration(nil), p.seen...)
}
