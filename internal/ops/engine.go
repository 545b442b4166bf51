package ops

import "millrace/channels"

// The metrics of the engine between nodes. Those but engine_up are there if it is.
var (
	engineUp        = desc("engine_up", "1 while the engine between nodes is reached, or where there is none, else 0.")
	engineSince     = desc("engine_since_timestamp_seconds", "When engine_up changed last, in Unix time.")
	engineReturns   = desc("engine_reconnects_total", "Times that the engine has been reached again.")
	engineFailures  = desc("engine_publish_failures_total", "Events that the engine did not take.")
	enginePublishes = desc("engine_publish_seconds", "Time that the engine took for an event, or for the events of one pipeline.")
)

func (c *collector) collectEngine(s sink) {
	gauge, counter := s.gauge, s.counter
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
	s.histogram(enginePublishes, published.Times.Counts[:], engineBounds, int64(published.Times.Sum))
}

// engineBounds are the buckets of channels.Times that are shown: all but the last, which has no
// end.
var engineBounds = func() map[int]float64 {
	bounds := make(map[int]float64, channels.TimesBuckets)
	for i := range channels.TimesBuckets - 1 {
		bounds[i] = channels.TimesBound(i).Seconds()
	}
	return bounds
}()
