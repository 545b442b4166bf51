package storm

import "time"

// Course is the outcome of a plan.
type Course struct {
	Plan    Plan
	Clients int
	Moments []Moment // one a second, of the nodes together
	Peak    Moment   // the most in a second at one node, each figure for itself

	Back         int // clients that have a stream again: all
	Without      int // the most clients without a stream at a time
	Attempts     int // connections that clients tried to make
	MostAttempts int // of one client
	Refused      int // attempts that the balancer sent to a lost node
	LongestQueue time.Duration

	backAt  []int32 // clients that came back, by step
	outages []int32 // clients by how long they had no stream, in steps
}

// Moment has the figures of one second, or of the rest of the last one.
type Moment struct {
	Arrivals   int // attempts that came to a node, repeated SYNs too
	Accepted   int // of them those that got a stream
	TurnedAway int // those that were told to come back
	Dropped    int // those that found the accept queue full
	Without    int // clients without a stream at its end
}

func newCourse(p Plan) *Course { return &Course{Plan: p, Clients: p.clients()} }

// back notes that a client has a stream again.
func (c *Course) back(who *client, now time.Duration) {
	at := int32(now / Step)
	c.Back++
	c.Attempts += int(who.attempts)
	c.MostAttempts = max(c.MostAttempts, int(who.attempts))
	count(&c.backAt, at)
	count(&c.outages, at-who.left)
}

func count(counts *[]int32, at int32) {
	for int32(len(*counts)) <= at {
		*counts = append(*counts, 0)
	}
	(*counts)[at]++
}

// note closes a second, in which so many clients had lost their streams.
func (c *Course) note(nodes []node, now time.Duration, gone int) {
	sum := Moment{Without: gone - c.Back}
	for i := range nodes {
		n := &nodes[i].counts
		for _, figure := range [][3]*int{
			{&sum.Arrivals, &c.Peak.Arrivals, &n.Arrivals}, {&sum.Accepted, &c.Peak.Accepted, &n.Accepted},
			{&sum.TurnedAway, &c.Peak.TurnedAway, &n.TurnedAway}, {&sum.Dropped, &c.Peak.Dropped, &n.Dropped},
		} {
			*figure[0] += *figure[2]
			*figure[1] = max(*figure[1], *figure[2])
		}
		*n = Moment{}
	}
	c.Moments = append(c.Moments, sum)
}

// finish adds the figures of the end.
func (c *Course) finish() { c.Peak.Without = c.Without }

// BackAfter is when so many percent of the clients had their streams back.
func (c *Course) BackAfter(percent float64) time.Duration {
	return quantile(c.backAt, c.Clients, percent)
}

// Outage is how long a client had no stream, at a percentile of the clients.
func (c *Course) Outage(percent float64) time.Duration {
	return quantile(c.outages, c.Clients, percent)
}

// quantile returns the end of the step in which so many percent are reached.
func quantile(counts []int32, all int, percent float64) time.Duration {
	want, sum := percent/100*float64(all), 0
	for at, n := range counts {
		if sum += int(n); sum > 0 && float64(sum) >= want {
			return time.Duration(at) * Step
		}
	}
	return 0
}
