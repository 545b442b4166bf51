package token

import (
	"net/netip"
	"sync"
)

// workers do what takes an event loop too long: some goroutines, and a line of what
// waits for them, which client addresses share. One address that asks for much waits
// longer, and nobody else does. Safe for concurrent use.
type workers struct {
	most int // that wait

	mu      sync.Mutex
	work    sync.Cond
	waiting map[netip.Addr][]func()
	turns   []netip.Addr // those with something waiting, whose turn is next first
	count   int
	closed  bool
	running sync.WaitGroup
}

// startWorkers returns n workers for which at most so many jobs wait.
func startWorkers(n, most int) *workers {
	w := &workers{most: most, waiting: make(map[netip.Addr][]func())}
	w.work.L = &w.mu
	for range n {
		w.running.Go(w.run)
	}
	return w
}

// do has a job done for a client, which counts by its network. It returns false, and
// forgets the job, when the line is full and the client has its share of it. A job is
// called once; of one that is called with the line closed it cannot be told.
func (w *workers) do(client netip.Addr, job func()) bool {
	from := network(client)
	w.mu.Lock()
	defer w.mu.Unlock()
	own := len(w.waiting[from])
	// Beyond the line an address may have what the others could have each: so one
	// that is flooding keeps out itself, and the line has at most twice its length.
	if w.closed || w.count >= w.most && (own >= w.most/max(1, len(w.turns)) || w.count >= 2*w.most) {
		return false
	}
	if own == 0 {
		w.turns = append(w.turns, from)
	}
	w.waiting[from] = append(w.waiting[from], job)
	w.count++
	w.work.Signal()
	return true
}

// run does jobs, one of each address in turn, until the workers are closed and none is
// left.
func (w *workers) run() {
	for {
		job, ok := w.next()
		if !ok {
			return
		}
		job()
	}
}

func (w *workers) next() (job func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.count == 0 {
		if w.closed {
			return nil, false
		}
		w.work.Wait()
	}
	from := w.turns[0]
	w.turns = w.turns[1:]
	jobs := w.waiting[from]
	job, jobs[0] = jobs[0], nil
	if jobs = jobs[1:]; len(jobs) == 0 {
		delete(w.waiting, from)
	} else {
		w.waiting[from] = jobs
		w.turns = append(w.turns, from)
	}
	w.count--
	return job, true
}

// line returns how many jobs wait.
func (w *workers) line() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// close waits until all jobs are done.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.work.Broadcast()
	w.running.Wait()
}

// network returns what counts as one client: an address, or 64 bits of an IPv6 one.
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		prefix, _ := a.WithZone("").Prefix(64)
		return prefix.Addr()
	}
	return a
}
