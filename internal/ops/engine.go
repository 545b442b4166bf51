package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"millrace/channels"
)

// The metrics of the engine between nodes. Those but engine_up are there if it is.
var (
	engineUp        = desc("engine_up", "1 while the engine between nodes is reached, or where there is none, else 0.")
	engineSince     = desc("engine_since_timestamp_seconds", "When engine_up changed last, in Unix time.")
	engineReturns   = desc("engine_reconnects_total", "Times that the engine has been reached again.")
	engineFailures  = desc("engine_publish_failures_total", "Events that the engine did not take.")
	enginePublishes = desc("engine_publish_seconds", "Time that the engine took for an event, or for the events of one pipeline.")
)

func (c *collector) collectEngine(gauge, counter collect, ch chan<- prometheus.Metric) {
	if c.cfg.Engine == nil {
		gauge(engineUp, 1)
		return
	}
	state, published := c.cfg.Engine(), c.cfg.Broker.Ports().Publishing()
	up := 0.0
	if state.Up {
		up = 1
	}
	gauge(engineUp, up)
	gauge(engineSince, float64(state.Since.UnixMilli())/1000)
	counter(engineReturns, float64(max(0, state.Connects-1)))
	counter(engineFailures, float64(published.Failed))
	ch <- constTimes(enginePublishes, &published.Times)
}

// constTimes is t as Prometheus has it.
func constTimes(d *prometheus.Desc, t *channels.Times) prometheus.Metric {
	buckets := make(map[float64]uint64, channels.TimesBuckets)
	below := uint64(0)
	for i, n := range t.Counts {
		if below += n; i < channels.TimesBuckets-1 {
			buckets[channels.TimesBound(i).Seconds()] = below
		}
	}
	return prometheus.MustNewConstHistogram(d, below, t.Sum.Seconds(), buckets)
}
