package server

import (
	"sync"

	"millrace/internal/auth"
)

// maxVerdictKinds bounds the kinds that are told apart. There are a few dozen.
const maxVerdictKinds = 256

// VerdictKind has the labels by which verdicts are counted: those of auth.Verdict.
type VerdictKind struct{ Means, Status, Reason string }

// verdictCounts counts the verdicts of one loop. Safe for concurrent use.
type verdictCounts struct {
	mu     sync.Mutex
	counts map[VerdictKind]uint64
}

// count counts a verdict.
func (n *verdictCounts) count(v *auth.Verdict) {
	kind := VerdictKind{v.Means, v.Status.String(), v.Reason}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts == nil {
		n.counts = make(map[VerdictKind]uint64)
	}
	if _, known := n.counts[kind]; !known && len(n.counts) >= maxVerdictKinds {
		kind = VerdictKind{"other", kind.Status, "other"}
	}
	n.counts[kind]++
}

// addTo adds the counts to sum.
func (n *verdictCounts) addTo(sum map[VerdictKind]uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for kind, times := range n.counts {
		sum[kind] += times
	}
}
