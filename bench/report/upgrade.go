package report

// Upgrade is one handover of all streams to a new process. Figures of the crowd are of clients
// that are written to all the time, or come and go, beside the streams.
type Upgrade struct {
	Kill   string `json:"kill,omitempty"` // what was done to which process, at which step
	Result string `json:"result"`
	Why    string `json:"why,omitempty"`

	Seconds          float64 `json:"seconds"`      // from the command to its result
	LoadSeconds      float64 `json:"load_seconds"` // until the successor had all channels and messages
	PauseMedianMS    float64 `json:"pause_median_ms"`
	PauseLongestMS   float64 `json:"pause_longest_ms"`
	PublishersMS     float64 `json:"pause_of_publishers_ms"`
	CPUMicros        float64 `json:"cpu_us_per_stream"` // of both processes, less what serving takes for as long
	RSSBytes         float64 `json:"rss_bytes_per_stream"`
	RSSMB            float64 `json:"rss_mb"` // of the successor
	Deliveries       int     `json:"deliveries"`
	Cut              int     `json:"streams_ended"`
	LastStream       float64 `json:"fan_out_seconds,omitempty"` // of an event that is published meanwhile
	CrowdDeliveries  int     `json:"crowd_deliveries"`
	CrowdPauseMS     float64 `json:"crowd_longest_delivery_ms"`
	CrowdPublishMS   float64 `json:"crowd_longest_publish_ms"`
	CrowdNewcomers   int     `json:"crowd_newcomers"`
	CrowdNewcomerMS  float64 `json:"crowd_longest_newcomer_ms"`
	CrowdFaults      int     `json:"crowd_faults"`
	CrowdEnds        int     `json:"crowd_ends"`
	CrowdEndsOverTLS int     `json:"crowd_ends_over_tls"`
}

// upgrades has the handovers of each result side by side, the worst of each figure.
func (d *Document) upgrades() Table {
	return d.table("Handed over to a new process (the worst of each figure)", func(r *Result) bool { return len(r.Upgrades) > 0 && !r.killed() }, []figure{
		{"handovers", func(r *Result) string { return Count(len(r.Upgrades)) }},
		{"seconds from the command to done", worst(func(u Upgrade) float64 { return u.Seconds })},
		{"of them until it had all channels and messages", worst(func(u Upgrade) float64 { return u.LoadSeconds })},
		{"pause of a stream: longest, ms", worst(func(u Upgrade) float64 { return u.PauseLongestMS })},
		{"pause of a stream: median, ms", worst(func(u Upgrade) float64 { return u.PauseMedianMS })},
		{"pause of publishers, ms", worst(func(u Upgrade) float64 { return u.PublishersMS })},
		{"processor time of both a stream, less that of serving, us", worst(func(u Upgrade) float64 { return u.CPUMicros })},
		{"resident bytes of the successor by streams", worst(func(u Upgrade) float64 { return u.RSSBytes })},
		{"longest from publishing to a stream of the crowd, ms", worst(func(u Upgrade) float64 { return u.CrowdPauseMS })},
		{"longest that a publisher of the crowd waited, ms", worst(func(u Upgrade) float64 { return u.CrowdPublishMS })},
		{"longest that a newcomer waited, ms", worst(func(u Upgrade) float64 { return u.CrowdNewcomerMS })},
		{"newcomers meanwhile", worst(func(u Upgrade) float64 { return float64(u.CrowdNewcomers) })},
	})
}

func (r *Result) killed() bool { return r.Upgrades[0].Kill != "" }

func worst(of func(Upgrade) float64) func(*Result) string {
	return func(r *Result) string {
		most := 0.0
		for _, u := range r.Upgrades {
			most = max(most, of(u))
		}
		return Figure(most)
	}
}
