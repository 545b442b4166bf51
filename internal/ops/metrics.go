package ops

import (
	"math"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/procfs"

	"millrace/channels"
	"millrace/server"
)

// metrics answers GET /metrics.
func (s *Server) metrics() http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(
		&collector{s},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// desc describes a metric of millrace.
func desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("millrace_"+name, help, labels, nil)
	named[d] = name
	return d
}

// The metrics, in the order of docs/operations.md.
var (
	buildInfo = desc("build_info", "1, with the versions of millrace and of Go.", "version", "goversion")

	ready        = desc("ready", "1 while new clients should come here (see /readyz), else 0.")
	logDropped   = desc("log_lines_dropped_total", "Lines that the log has dropped: its reader has stopped, or is too slow.")
	connections  = desc("connections", "Open connections by state: head (its request is awaited), undecided (it waits for its verdict), stream, behind (a stream whose socket is full), closing (has had its last byte).", "state")
	streamLimit  = desc("connections_max", "Streams that may be open at once.")
	accepted     = desc("connections_accepted_total", "Connections accepted.")
	closed       = desc("connections_closed_total", "Connections ended, by reason.", "reason")
	opened       = desc("streams_opened_total", "Event streams begun.")
	refused      = desc("requests_refused_total", "Requests refused, by the status of the answer.", "status")
	acceptPauses = desc("accept_pauses_total", "Times that accepting had to wait for descriptors, memory or the connection limit.")

	eventsPublished = desc("events_published_total", "Events published at this node.")
	messages        = desc("messages_total", "Messages of all channels, published at this node or at another one.")
	gaps            = desc("gaps_total", "Gaps, by reason: one for a stream that came back and may have missed something, and one for a channel with streams.", "reason")
	undecoded       = desc("events_undecoded_total", "Events of other nodes that were not of the form of their channel and were passed on as they were.")
	refusedChannels = desc("channels_refused", "Channels with subscribers that the engine of the backplane refuses: messages of other nodes do not come.")
	deliveries      = desc("deliveries_total", "Messages written to a stream, whole.")
	writes          = desc("writes_total", "Writes that carried messages: deliveries by writes are the events per write.")
	bytesOut        = desc("written_bytes_total", "Bytes written to clients.")
	keepalives      = desc("keepalives_total", "Pings written to silent streams.")
	fanout          = desc("fanout_seconds", "Time from the first write to the last of a loop's turn.")

	loopTurn    = desc("loop_turn_seconds", "Time that a loop takes for one ready connection or one slice of its work.")
	loopBusy    = desc("loop_busy_seconds_total", "Time that a loop has worked: its rate is the part of a processor that the loop takes.", "loop")
	loopStreams = desc("loop_streams", "Open event streams of a loop.", "loop")
	loopInbox   = desc("loop_inbox_messages", "Messages that wait for a loop.", "loop")

	channelCount = desc("channels", "Channels that have subscribers or history.")
	history      = desc("history_bytes", "Memory of the messages that all channels keep.")
	maxHistory   = desc("history_bytes_max", "The most that history_bytes may be.")

	tcpPages        = desc("tcp_mem_pages", "Memory of all TCP sockets of the network namespace, in pages.")
	maxTCPPages     = desc("tcp_mem_pages_max", "The most that tcp_mem_pages may be (net.ipv4.tcp_mem).")
	listenOverflows = desc("listen_overflows_total", "Connections of the network namespace that found an accept queue full.")
	listenDrops     = desc("listen_drops_total", "Connections of the network namespace that a listener dropped, for whatever reason.")
)

// collector reads the figures of a node when it is asked to. Nothing is counted
// twice: what it reads are the counters that each loop writes for itself.
type collector struct{ *Server }

// collect takes one figure.
type collect func(d *prometheus.Desc, v float64, labels ...string)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, ready, engineUp, engineSince, engineReturns, engineFailures, enginePublishes, logDropped, connections, streamLimit, accepted, closed, opened, refused, acceptPauses, verdicts, lateVerdicts,
		eventsPublished, messages, gaps, undecoded, refusedChannels, deliveries, writes, bytesOut, keepalives, fanout,
		gzipStreams, gzipChannels, gzipMessages, gzipText, gzipBytes, gzipDictionaries, gzipTime,
		loopTurn, loopBusy, loopStreams, loopInbox, channelCount, history, maxHistory,
		kicksDone, kickedStreams, kickedUsers, kicksFolded, controlDropped, ticketsIssued, ticketsKnown, ticketsForgotten,
		tokenKeys, tokenFetches, tokenStrange, tokensWaiting,
		applicationRequests, applicationKept, applicationJoined, applicationOverflow, applicationAnswers, applicationWaiting, applicationAsking,
		adminConnections, maxAdminConnections, adminRejected, adminDisplaced, adminDropped, adminEnded, wrongPasswords, adminUnread, adminHandshakes, adminTLSFailures,
		opsConnections, maxOpsConnections, opsDisplaced, opsRejected, opsRefused, wrongTokens, opsStreams, opsHandshakes, opsTLSFailures,
		byProtocol, h2Streams, h2Faults, tlsHandshaking, tlsHandshakes, tlsFailures, certExpiry, certReloadFails, ticketKeysFails, acmeOrders, acmeMissing,
		upgrades, upgradeStreams, upgradeEnded, upgradeDuration, upgradePause,
		tcpPages, maxTCPPages, listenOverflows, listenDrops,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := show{bases: &c.base, ch: ch}
	c.collect(&s)
	s.rest()
}

