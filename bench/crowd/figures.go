package crowd

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is a habit.
type Kind string

const (
	KindPlain      Kind = "streams on one channel"
	KindTwo        Kind = "streams on two channels"
	KindGzip       Kind = "streams with gzip"
	KindTLS        Kind = "streams over TLS"
	KindH2         Kind = "streams of HTTP/2"
	KindSlow       Kind = "slow readers"
	KindHalf       Kind = "half request heads"
	KindNewcomer   Kind = "newcomers"
	KindPublisher  Kind = "publishers"
	KindSubscriber Kind = "subscribers of Redis"
)

// kinds are all, in the order of a report.
var kinds = []Kind{KindPlain, KindTwo, KindGzip, KindTLS, KindH2, KindSlow, KindHalf, KindNewcomer, KindPublisher, KindSubscriber}

// Kinds by what may become of them where a process ends.
var (
	// InTheClear are established streams over plain HTTP/1.1.
	InTheClear = []Kind{KindPlain, KindTwo, KindGzip, KindSlow}
	// OverTLS are established streams over TLS.
	OverTLS = []Kind{KindTLS, KindH2}
	// Passing have no stream yet.
	Passing = []Kind{KindHalf, KindNewcomer}
	// OfRedis are connections of the admin port.
	OfRedis = []Kind{KindPublisher, KindSubscriber}
)

// Figures are what a crowd has seen.
type Figures struct {
	Habits []Habit
	// LongestStream is the longest that an event took from publishing to a stream that reads.
	LongestStream time.Duration
	// LongestPublish is the longest that a publisher waited for a reply.
	LongestPublish time.Duration
	// LongestNewcomer is the longest from connecting to the first bytes of a stream.
	LongestNewcomer time.Duration
	Delivered       int // events
	Errors          []string
}

// Habit is what the clients of one kind have seen.
type Habit struct {
	Kind    Kind
	Clients int
	Ends    int // connections that the server has ended
	Faults  int // what must not happen at all: lost, repeated, damaged, refused
}

// Faults is the sum over kinds, all without any.
func (f *Figures) Faults(of ...Kind) int { return f.sum(of, func(h Habit) int { return h.Faults }) }

// Ends is the sum over kinds, all without any.
func (f *Figures) Ends(of ...Kind) int { return f.sum(of, func(h Habit) int { return h.Ends }) }

// Clients is the sum over kinds, all without any.
func (f *Figures) Clients(of ...Kind) int { return f.sum(of, func(h Habit) int { return h.Clients }) }

func (f *Figures) sum(of []Kind, figure func(Habit) int) (n int) {
	for _, h := range f.Habits {
		if len(of) == 0 || slices.Contains(of, h.Kind) {
			n += figure(h)
		}
	}
	return n
}

// maxErrors bounds how many faults are kept as text.
const maxErrors = 5

// seen gathers figures. Safe for concurrent use.
type seen struct {
	mu sync.Mutex
	of map[Kind]*Habit
	f  Figures

	ends []string // why connections have ended: f.Errors comes before
}

// habit returns that of a kind. The caller holds the lock.
func (s *seen) habit(k Kind) *Habit {
	if s.of == nil {
		s.of = make(map[Kind]*Habit)
	}
	if s.of[k] == nil {
		s.of[k] = &Habit{Kind: k}
	}
	return s.of[k]
}

func (s *seen) count(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.habit(k).Clients++
}

func (s *seen) fault(k Kind, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.habit(k).Faults++
	s.f.Errors = note(s.f.Errors, k, err)
}

func (s *seen) end(k Kind, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.habit(k).Ends++
	s.ends = note(s.ends, k, err)
}

func note(texts []string, k Kind, err error) []string {
	if len(texts) == maxErrors {
		return texts
	}
	return append(texts, fmt.Sprintf("%s: %v", k, err))
}

func (s *seen) arrived(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f.Delivered++
	s.f.LongestStream = max(s.f.LongestStream, took)
}

func (s *seen) published(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f.LongestPublish = max(s.f.LongestPublish, took)
}

func (s *seen) came(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.habit(KindNewcomer).Clients++
	s.f.LongestNewcomer = max(s.f.LongestNewcomer, took)
}

func (s *seen) firstFaults() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Concat(s.f.Errors, s.ends), "; ")
}

// Figures returns what was seen since the last call, or since the start.
func (c *Crowd) Figures() Figures {
	s := &c.seen
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.f
	f.Errors = slices.Concat(f.Errors, s.ends)
	for _, k := range kinds {
		h := s.of[k]
		if h == nil {
			continue
		}
		f.Habits = append(f.Habits, *h)
		h.Ends, h.Faults = 0, 0
		if k == KindNewcomer || k == KindHalf {
			h.Clients = 0
		}
	}
	s.f, s.ends = Figures{}, nil
	return f
}
