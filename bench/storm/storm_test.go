package storm

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// usual is a plan without limits, and with a balancer that knows at once.
func usual() Plan {
	return Plan{Nodes: 5, Streams: 40_000, Lost: 1, Retry: 3 * time.Second, Jitter: 2 * time.Second, Backlog: 65_535, Seed: 1}
}

func run(t interface{ Fatal(...any) }, p Plan) *Course {
	c, err := Run(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// near tells whether got is want, give or take some percent.
func near(got, want, percent float64) bool { return math.Abs(got-want) <= want*percent/100 }

// Ensure that clients of killed nodes come within the jitter, in equal parts to
// the nodes that stay: streams x lost / (nodes - lost) / jitter a second.
func TestKilledWithoutLimits(t *testing.T) {
	p := usual()
	p.Lost = 2
	c := run(t, p)
	if want := 40_000.0 * 2 / 3 / 2; !near(float64(c.Peak.Arrivals), want, 4) {
		t.Errorf("%d connections to a node in a second, want %.0f", c.Peak.Arrivals, want)
	}
	if half := c.BackAfter(50).Seconds(); !near(half, 4, 1) {
		t.Errorf("half are back after %v s, want 4", half)
	}
	if last := c.BackAfter(100); last < 4900*time.Millisecond || last > 5*time.Second+Step {
		t.Errorf("all are back after %v, want 5s", last)
	}
	if c.Without != c.Clients || c.Attempts != c.Clients || c.MostAttempts != 1 || c.Refused != 0 || c.Peak.Dropped != 0 {
		t.Errorf("want all out at once, and one attempt each: %+v", c)
	}
}

// Ensure that a drain has streams x lost / (nodes - lost) / drain clients a second
// come to a node, and 11/60 of them without a stream at a time: what they are told
// is between 1/30 and 1/3 of the drain.
func TestDrained(t *testing.T) {
	for _, drain := range []time.Duration{30 * time.Second, 2 * time.Minute} {
		p := usual()
		p.Drain, p.Jitter = drain, 0
		c := run(t, p)
		mean := 0.0 // in the middle, where it is even
		for _, m := range c.Moments[len(c.Moments)/2-3 : len(c.Moments)/2+3] {
			mean += float64(m.Arrivals) / 6 / 4
		}
		if want := 40_000 / 4 / drain.Seconds(); !near(mean, want, 10) {
			t.Errorf("drain %v: %.0f connections to a node in a second, want %.0f", drain, mean, want)
		}
		if want := 40_000 * 11.0 / 60; !near(float64(c.Without), want, 3) {
			t.Errorf("drain %v: %d without a stream, want %.0f", drain, c.Without, want)
		}
		if p50, want := c.Outage(50), drain*11/60; !near(p50.Seconds(), want.Seconds(), 3) {
			t.Errorf("drain %v: half are without a stream for %v, want %v", drain, p50, want)
		}
		if most := c.Outage(100); most > drain/3+2*Step {
			t.Errorf("drain %v: one was without a stream for %v", drain, most)
		}
	}
}

// Ensure that a crowd above the accept rate comes back in its order: with as many
// as there is room for in the book, all are in 5 s later than tokens allow, having
// asked twice. It is what a server does with 4,000 clients at 100 a second.
func TestAcceptRate(t *testing.T) {
	p := Plan{Nodes: 2, Lost: 1, Streams: 4000, AcceptRate: Rate{100, time.Second}, Backlog: 65_535}
	c := run(t, p)
	if last := c.BackAfter(100); last < 43*time.Second || last > 45*time.Second {
		t.Errorf("all are back after %v, want 44s", last)
	}
	if want := 100 + 2*3900; c.Attempts != want || c.MostAttempts != 2 {
		t.Errorf("%d attempts, of one client %d; want %d and 2", c.Attempts, c.MostAttempts, want)
	}
}

// Ensure that a node answers no more than it is able to, and that its accept queue
// has it do so all the time.
func TestCapacity(t *testing.T) {
	p := usual()
	p.Jitter, p.Capacity = 0, 2000
	c := run(t, p) // 10,000 a node, at once
	if last := c.BackAfter(100).Seconds(); !near(last, 3+5, 3) {
		t.Errorf("all are back after %v s, want 8", last)
	}
	if !near(c.LongestQueue.Seconds(), 5, 3) || c.Peak.Dropped != 0 {
		t.Errorf("%v in the queue, want 5s; %d SYNs dropped, want none", c.LongestQueue, c.Peak.Dropped)
	}
	p.Backlog = 1000
	c = run(t, p)
	if c.Peak.Dropped == 0 || c.LongestQueue > 500*time.Millisecond+Step || c.Attempts != c.Clients {
		t.Errorf("%v in the queue, want 0.5s; SYNs dropped %d, want some; attempts %d, want one each", c.LongestQueue, c.Peak.Dropped, c.Attempts)
	}
}

// Ensure that a balancer that notices late sends clients to lost nodes until then,
// and that those come again after as long as they were told.
func TestNotice(t *testing.T) {
	p := usual()
	p.Notice = 4 * time.Second // half of them come before
	c := run(t, p)
	if want := 40_000 / 2 / 5.0; !near(float64(c.Refused), want, 5) {
		t.Errorf("%d attempts were sent to the lost node, want %.0f", c.Refused, want)
	}
	if c.Attempts != c.Clients+c.Refused {
		t.Errorf("%d attempts, want %d + %d", c.Attempts, c.Clients, c.Refused)
	}
	if last := c.BackAfter(100); last <= 7*time.Second || last > 9*time.Second+2*Step {
		t.Errorf("all are back after %v, want twice the delay", last)
	}
}

// plans are any that can be meant, of few clients.
func plans(t *rapid.T) Plan {
	seconds := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most*1000).Draw(t, name)) * time.Millisecond
	}
	p := Plan{
		Nodes:    rapid.IntRange(2, 6).Draw(t, "nodes"),
		Streams:  rapid.IntRange(1, 200).Draw(t, "streams"),
		Drain:    seconds("drain", 20) * time.Duration(rapid.IntRange(0, 1).Draw(t, "drained")),
		Retry:    seconds("retry", 5),
		Jitter:   seconds("jitter", 3) + time.Millisecond,
		Notice:   seconds("notice", 5),
		Capacity: rapid.IntRange(0, 20).Draw(t, "capacity") * 10,
		Backlog:  rapid.IntRange(1, 100).Draw(t, "backlog"),
		Seed:     rapid.Uint64().Draw(t, "seed"),
	}
	p.Lost = rapid.IntRange(1, p.Nodes-1).Draw(t, "lost")
	if rapid.Bool().Draw(t, "limited") {
		p.AcceptRate = Rate{rapid.IntRange(5, 100).Draw(t, "rate"), time.Duration(rapid.IntRange(1, 2).Draw(t, "period")) * time.Second}
	}
	return p
}

