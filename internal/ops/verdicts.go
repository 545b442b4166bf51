package ops

import "millrace/server"

// The metrics of verdicts.
var (
	verdicts     = desc("verdicts_total", "Verdicts on streams asked for: by which means, with what status (granted, unauthorized, forbidden, later), and why.", "means", "status", "reason")
	lateVerdicts = desc("verdicts_late_total", "Verdicts that came when nobody waited for them any more.")
)

func collectVerdicts(n *server.Stats, counter collect) {
	for kind, times := range n.Verdicts {
		counter(verdicts, float64(times), kind.Means, kind.Status, kind.Reason)
	}
	counter(lateVerdicts, float64(n.LateVerdicts))
}
