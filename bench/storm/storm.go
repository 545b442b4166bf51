package storm

import (
	"math/rand/v2"
	"time"
)

// Step is the resolution of a simulation.
const Step = 10 * time.Millisecond

// A client whose SYN finds the accept queue full sends it again after a second,
// and each time after twice as long (RFC 6298, 2 and 5).
const (
	firstResend = time.Second
	lastResend  = 32 * time.Second
)

// Run simulates a plan, until every client has its stream back.
func Run(p Plan) (*Course, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	s := newSimulation(p)
	for now := time.Duration(0); s.course.Back < len(s.clients); now += Step {
		s.step(now)
	}
	s.course.finish()
	return s.course, nil
}

// simulation is a plan on its way.
type simulation struct {
	Plan
	random  *rand.Rand
	clients []client
	gone    int       // streams that each lost node has closed so far
	nodes   []node    // those that stay
	due     [][]int32 // the clients that connect in each step from now on
	course  *Course
}

// client is one that has lost its stream, or will.
type client struct {
	left     int32 // the step in which it did
	told     int32 // steps: how long it waits before it tries again
	attempts int32
	node     int32 // that the balancer has chosen
	resends  int32 // of its SYN, in this attempt
}

// node is one that takes the clients of those that are lost.
type node struct {
	door   Door
	queue  []arrival // the accept queue
	credit int64     // the connections that it can answer at once, times nanoseconds
	counts Moment    // of this second
}

// arrival is a client in an accept queue.
type arrival struct {
	client int32
	since  time.Duration
}

func newSimulation(p Plan) *simulation {
	s := &simulation{
		Plan:    p,
		random:  rand.New(rand.NewPCG(p.Seed, p.Seed)),
		clients: make([]client, p.clients()),
		nodes:   make([]node, p.Nodes-p.Lost),
		course:  newCourse(p),
	}
	for i := range s.nodes {
		s.nodes[i].door = NewDoor(p.AcceptRate)
	}
	shortest, longest := ReturnDelay(p.Drain)
	for i := range s.clients {
		left, told := p.leaves(i/p.Lost), p.Retry
		if p.Drain > 0 {
			told = s.between(shortest, longest)
		}
		s.clients[i] = client{left: int32(left / Step), told: int32(told / Step)}
		s.comeBack(int32(i), left, told)
	}
	return s
}

// step simulates the step that begins now.
func (s *simulation) step(now time.Duration) {
	for s.gone < s.Streams && s.leaves(s.gone) <= now {
		s.gone++
	}
	s.course.Without = max(s.course.Without, s.gone*s.Lost-s.course.Back)
	at := int(now / Step)
	if at < len(s.due) {
		for _, c := range s.due[at] {
			s.connect(c, now)
		}
		s.due[at] = nil
	}
	for i := range s.nodes {
		s.serve(&s.nodes[i], now)
	}
	if (now+Step)%time.Second == 0 || s.course.Back == len(s.clients) {
		s.course.note(s.nodes, now, s.gone*s.Lost)
	}
}

// connect has a client connect to the node that the balancer chooses, or send its
// SYN again to the one that was chosen.
func (s *simulation) connect(i int32, now time.Duration) {
	c := &s.clients[i]
	if c.resends == 0 {
		c.attempts++
		c.node = s.choose(now)
	}
	if int(c.node) >= len(s.nodes) {
		s.course.Refused++
		s.comeBack(i, now, time.Duration(c.told)*Step)
		return
	}
	n := &s.nodes[c.node]
	n.counts.Arrivals++
	if s.Capacity > 0 && len(n.queue) >= s.Backlog {
		n.counts.Dropped++
		s.after(i, now, min(firstResend<<c.resends, lastResend))
		c.resends = min(c.resends+1, 5)
		return
	}
	c.resends = 0
	n.queue = append(n.queue, arrival{i, now})
}

// choose returns a node, at random; one above those that stay is lost, and the
// balancer has not noticed.
func (s *simulation) choose(now time.Duration) int32 {
	if now < s.Notice {
		return s.random.Int32N(int32(s.Nodes))
	}
	return s.random.Int32N(int32(len(s.nodes)))
}

// serve has a node answer waiting clients, as many as it can in a step.
func (s *simulation) serve(n *node, now time.Duration) {
	answered := len(n.queue)
	if s.Capacity > 0 {
		n.credit += int64(s.Capacity) * int64(Step)
		if able := n.credit / int64(time.Second); able < int64(answered) {
			answered = int(able)
		}
		n.credit -= int64(answered) * int64(time.Second)
		if answered == len(n.queue) {
			n.credit = min(n.credit, int64(time.Second)) // rest is not saved up
		}
	}
	for _, a := range n.queue[:answered] {
		s.course.LongestQueue = max(s.course.LongestQueue, now-a.since)
		wait, in := n.door.Ask(now, s.random)
		if in {
			n.counts.Accepted++
			s.course.back(&s.clients[a.client], now)
			continue
		}
		n.counts.TurnedAway++
		s.clients[a.client].told = int32(wait / Step)
		s.comeBack(a.client, now, wait)
	}
	n.queue = n.queue[answered:]
}

// comeBack has a client connect when it has waited as long as it was told.
func (s *simulation) comeBack(i int32, now, told time.Duration) {
	s.after(i, now, told+s.between(0, s.Jitter))
}

// after has a client connect after some time, in the next step at the earliest.
func (s *simulation) after(i int32, now, wait time.Duration) {
	at := int((now + wait + Step - 1) / Step)
	if wait == 0 {
		at++
	}
	for len(s.due) <= at {
		s.due = append(s.due, nil)
	}
	s.due[at] = append(s.due[at], i)
}

// between draws a time from a span, both ends included.
func (s *simulation) between(shortest, longest time.Duration) time.Duration {
	return shortest + time.Duration(s.random.Int64N(int64(longest-shortest)+1))
}
