package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// killPoint says what is done to which process of an upgrade, and at which step.
type killPoint struct {
	old  bool   // the predecessor, else the successor
	stop bool   // by SIGSTOP, else by SIGKILL
	step string // its kind
	nth  int    // loop to come to that step, from 1; 0 where there are no loops
}

// The steps of an upgrade, as the control socket names them. Those of loops have a number.
var (
	stepsBefore = []string{"started", "hello", "loaded"}
	stepsOfLoop = []string{"sent", "prepared", "committed", "serving"}
	stepsAfter  = []string{"moved", "frozen", "switch", "done"}
)

// ParseKills reads points: who:step, who:step:loop, all steps of who, or all. who is old or new
// for SIGKILL, stop-old or stop-new for SIGSTOP; the loop counts those that come to the step.
func ParseKills(names []string) (points []killPoint, err error) {
	for _, name := range names {
		whos, step, found := strings.Cut(name, ":")
		if !found && whos == "all" {
			whos = "new,old,stop-new,stop-old"
		}
		for who := range strings.SplitSeq(whos, ",") {
			p := killPoint{old: strings.HasSuffix(who, "old"), stop: strings.HasPrefix(who, "stop-")}
			if !slices.Contains([]string{"old", "new", "stop-old", "stop-new"}, who) {
				return nil, fmt.Errorf("%w: kill %q, want all, or old, new, stop-old, stop-new, alone or as in new:prepared:3", ErrConfig, name)
			}
			if !found {
				points = append(points, p.everywhere()...)
				continue
			}
			if err := p.parseStep(step); err != nil {
				return nil, fmt.Errorf("%w: kill %q: %v", ErrConfig, name, err)
			}
			points = append(points, p)
		}
	}
	return points, nil
}

// everywhere is the point at each step: of loops, at those of the first and of the second one.
func (p killPoint) everywhere() (points []killPoint) {
	add := func(step string, nth int) {
		p.step, p.nth = step, nth
		points = append(points, p)
	}
	for _, step := range stepsBefore {
		add(step, 0)
	}
	for nth := 1; nth <= 2; nth++ {
		for _, step := range stepsOfLoop {
			add(step, nth)
		}
	}
	for _, step := range stepsAfter {
		add(step, 0)
	}
	return points
}

func (p *killPoint) parseStep(text string) (err error) {
	step, loop, numbered := strings.Cut(text, ":")
	p.step = step
	if !slices.Contains(stepsOfLoop, step) {
		if numbered || !slices.Contains(slices.Concat(stepsBefore, stepsAfter), step) {
			return fmt.Errorf("step %q, want one of %q, or of %q with a loop", text, slices.Concat(stepsBefore, stepsAfter), stepsOfLoop)
		}
		return nil
	}
	if p.nth, err = strconv.Atoi(loop); err != nil || p.nth < 1 {
		return fmt.Errorf("loop %q, want a number from 1 on", loop)
	}
	return nil
}

// String is the point as ParseKills reads it.
func (p killPoint) String() string {
	name := "new"
	if p.old {
		name = "old"
	}
	if p.stop {
		name = "stop-" + name
	}
	name += ":" + p.step
	if p.nth > 0 {
		name += ":" + strconv.Itoa(p.nth)
	}
	return name
}

// switched tells that it is after the switch, from which there is no way back.
func (p killPoint) switched() bool { return p.step == "switch" || p.step == "done" }

func (p killPoint) signal() syscall.Signal {
	if p.stop {
		return syscall.SIGSTOP
	}
	return syscall.SIGKILL
}
