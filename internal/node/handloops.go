package node

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// restAhead is how many loops to each that moves accept nothing, for the time that they have to
// before their turn comes: a loop of 18,000 streams takes some 100 ms.
const restAhead = 3

// pause is how long the streams of a loop were not served.
type pause struct {
	streams int64
	took    time.Duration
}

// move moves the loops, as many at a time as there are processors: with more, each would take
// longer. The smallest goes first and alone.
func (p *predecessor) move() error {
	quiet, cancel := context.WithTimeout(p.ctx, quietTime)
	p.public.QuietForHandOver(quiet)
	cancel()
	loops := p.public.LoopOrder()
	if err := p.moveLoop(loops[0]); err != nil {
		return err
	}
	if loops = loops[1:]; len(loops) > 0 {
		select {
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		case <-time.After(canaryTime):
		}
	}
	atOnce := min(runtime.GOMAXPROCS(0), len(loops))
	later := loops[min(restAhead*atOnce, len(loops)):] // those that are to rest as others move
	for _, loop := range loops[:len(loops)-len(later)] {
		if err := p.public.RestLoop(loop); err != nil {
			return err
		}
	}
	next, rest := make(chan int, len(loops)), make(chan int, len(later))
	for _, loop := range loops {
		next <- loop
	}
	for _, loop := range later {
		rest <- loop
	}
	close(next)
	close(rest)
	var moving sync.WaitGroup
	for range atOnce {
		moving.Go(func() {
			for loop := range next {
				err := p.moveLoop(loop)
				if loop, ok := <-rest; ok && err == nil {
					err = p.public.RestLoop(loop)
				}
				if err != nil {
					p.fail(err)
					return
				}
			}
		})
	}
	moving.Wait()
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	return p.step(Step{Name: StepMoved, Streams: int64(p.figures.Streams)})
}

// moveLoop moves a loop.
func (p *predecessor) moveLoop(loop int) error {
	p.mu.Lock()
	p.touched = true
	end := p.ends[loop]
	p.ends[loop] = -1
	p.mu.Unlock()
	moved, err := p.public.SendLoop(loop, end)
	streams := int64(moved.Streams)
	stage := func(name string, part func(loop int) error) {
		if err == nil {
			err = p.step(Step{Name: name, Loop: loop, Streams: streams})
		}
		if err == nil {
			err = part(loop)
		}
	}
	var took time.Duration
	stage(StepSent, p.public.AwaitPrepared)
	stage(StepPrepared, p.public.SendCommit)
	stage(StepCommitted, func(loop int) (err error) {
		took, err = p.public.AwaitServing(loop)
		return err
	})
	if err != nil {
		return fmt.Errorf("loop %d: %w", loop, cmp.Or(context.Cause(p.ctx), err))
	}
	p.mu.Lock()
	p.figures.Streams += uint64(streams)
	p.figures.Ended += uint64(moved.Closed)
	p.pauses = append(p.pauses, pause{streams, took})
	p.mu.Unlock()
	return p.step(Step{Name: StepServing, Loop: loop, Streams: streams})
}

// median returns the median and the longest pause of streams.
func median(pauses []pause) (median, longest time.Duration) {
	slices.SortFunc(pauses, func(a, b pause) int { return cmp.Compare(a.took, b.took) })
	all, passed := int64(0), int64(0)
	for _, p := range pauses {
		all += p.streams
		longest = max(longest, p.took)
	}
	for _, p := range pauses {
		if passed += p.streams; passed*2 >= all {
			return p.took, longest
		}
	}
	return 0, 0
}
