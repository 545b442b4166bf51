package ops

import "millrace/internal/handover"

// The metrics of upgrades, which count over all processes of the service.
var (
	upgrades        = desc("upgrades_total", "Upgrades, by what came of them: done, refused, failed before anything was moved, taken_back.", "result")
	upgradeStreams  = desc("upgrade_streams", "Event streams that the last upgrade has moved.")
	upgradeEnded    = desc("upgrade_ended_connections", "Connections that the last upgrade could not move.")
	upgradeDuration = desc("upgrade_duration_seconds", "How long the last upgrade took.")
	upgradePause    = desc("upgrade_pause_seconds", "How long clients were not served in the last upgrade: the median of streams, the longest, and publishers.", "of")
)

func collectUpgrades(n handover.Upgrades, gauge, counter collect) {
	for result, times := range map[string]uint64{"done": n.Done, "refused": n.Refused, "failed": n.Failed, "taken_back": n.TakenBack} {
		counter(upgrades, float64(times), result)
	}
	gauge(upgradeStreams, float64(n.Last.Streams))
	gauge(upgradeEnded, float64(n.Last.Ended))
	gauge(upgradeDuration, n.Last.Took.Seconds())
	gauge(upgradePause, n.Last.Median.Seconds(), "median")
	gauge(upgradePause, n.Last.Longest.Seconds(), "longest")
	gauge(upgradePause, n.Last.Publishers.Seconds(), "publishers")
}
