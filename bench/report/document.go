// Package report has the figures of a bench as a document: for programs as
// JSON, and for people as one HTML page that needs nothing else.
package report

import (
	"encoding/json"
	"io"
	"slices"
	"time"
)

// Document has the figures of one run of a bench. Numbers have their unit in
// their name.
type Document struct {
	Title    string    `json:"title"`
	Command  string    `json:"command"`
	Commit   string    `json:"commit"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Machine  Machine   `json:"machine"`
	Notes    []string  `json:"notes,omitempty"`
	Verdicts []Verdict `json:"verdicts,omitempty"`
	Results  []*Result `json:"results"`
}

// Machine is where it was measured.
type Machine struct {
	CPU             string            `json:"cpu"`
	Cores           int               `json:"cores"`
	MemoryMB        int               `json:"memory_mb"`
	Kernel          string            `json:"kernel"`
	Go              string            `json:"go"`
	DescriptorLimit int               `json:"descriptor_limit"`
	Sysctls         map[string]string `json:"sysctls"`
}

// Verdict is something that must hold, and whether it did.
type Verdict struct {
	What   string `json:"what"`
	Want   string `json:"want"`
	Got    string `json:"got"`
	Passed bool   `json:"passed"`
}

// Result has the figures of one server with so many streams.
type Result struct {
	Server  string `json:"server"`
	Version string `json:"version,omitempty"`
	Streams int    `json:"streams"`
	Payload int    `json:"payload,omitempty"` // bytes of an event's data; 0 for UsualPayload

	Connect    *Connect     `json:"connect,omitempty"`
	Broadcasts []Broadcast  `json:"broadcasts,omitempty"`
	Idle       *Idle        `json:"idle,omitempty"`
	Flood      *Flood       `json:"flood,omitempty"`
	Churn      *Churn       `json:"churn,omitempty"`
	Storm      *Connect     `json:"storm,omitempty"`
	Upgrades   []Upgrade    `json:"upgrades,omitempty"`
	Return     *Return      `json:"return,omitempty"`
	Rolling    *Rolling     `json:"rolling,omitempty"`
	Close      *Close       `json:"close,omitempty"`
	GC         *GC          `json:"gc,omitempty"`
	Latency    []Percentile `json:"latency,omitempty"` // over all broadcasts and streams
	Samples    []Sample     `json:"samples,omitempty"`
}

// UsualPayload is the size of an event's data where nothing else is said, in bytes.
const UsualPayload = 16

// Name is the server with its number of streams, and with the size of an event if that is
// not the usual one.
func (r *Result) Name() string {
	name := r.Server + ", " + Count(r.Streams)
	if r.Payload != 0 && r.Payload != UsualPayload {
		name += ", " + Count(r.Payload) + " B"
	}
	return name
}

// Connect is the opening of all streams.
type Connect struct {
	Seconds        float64 `json:"seconds"`
	PerSecond      float64 `json:"per_second"`
	ServerMicros   float64 `json:"server_cpu_us_per_stream"`
	LatencyMS      Summary `json:"latency_ms"`
	RSSBytes       float64 `json:"rss_bytes_per_stream"`        // of the whole server, by streams
	AnonBytes      float64 `json:"anon_bytes_per_stream"`       // the same, of its anonymous memory
	GrownRSSBytes  float64 `json:"grown_rss_bytes_per_stream"`  // the memory that the streams have brought
	GrownAnonBytes float64 `json:"grown_anon_bytes_per_stream"` // the same, of anonymous memory
	KernelBytes    float64 `json:"kernel_bytes_per_stream"`     // both ends, on the whole host
	RSSMB          float64 `json:"rss_mb"`
	AnonMB         float64 `json:"anon_mb"`
	BaseRSSMB      float64 `json:"base_rss_mb"` // before the first stream
}

// Summary is the short form of a distribution.
type Summary struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Broadcast is one event to all streams.
type Broadcast struct {
	Seconds      float64 `json:"seconds"` // from its publishing to the last stream
	Deliveries   int     `json:"deliveries"`
	PerSecond    float64 `json:"deliveries_per_second"`
	ServerMicros float64 `json:"server_cpu_us_per_delivery"`
	ClientMicros float64 `json:"client_cpu_us_per_delivery"`
	Bytes        float64 `json:"bytes_per_delivery"` // that clients have read, records of TLS included
	LatencyMS    Summary `json:"latency_ms"`         // from publishing to each arrival
}

// Idle is a time in which nothing was published.
type Idle struct {
	Seconds       float64 `json:"seconds"`
	ServerPercent float64 `json:"server_cpu_percent"` // of one processor
	Pings         int     `json:"pings"`
	PingsOffMS    Summary `json:"pings_off_phase_ms"`
}

// Flood is events published as fast as they were accepted.
type Flood struct {
	Seconds        float64 `json:"seconds"` // to the last byte
	Events         int     `json:"events"`
	Deliveries     int     `json:"deliveries"`
	PerSecond      float64 `json:"deliveries_per_second"`
	ServerMicros   float64 `json:"server_cpu_us_per_delivery"`
	EventsPerWrite float64 `json:"events_per_write,omitempty"`
	LagMS          Summary `json:"lag_ms"` // of events: from publishing to the last stream
}

// Churn is streams that come and go.
type Churn struct {
	Seconds      float64 `json:"seconds"`
	Replaced     int     `json:"replaced"`
	PerSecond    float64 `json:"per_second"`
	ServerMicros float64 `json:"server_cpu_us_per_stream"`
	GrownRSSMB   float64 `json:"grown_rss_mb"`
}

// Close is the end of all streams.
type Close struct {
	Seconds       float64 `json:"seconds"`
	FullRSSMB     float64 `json:"full_rss_mb"` // before it, with all streams open
	RSSMB         float64 `json:"rss_mb"`
	KernelPercent float64 `json:"kernel_memory_back_percent"`
	SocketsLeft   int     `json:"sockets_left"`
}

// GC has the figures of a garbage collector.
type GC struct {
	Pauses     int     `json:"pauses"`
	MaxMS      float64 `json:"max_ms"`
	OpenPauses int     `json:"open_pauses"` // since all streams were open
	OpenMaxMS  float64 `json:"open_max_ms"`
}

// Percentile is one point of a distribution.
type Percentile struct {
	Percent float64 `json:"percent"`
	MS      float64 `json:"ms"`
}

// Sample is one moment of a result.
type Sample struct {
	Second   float64 `json:"second"` // since the server was started
	Streams  int     `json:"streams"`
	RSSMB    float64 `json:"rss_mb"`
	KernelMB float64 `json:"kernel_mb"` // on the whole host, less what there was before
}

// WriteJSON writes the document for programs.
func (d *Document) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(d)
}

// Passed tells whether every verdict holds.
func (d *Document) Passed() bool {
	for _, v := range d.Verdicts {
		if !v.Passed {
			return false
		}
	}
	return true
}

// Median returns the median of a figure of the broadcasts, of which there is
// one at least.
func (r *Result) Median(of func(Broadcast) float64) float64 {
	var all []float64
	for _, b := range r.Broadcasts {
		all = append(all, of(b))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
