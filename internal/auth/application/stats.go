package application

import "sync/atomic"

// labels are what a question may come to, as metrics have it.
var labels = []string{"granted", "unauthorized", "redirected", "expired", "forbidden", "no_channel", "kicked", "trouble", "timeout", "unreachable", "answer", "late"}

// results counts questions by what they came to, in the order of labels.
type results [12]atomic.Int64

// count counts an answer by its reason, which is empty if it grants.
func (r *results) count(reason string) {
	for i, label := range labels {
		if label == reason || i == 0 && reason == "" {
			r[i].Add(1)
		}
	}
}

// Result is how many questions came to something.
type Result struct {
	Label string
	Count int64
}

// Stats are figures since the process began, but for the last three.
type Stats struct {
	Results  []Result // questions by what they came to
	Kept     int64    // answers that were known
	Joined   int64    // answers that somebody else was waiting for
	Overflow int64    // streams told to come back, since too many wait
	Answers  int      // kept now
	Waiting  int      // questions that wait to be asked
	Asking   int      // requests under way
}

// Stats returns the figures as they are now. Safe for concurrent use.
func (a *Application) Stats() Stats {
	s := Stats{Results: make([]Result, len(labels))}
	for i, label := range labels {
		s.Results[i] = Result{label, a.results[i].Load()}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Kept, s.Joined, s.Overflow = a.hits, a.joined, a.overflow
	s.Answers, s.Waiting, s.Asking = a.answers.len(), a.queue.n, a.asking
	return s
}
