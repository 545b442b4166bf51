// Package doctor tells how many idle event streams this host can hold, which of
// its limits binds first, and which line raises it.
//
// A [Host] has the limits that were read, by [Local] from this host or by [Read] from a tree
// of files. [Examine] turns it and a [Plan] into a [Report], which prints as a
// table, as JSON, or as one line.
//
// A limit allows as much as it leaves beside its use at this moment, as far as
// that can be read. The figures per stream are measured ones, see limits.go. A limit
// that bounds events under way, bursts and mass closes, but no number of idle
// streams, is a [Setting]. Limits are those of this process: run it as the user,
// and in the service or container, that will run the server.
package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Plan describes the server that the host is to run. The zero value has one descriptor
// table, its clients elsewhere, and no number of streams in mind.
type Plan struct {
	Target   int  // streams to hold, 0 to MaxTarget; 0 for none in mind
	PerLoop  bool // a descriptor table per event loop, where that is possible
	Loopback bool // the clients are on this host, too, as those of a load generator
}

const (
	// MaxTarget is the largest Target, far above what any host holds.
	MaxTarget = 1_000_000_000
	// example is the number of streams that fixes are for when none is in mind.
	example = 1_000_000
)

// wanted returns the number of streams that fixes are for.
func (p Plan) wanted() int64 {
	if p.Target == 0 {
		return example
	}
	return int64(p.Target)
}

// Count is a number of streams or descriptors. Where it is Unlimited or Unknown,
// it is null in JSON and "-" in tables.
type Count int64

// Unlimited is a limit that is none, or so large that it makes no difference.
const Unlimited = math.MaxInt64

// MarshalJSON encodes c.
func (c Count) MarshalJSON() ([]byte, error) {
	if c == Unlimited || c == Unknown {
		return []byte("null"), nil
	}
	return json.Marshal(int64(c))
}

// String returns c with its thousands apart: 1,000,000.
func (c Count) String() string {
	if c == Unlimited || c == Unknown {
		return "-"
	}
	digits := strconv.FormatInt(int64(c), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Report is what Examine has found. Its JSON form is for programs: names stay,
// fields may be added.
type Report struct {
	Machine     Machine     `json:"machine"`
	Target      int         `json:"target"`    // streams asked for; 0 if none were
	FixesFor    Count       `json:"fixes_for"` // streams that the fixes are for
	Loopback    bool        `json:"loopback"`  // both ends of each stream counted
	PerLoop     bool        `json:"per_loop"`  // a descriptor table per loop
	Holds       Count       `json:"holds"`     // streams that this host holds
	First       string      `json:"first"`     // name of the limit that binds first; "" if none does
	Enough      bool        `json:"enough"`    // Holds is at least Target
	Descriptors Descriptors `json:"descriptors"`
	Tables      Tables      `json:"tables"`
	Limits      []Limit     `json:"limits"`   // the one that allows least first
	Settings    []Setting   `json:"settings"` // they bound no number of streams
	Unread      []Unread    `json:"unread"`   // they could not be read, and so are not counted
}

// Tables tells the effect of a descriptor table per loop.
type Tables struct {
	Possible bool   `json:"possible"`
	Reason   string `json:"reason,omitempty"` // why it is not
	PerTable Count  `json:"per_table"`        // streams that the server plans for one table
	Holds    Count  `json:"holds"`            // streams that this host would hold
	First    string `json:"first"`            // the limit that would bind first
}

// Limit is one thing that bounds the number of streams.
type Limit struct {
	Name    string  `json:"name"`    // e.g. "descriptors"
	Setting string  `json:"setting"` // its name where it is set, e.g. "ulimit -n"
	Value   string  `json:"value"`   // as read; memory in binary units
	Allows  Count   `json:"allows"`  // streams
	Verdict Verdict `json:"verdict"`
	Fixes   []Fix   `json:"fixes,omitempty"` // alternatives, if it allows too few

	fix func(streams int64) []Fix
}

// Verdict tells whether a limit suffices for the plan.
type Verdict string

const (
	NoBound Verdict = "no bound"    // it does not bound the number of streams here
	First   Verdict = "binds first" // no other allows less, and nothing was asked for
	Later   Verdict = "binds later" // another allows less, and nothing was asked for
	TooLow  Verdict = "too low"     // it allows fewer streams than the plan has
	Enough  Verdict = "enough"      // it allows the plan's streams
)

// Fix is one line that raises a limit as far as is needed.
type Fix struct {
	Where string `json:"where"` // "shell", "systemd" (section Service), "container" (option of run), "serve" (option) or "host"
	Line  string `json:"line"`
}

// Unread is something that could not be read.
type Unread struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Examine finds how many streams h can hold under p.
func Examine(h Host, p Plan) Report {
	p.PerLoop = p.PerLoop && h.Tables == nil
	r := Report{
		Machine: h.Machine, Target: p.Target, FixesFor: Count(p.wanted()), Loopback: p.Loopback, PerLoop: p.PerLoop,
		Descriptors: h.Descriptors, Unread: append([]Unread{}, h.Unread...), // [] in JSON, not null
		Limits: h.limits(p), Settings: h.settings(p),
	}
	r.Holds, r.First = first(r.Limits)
	r.Enough = int64(r.Holds) >= int64(p.Target)
	for i := range r.Limits {
		l := &r.Limits[i]
		l.Verdict = verdict(l.Allows, p.Target, i == 0)
		if int64(l.Allows) < p.wanted() {
			l.Fixes = l.fix(p.wanted())
		}
	}
	r.Tables = Tables{Possible: h.Tables == nil, PerTable: Count(h.perTable())}
	if h.Tables != nil {
		r.Tables.Reason = h.Tables.Error()
	} else {
		p.PerLoop = true
	}
	r.Tables.Holds, r.Tables.First = first(h.limits(p))
	return r
}

// first returns the streams that the first of limits allows, and its name.
func first(limits []Limit) (Count, string) {
	if len(limits) == 0 || limits[0].Allows == Unlimited {
		return Unlimited, ""
	}
	return limits[0].Allows, limits[0].Name
}

func verdict(allows Count, target int, least bool) Verdict {
	switch {
	case allows == Unlimited:
		return NoBound
	case int64(allows) < int64(target):
		return TooLow
	case target > 0:
		return Enough
	case least:
		return First
	default:
		return Later
	}
}

// Verdict returns r in one line, for a log.
func (r Report) Verdict() string {
	if r.First == "" {
		return "no limit found on the streams that this host holds"
	}
	l := r.Limits[0]
	return fmt.Sprintf("this host holds %s streams; first limit: %s (%s %s)", r.Holds, l.Name, l.Setting, l.Value)
}

// byAllowance sorts limits so that the one which allows least comes first. Limits that
// allow the same stay in order: a limit before the limit of it.
func byAllowance(limits []Limit) []Limit {
	slices.SortStableFunc(limits, func(a, b Limit) int { return cmp.Compare(a.Allows, b.Allows) })
	return limits
}