// collect reads all figures.
func (c *collector) collect(s sink) {
	gauge, counter := s.gauge, s.counter
	gauge(buildInfo, 1, c.cfg.Version, runtime.Version())

	isReady := 0.0
	if c.cfg.Ready() == nil {
		isReady = 1
	}
	gauge(ready, isReady)
	c.collectEngine(s)
	counter(logDropped, float64(c.cfg.LogDropped()))
	n := c.cfg.Streams.Stats()
	gauge(connections, float64(n.Connections-n.Streams-n.Undecided-n.Lingering), "head")
	gauge(connections, float64(n.Undecided), "undecided")
	gauge(connections, float64(n.Streams-n.Behind), "stream")
	gauge(connections, float64(n.Behind), "behind")
	gauge(connections, float64(n.Lingering), "closing")
	gauge(streamLimit, float64(c.cfg.Streams.MaxConnections()))
	counter(accepted, float64(n.Accepted))
	for reason, times := range n.Closed {
		counter(closed, float64(times), strings.ReplaceAll(reason, " ", "_"))
	}
	counter(opened, float64(n.Opened))
	for status, times := range n.RefusedBy {
		counter(refused, float64(times), strconv.Itoa(status))
	}
	counter(acceptPauses, float64(n.AcceptPauses))
	collectVerdicts(&n, counter)
	for _, p := range protocols(&n) {
		gauge(byProtocol, float64(p.Open), p.Name)
	}
	if c.cfg.Certificates != nil {
		collectTLS(&n, c.cfg.Certificates, c.cfg.Issued, c.cfg.TicketKeys, gauge, counter)
	}
	counter(deliveries, float64(n.Deliveries))
	counter(writes, float64(n.Writes))
	counter(bytesOut, float64(n.Bytes))
	counter(keepalives, float64(n.Pings))
	s.histogram(fanout, n.Fanout.Counts[:], loopBounds, int64(n.Fanout.Sum))
	s.histogram(loopTurn, n.Step.Counts[:], loopBounds, int64(n.Step.Sum))
	for i, l := range c.cfg.Streams.LoopStats() {
		loop := strconv.Itoa(i)
		counter(loopBusy, l.Busy.Seconds(), loop)
		gauge(loopStreams, float64(l.Streams), loop)
		gauge(loopInbox, float64(l.Inbox), loop)
	}

	b := c.cfg.Broker.Ports().Figures()
	counter(eventsPublished, float64(c.cfg.Broker.Ports().Publishing().Published))
	counter(messages, float64(b.Messages))
	for reason, n := range b.Gaps[1:] {
		counter(gaps, float64(n), channels.Gap(reason+1).String())
	}
	counter(undecoded, float64(b.Undecoded))
	gauge(refusedChannels, float64(b.Refused))
	gauge(channelCount, float64(b.Channels))
	gauge(history, float64(b.Kept))
	gauge(maxHistory, float64(b.MaxKept))
	collectGzip(&n, &b, gauge, counter)
	if c.cfg.Control != nil {
		collectControl(c.cfg.Control.Stats(), gauge, counter)
	}
	if c.cfg.Tickets != nil {
		collectTickets(c.cfg.Tickets.Stats(), gauge, counter)
	}
	if c.cfg.Tokens != nil {
		collectTokens(c.cfg.Tokens.Stats(), gauge, counter)
	}
	if c.cfg.Application != nil {
		collectApplication(c.cfg.Application.Stats(), gauge, counter)
	}
	if c.cfg.Admin != nil {
		collectAdmin(c.cfg.Admin(), gauge, counter)
	}
	collectOps(c.Stats(), gauge, counter)
	if c.cfg.Upgrades != nil {
		collectUpgrades(c.cfg.Upgrades(), gauge, counter)
	}

	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return // this is not Linux
	}
	if pages, most, err := tcpMemory(proc); err == nil {
		gauge(tcpPages, float64(pages))
		gauge(maxTCPPages, float64(most))
	}
	if overflows, drops, err := listenFailures(proc); err == nil {
		counter(listenOverflows, overflows)
		counter(listenDrops, drops)
	}
}

// loopBounds are the buckets of a server.Histogram that are shown: whole powers of two, since
// every bucket is a time series.
var loopBounds = func() map[int]float64 {
	bounds := make(map[int]float64, server.HistogramBuckets/4)
	for i := range server.HistogramBuckets - 1 {
		if bound := server.HistogramBound(i); isPowerOfTwo(bound) {
			bounds[i] = bound.Seconds()
		}
	}
	return bounds
}()

func isPowerOfTwo(d time.Duration) bool {
	fraction, _ := math.Frexp(float64(d / time.Microsecond))
	return fraction == 0.5
}
