package bench

import (
	"sync"
	"time"

	"millrace/bench/report"
)

const (
	sampleInterval = 500 * time.Millisecond
	// maxSamples bounds the samples of a session: when there are as many, every
	// other one is dropped, and the interval doubled.
	maxSamples = 400
)

// sampler looks at the memory of a session as time passes.
type sampler struct {
	session *Session
	began   time.Duration
	kernel  int // memory of the kernel at the beginning
	quit    chan struct{}
	done    sync.WaitGroup
	samples []report.Sample // of the goroutine, until stop
}

func startSampler(s *Session) *sampler {
	p := &sampler{session: s, began: Now(), quit: make(chan struct{})}
	p.kernel, _ = kernelMemory() // where it is not known, it stays 0
	p.done.Go(p.run)
	return p
}

func (p *sampler) run() {
	interval := sampleInterval
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-ticks.C:
		}
		sample, before := p.now(), 0
		if len(p.samples) > 0 {
			before = p.samples[len(p.samples)-1].Streams
		}
		if most := p.session.cfg.Streams; sample.Streams != before && sample.Streams < most {
			p.session.say("%s: %s of %s streams are open", p.session.server.Name, report.Count(sample.Streams), report.Count(most))
		}
		p.samples = append(p.samples, sample)
		if len(p.samples) == maxSamples {
			for i := range maxSamples / 2 {
				p.samples[i] = p.samples[2*i]
			}
			p.samples = p.samples[:maxSamples/2]
			interval *= 2
			ticks.Reset(interval)
		}
	}
}

// now takes a sample. Figures that cannot be known are 0. Safe for concurrent use.
func (p *sampler) now() report.Sample {
	sample := report.Sample{Second: (Now() - p.began).Seconds()}
	p.session.clients.Call(time.Second, "Opened", None{}, &sample.Streams)
	if usage, err := p.session.server.Usage(); err == nil {
		sample.RSSMB = megabytes(usage.RSS)
	}
	if kernel, err := kernelMemory(); err == nil {
		sample.KernelMB = megabytes(kernel - p.kernel)
	}
	return sample
}

func (p *sampler) stop() []report.Sample {
	close(p.quit)
	p.done.Wait()
	return p.samples
}
