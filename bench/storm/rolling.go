package storm

import (
	"cmp"
	"slices"
)

// Balance is how a balancer chooses a node for a connection.
type Balance int

// The ways of balancing.
const (
	AtRandom Balance = iota // or in turn, or by a hash
	LeastConnections
)

func (b Balance) String() string {
	return [...]string{"at random", "least connections"}[b]
}

// Rolling has the shares after a rolling restart. The unit is the streams that
// each node had before.
type Rolling struct {
	Peak     float64 // the most that a node had at any time
	Fullest  float64 // node at the end
	Emptiest float64
	Rush     float64 // the most that came to one node while others were drained
}

// RollingRestart drains the nodes of a service, some at a time, each time with
// those back that were drained before.
func RollingRestart(nodes, together int, by Balance) Rolling {
	loads := slices.Repeat([]float64{1}, nodes)
	peak, rush := 0.0, 0.0
	for first := 0; first < nodes; first += together {
		last := min(first+together, nodes)
		crowd := 0.0
		for i := first; i < last; i++ {
			crowd += loads[i]
			loads[i] = 0
		}
		others := make([]*float64, 0, nodes)
		for i := range loads {
			if i < first || i >= last {
				others = append(others, &loads[i])
			}
		}
		rush = max(rush, spread(crowd, others, by))
		peak = max(peak, slices.Max(loads))
	}
	return Rolling{peak, slices.Max(loads), slices.Min(loads), rush}
}

// spread adds a crowd to the loads of nodes, and returns the most that one gets.
func spread(crowd float64, loads []*float64, by Balance) (most float64) {
	level := 0.0 // to which the least are filled up
	if by == LeastConnections {
		slices.SortFunc(loads, func(a, b *float64) int { return cmp.Compare(*a, *b) })
		sum := crowd
		for i, load := range loads {
			sum += *load
			if level = sum / float64(i+1); i+1 == len(loads) || level <= *loads[i+1] {
				break
			}
		}
	}
	for _, load := range loads {
		more := crowd / float64(len(loads))
		if by == LeastConnections {
			more = max(level-*load, 0)
		}
		*load += more
		most = max(most, more)
	}
	return most
}