// Ensure that no client is lost or made up, that every arrival has one fate, and
// that nodes keep within their rate and their capacity, whatever the plan.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plans(t)
		c := run(t, p)
		stay := p.Nodes - p.Lost
		var sum Moment
		for second, m := range c.Moments {
			sum.Arrivals += m.Arrivals
			sum.Accepted += m.Accepted
			sum.TurnedAway += m.TurnedAway
			sum.Dropped += m.Dropped
			if waiting := sum.Arrivals - sum.Accepted - sum.TurnedAway - sum.Dropped; waiting < 0 || p.Capacity == 0 && waiting != 0 {
				t.Fatalf("second %d: %d wait in accept queues", second, waiting)
			}
			if r := p.AcceptRate; r.Events > 0 {
				if most := stay * (r.Events + int(int64(r.Events)*int64(second+1)*int64(time.Second)/int64(r.Period)) + 1); sum.Accepted > most {
					t.Fatalf("second %d: %d accepted by then, want at most %d", second, sum.Accepted, most)
				}
			}
			if answered := m.Accepted + m.TurnedAway; p.Capacity > 0 && answered > stay*(p.Capacity+1) {
				t.Fatalf("second %d: %d answered, want at most %d", second, answered, stay*(p.Capacity+1))
			}
		}
		if c.Back != c.Clients || sum.Accepted != c.Clients || sum.Arrivals != sum.Accepted+sum.TurnedAway+sum.Dropped {
			t.Fatalf("%d clients, %d back, in all %+v", c.Clients, c.Back, sum)
		}
		if want := sum.Accepted + sum.TurnedAway + c.Refused; c.Attempts != want {
			t.Fatalf("%d attempts, want %d", c.Attempts, want)
		}
		if last := c.Moments[len(c.Moments)-1]; last.Without != 0 || c.Outage(100) > c.BackAfter(100) || c.BackAfter(50) > c.BackAfter(99) {
			t.Fatalf("at the end %+v; outage %v, back %v, %v, %v", last, c.Outage(100), c.BackAfter(50), c.BackAfter(99), c.BackAfter(100))
		}
		if again := run(t, p); again.Attempts != c.Attempts || again.BackAfter(100) != c.BackAfter(100) || again.Peak != c.Peak {
			t.Fatalf("the same plan has two courses: %+v and %+v", c, again)
		}
	})
}

// Ensure that the error of an invalid plan names the value.
func TestPlans(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"one node":      func(p *Plan) { p.Nodes = 1 },
		"all lost":      func(p *Plan) { p.Lost = p.Nodes },
		"none lost":     func(p *Plan) { p.Lost = 0 },
		"no streams":    func(p *Plan) { p.Streams = 0 },
		"too many":      func(p *Plan) { p.Nodes, p.Lost, p.Streams = 100, 99, MaxClients },
		"no backlog":    func(p *Plan) { p.Backlog = 0 },
		"negative":      func(p *Plan) { p.Jitter = -1 },
		"long drain":    func(p *Plan) { p.Drain = 2 * time.Hour },
		"for ever":      func(p *Plan) { p.Retry, p.Jitter, p.Notice = 0, 0, time.Second },
		"short period":  func(p *Plan) { p.AcceptRate = Rate{10, time.Millisecond} },
		"negative rate": func(p *Plan) { p.AcceptRate = Rate{-1, time.Second} },
	} {
		p := usual()
		change(&p)
		if _, err := Run(p); !errors.Is(err, ErrPlan) {
			t.Errorf("%s: %v, want an error that wraps %q", name, err, ErrPlan)
		}
	}
}
