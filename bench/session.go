package bench

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"

	"millrace/bench/report"
)

// Session is a server and the streams that load it, each in a process of its
// own, and their results so far. Its methods are for one goroutine.
type Session struct {
	Result *report.Result

	server  *Server
	clients *Process
	cfg     Config
	next    uint64 // number of the next event
	base    Usage  // of the server, before the first stream
	sampler *sampler
	latency *Histogram // of all broadcasts
	opening int        // pauses of the server's garbage collector until all streams were open
	note    func(string)
}

// Load says how a Session loads its server. Zero fields mean the defaults.
type Load struct {
	Streams     int
	Source      int           // see Config
	PayloadSize int           // 16 bytes by default
	PingPeriod  time.Duration // see Config
	Gather      time.Duration // see Config; by default 20 ms where there are many loops
	Opening     int           // see Config; by default as many as there are processors
	Connecting  int           // see Config
	Anywhere    bool          // see Config
	Timeout     time.Duration // of each step; 5 minutes by default
	Note        func(string)  // is told what is being done
}

// NewSession starts the process of the streams, and none of these yet. It takes
// over the server.
func NewSession(server *Server, load Load) (*Session, error) {
	loops, ownTables := LoopsFor(load.Streams, 0)
	load.PayloadSize = cmp.Or(load.PayloadSize, report.UsualPayload)
	load.Opening = cmp.Or(load.Opening, runtime.GOMAXPROCS(0))
	load.Timeout = cmp.Or(load.Timeout, 5*time.Minute)
	if server.Protocol.isSecure() { // a handshake each
		load.Timeout += time.Duration(load.Streams) * time.Millisecond
	}
	if ownTables {
		load.Gather = cmp.Or(load.Gather, 20*time.Millisecond)
	}
	clients, err := Start(partStreams)
	if err != nil {
		server.Close()
		return nil, err
	}
	s := &Session{
		Result:  &report.Result{Server: server.Name, Version: server.Version, Streams: load.Streams, Payload: load.PayloadSize},
		server:  server,
		clients: clients,
		cfg: Config{
			Addr: server.Addr, Host: server.Host, Target: server.Target, Streams: load.Streams,
			Protocol: server.Protocol, PerConnection: server.PerConnection, Certificate: server.Certificate, OwnWindows: server.ownWindows,
			PayloadSize: load.PayloadSize, Source: load.Source,
			PingPeriod: load.PingPeriod, Gather: load.Gather, Opening: load.Opening, Connecting: load.Connecting,
			Loops: loops, OwnTables: ownTables, Anywhere: load.Anywhere, Timeout: load.Timeout,
		},
		latency: NewHistogram(),
		note:    load.Note,
	}
	s.sampler = startSampler(s)
	s.base, err = server.Usage()
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Open opens the streams.
func (s *Session) Open() error {
	c, err := s.open()
	s.Result.Connect = c
	pauses, _ := s.server.Pauses()
	s.opening = len(pauses)
	return err
}

// Storm closes all streams and opens them again, everybody at once.
func (s *Session) Storm() error {
	s.say("%s: everybody reconnects", s.server.Name)
	if err := s.call("Close", None{}, &None{}); err != nil {
		return err
	}
	s.cfg.Connecting, s.cfg.Opening = 4096, s.cfg.Loops
	s.cfg.Source += s.cfg.Streams/sourcePorts + 1 // the ports of before are not free yet
	c, err := s.open()
	s.Result.Storm = c
	return err
}

func (s *Session) open() (*report.Connect, error) {
	s.say("%s: opening %s streams", s.server.Name, report.Count(s.cfg.Streams))
	before, err := s.server.Usage()
	if err != nil {
		return nil, err
	}
	s.cfg.FirstEvent = s.next
	var r Report
	if err := s.call("Open", s.cfg, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", s.server.Name, err)
	}
	after, err := s.server.Usage()
	if err != nil {
		return nil, err
	}
	n, took := float64(s.cfg.Streams), r.Answered-r.Began
	return &report.Connect{
		Seconds:        took.Seconds(),
		PerSecond:      n / took.Seconds(),
		ServerMicros:   micros(after.CPU-before.CPU) / n,
		LatencyMS:      summary(r.Connects),
		RSSBytes:       float64(after.RSS) / n,
		AnonBytes:      float64(after.Anon) / n,
		GrownRSSBytes:  float64(after.RSS-s.base.RSS) / n,
		GrownAnonBytes: float64(after.Anon-s.base.Anon) / n,
		KernelBytes:    s.sampler.now().KernelMB * (1 << 20) / n,
		RSSMB:          megabytes(after.RSS),
		AnonMB:         megabytes(after.Anon),
		BaseRSSMB:      megabytes(s.base.RSS),
	}, nil
}

// Broadcast publishes one event and waits until every stream has it.
func (s *Session) Broadcast() error {
	s.say("%s: event %d to %s streams", s.server.Name, s.next, report.Count(s.cfg.Streams))
	before, err := s.intact()
	if err != nil {
		return err
	}
	server, err := s.server.Usage()
	if err != nil {
		return err
	}
	clients, err := s.clients.CPU()
	if err != nil {
		return err
	}
	published := Now()
	if err := s.call("Expect", published, &None{}); err != nil {
		return err
	}
	if err := s.server.Publish(s.next, 1, s.cfg.PayloadSize); err != nil {
		return err
	}
	if err := s.await(s.next); err != nil {
		return err
	}
	s.next++
	serverAfter, err := s.server.Usage()
	if err != nil {
		return err
	}
	clientsAfter, err := s.clients.CPU()
	if err != nil {
		return err
	}
	r, err := s.intact()
	if err != nil {
		return err
	}
	took := r.Arrivals[len(r.Arrivals)-1].Last - published
	s.latency.Merge(r.Latency)
	n := float64(s.cfg.Streams)
	s.Result.Broadcasts = append(s.Result.Broadcasts, report.Broadcast{
		Seconds:      took.Seconds(),
		Deliveries:   int(r.Latency.Count()),
		PerSecond:    n / took.Seconds(),
		ServerMicros: micros(serverAfter.CPU-server.CPU) / n,
		ClientMicros: micros(clientsAfter-clients) / n,
		Bytes:        float64(r.Bytes-before.Bytes) / n,
		LatencyMS:    summary(r.Latency),
	})
	return nil
}

// Idle does nothing for so long.
func (s *Session) Idle(d time.Duration) error {
	s.say("%s: idle for %v", s.server.Name, d)
	if err := s.call("TimePings", None{}, &None{}); err != nil {
		return err
	}
	before, err := s.server.Usage()
	if err != nil {
		return err
	}
	r, err := s.intact()
	if err != nil {
		return err
	}
	pings, began := r.Pings, Now()
	time.Sleep(d)
	after, err := s.server.Usage()
	if err != nil {
		return err
	}
	took := Now() - began
	if r, err = s.intact(); err != nil {
		return err
	}
	s.Result.Idle = &report.Idle{
		Seconds:       took.Seconds(),
		ServerPercent: 100 * float64(after.CPU-before.CPU) / float64(took),
		Pings:         int(r.Pings - pings),
		PingsOffMS:    summary(r.PingsOff),
	}
	return nil
}

// Churn replaces streams for so long.
func (s *Session) Churn(d time.Duration) error {
	s.say("%s: streams come and go for %v", s.server.Name, d)
	before, err := s.server.Usage()
	if err != nil {
		return err
	}
	began := Now()
	var replaced int
	if err := s.call("Churn", ChurnArgs{d, s.cfg.Timeout}, &replaced); err != nil {
		return fmt.Errorf("%s: %w", s.server.Name, err)
	}
	took := Now() - began
	after, err := s.server.Usage()
	if err != nil {
		return err
	}
	s.Result.Churn = &report.Churn{
		Seconds:      took.Seconds(),
		Replaced:     replaced,
		PerSecond:    float64(replaced) / took.Seconds(),
		ServerMicros: micros(after.CPU-before.CPU) / float64(max(replaced, 1)),
		GrownRSSMB:   megabytes(after.RSS - before.RSS),
	}
	return nil
}

// floodBatch is how many events are handed in together, and floodAhead how many the
// slowest stream may lack: as many as every server keeps for it, even if it ends one that
// lacks more.
const floodBatch, floodAhead = 64, 128

// Flood publishes as fast as the server accepts events and the streams get them, for so
// long.
func (s *Session) Flood(d time.Duration) error {
	s.say("%s: a flood for %v", s.server.Name, d)
	before, err := s.server.Usage()
	if err != nil {
		return err
	}
	first, began := s.next, Now()
	var published []time.Duration // by event
	for Now()-began < d {
		if due := len(published) - floodAhead; due >= 0 {
			if err := s.await(first + uint64(due+floodBatch-1)); err != nil {
				return err
			}
		}
		at := Now()
		if err := s.server.Publish(s.next, floodBatch, s.cfg.PayloadSize); err != nil {
			return err
		}
		s.next += floodBatch
		for range floodBatch {
			published = append(published, at)
		}
	}
	if err := s.await(s.next - 1); err != nil {
		return err
	}
	after, err := s.server.Usage()
	if err != nil {
		return err
	}
	r, err := s.intact()
	if err != nil {
		return err
	}
	lag := NewHistogram()
	arrivals := r.Arrivals[first-s.cfg.FirstEvent:]
	for i, at := range published {
		lag.Record(arrivals[i].Last - at)
	}
	took := arrivals[len(arrivals)-1].Last - began
	deliveries := len(published) * s.cfg.Streams
	s.Result.Flood = &report.Flood{
		Seconds:      took.Seconds(),
		Events:       len(published),
		Deliveries:   deliveries,
		PerSecond:    float64(deliveries) / took.Seconds(),
		ServerMicros: micros(after.CPU-before.CPU) / float64(deliveries),
		LagMS:        summary(lag),
	}
	if figures := s.figures(); figures["writes"] > 0 {
		s.Result.Flood.EventsPerWrite = figures["deliveries"] / figures["writes"]
	}
	return nil
}

// await waits until every stream has the event of that number.
func (s *Session) await(event uint64) error {
	if err := s.call("Await", AwaitArgs{event, s.cfg.Timeout}, &None{}); err != nil {
		return fmt.Errorf("%s: %w", s.server.Name, err)
	}
	return nil
}

// figures are those of the server's own metrics, if it has any.
func (s *Session) figures() map[string]float64 {
	if p, ok := s.server.publisher.(*RESP); ok {
		figures, err := p.Figures("millrace")
		if err == nil {
			return figures
		}
	}
	return nil
}

// intact returns the report of the streams, all of which must be open still.
func (s *Session) intact() (r Report, err error) {
	if err := s.call("Report", None{}, &r); err != nil {
		return r, err
	}
	if r.Open+r.Cut != s.cfg.Streams || r.Ended > 0 {
		return r, fmt.Errorf("%s: %w: %s, want %d open", s.server.Name, ErrEnded, r, s.cfg.Streams)
	}
	return r, nil
}

// CloseStreams closes all streams and measures the memory that comes back.
func (s *Session) CloseStreams() error {
	s.say("%s: closing", s.server.Name)
	before, err := s.server.Usage()
	if err != nil {
		return err
	}
	full, began := s.sampler.now(), Now()
	if err := s.call("Close", None{}, &None{}); err != nil {
		return err
	}
	settled := func() bool { return s.figures()["connections"] == 0 }
	for deadline := Now() + s.cfg.Timeout; !settled() && Now() < deadline; {
		time.Sleep(100 * time.Millisecond)
	}
	took := Now() - began
	usage, err := s.server.Usage()
	if err != nil {
		return err
	}
	s.Result.Close = &report.Close{
		Seconds:       took.Seconds(),
		FullRSSMB:     megabytes(before.RSS),
		RSSMB:         megabytes(usage.RSS),
		KernelPercent: 100 * (1 - s.sampler.now().KernelMB/full.KernelMB),
		SocketsLeft:   int(s.figures()["connections"]),
	}
	return nil
}

// Close ends the streams and the server, and completes the result.
func (s *Session) Close() {
	s.Result.Samples = s.sampler.stop()
	s.clients.Close()
	s.server.Close()
	if pauses, ok := s.server.Pauses(); ok {
		open := min(s.opening, len(pauses))
		s.Result.GC = &report.GC{
			Pauses: len(pauses), MaxMS: longest(pauses),
			OpenPauses: len(pauses[open:]), OpenMaxMS: longest(pauses[open:]),
		}
	}
	if s.latency.Count() > 0 {
		s.Result.Latency = percentiles(s.latency)
	}
}

// call calls a method of the streams' process.
func (s *Session) call(method string, args, reply any) error {
	return s.clients.Call(s.cfg.Timeout+time.Minute, method, args, reply)
}

func (s *Session) say(format string, args ...any) {
	if s.note != nil {
		s.note(fmt.Sprintf(format, args...))
	}
}

// longest is in milliseconds, 0 for none.
func longest(pauses []time.Duration) float64 { return millis(slices.Max(append(pauses, 0))) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func megabytes(n int) float64        { return float64(n) / (1 << 20) }

func summary(h *Histogram) report.Summary {
	return report.Summary{P50: millis(h.Percentile(50)), P99: millis(h.Percentile(99)), Max: millis(h.Max())}
}

// percentiles are the points of a distribution that a plot needs.
func percentiles(h *Histogram) (points []report.Percentile) {
	for _, p := range []float64{0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.9, 99.99, 100} {
		points = append(points, report.Percentile{Percent: p, MS: millis(h.Percentile(p))})
	}
	return points
}
