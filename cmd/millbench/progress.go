package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// quietTime is the least time between two lines of a progress that goes to a file.
const quietTime = 10 * time.Second

// progress says on stderr what is being done: on a terminal in one line that changes, elsewhere
// in a line now and then. Safe for concurrent use.
type progress struct {
	bar   *progressbar.ProgressBar // nil where stderr is no terminal
	began time.Time

	mu   sync.Mutex
	told time.Time // the last line
}

func newProgress() *progress {
	p := &progress{began: time.Now()}
	info, err := os.Stderr.Stat()
	if err == nil && info.Mode()&os.ModeCharDevice != 0 {
		p.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSpinnerType(14),
			progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
	}
	return p
}

func (p *progress) note(what string) {
	what = strings.TrimSpace(what)
	if p.bar != nil {
		p.bar.Describe(what)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.told) >= quietTime {
		p.told = now
		fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", now.Sub(p.began).Seconds(), what)
	}
}

func (p *progress) end() {
	if p.bar != nil {
		p.bar.Finish()
	}
}
