package bench

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"millrace/bench/crowd"
	"millrace/bench/report"
)

// Upgrades say how a server is handed over from process to process.
type Upgrades struct {
	Streams int
	Times   int
	FanOut  bool     // an event to all streams is under way meanwhile
	Kills   []string // what to do to which process, and when: see ParseKills
	Rate    int      // events a second to the crowd
	History int      // MiB of messages that channels keep when the first handover begins
	// Programs are those of the successors, one after the other, again and again. Empty for the
	// program of the first.
	Programs []string
}

// crowdRoom is how many connections are for the crowd, newcomers and all.
const crowdRoom = 1024

// halves are the request heads of which the first half goes to the one process and the second
// to the other.
const halves = 20

// Upgrade has a server with streams, and with a crowd of odd clients, handed over.
func (l *Lab) Upgrade(u Upgrades) error {
	if l.External != nil {
		return fmt.Errorf("%w: --url with an upgrade: want a server that is started here", ErrConfig)
	}
	if len(u.Kills) > 0 {
		return l.kill(u)
	}
	h, err := l.handover(u)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.fillHistory(u.History); err != nil {
		return err
	}
	events := 1
	if err := h.Broadcast(); err != nil {
		return err
	}
	for i := range u.Times {
		if err := h.again(u, i); err != nil {
			return fmt.Errorf("handover %d: %w", i+1, err)
		}
		events++
		if u.FanOut {
			events++
		}
	}
	h.crowd.Quiet(false)
	f := h.crowd.Figures()
	h.crowd.Close()
	r, err := h.intact()
	if err != nil {
		return err
	}
	if err := h.CloseStreams(); err != nil {
		return err
	}
	l.judgeUpgrade(h.Result, u, int(r.Events), events, &f)
	return nil
}

// handover is a session whose server is handed over, and its crowd.
type handover struct {
	*Session
	succession *succession
	crowd      *crowd.Crowd
	document   *report.Document
}

// handover starts a server, and opens all streams.
func (l *Lab) handover(u Upgrades) (h *handover, err error) {
	if l.dir == "" {
		if l.dir, err = os.MkdirTemp("", "millbench"); err != nil {
			return nil, err
		}
		if l.certificate, err = newCertificate(l.dir); err != nil {
			return nil, err
		}
	}
	o := l.Millrace
	o.Streams = u.Streams + crowdRoom
	if len(u.Kills) > 0 { // what ends over TLS comes back, paced as in a drain
		o.Flags = append([]string{"--drain", "1s"}, o.Flags...)
	}
	if u.History > 0 {
		o.Flags = append([]string{"--history", "1000", "--history-ttl", "0"}, o.Flags...)
	}
	server, err := startSuccession(o, l.certificate, l.dir)
	if err != nil {
		return nil, err
	}
	name := l.named(NameMillrace)
	_, protocol, perConnection, err := splitName(name)
	if err != nil {
		server.Close()
		return nil, err
	}
	server.Name, server.Protocol, server.PerConnection = name, protocol, perConnection
	if protocol.isSecure() {
		server.Addr, server.Host, server.Certificate = server.secure, certificateName, l.certificate.DER
	}
	load := l.Load
	load.Streams, load.PingPeriod = u.Streams, l.Millrace.Keepalive
	l.Load.Source += u.Streams/sourcePorts + 1
	session, err := NewSession(server.Server, load)
	if err != nil {
		return nil, err
	}
	session.cfg.MayEnd = len(u.Kills) > 0
	l.Document.Results = append(l.Document.Results, session.Result)
	h = &handover{Session: session, succession: server, document: l.Document}
	if err = h.Open(); err == nil {
		h.crowd, err = crowd.Start(crowd.Config{
			Public: server.clear, TLS: server.secure, Host: certificateName, Cert: l.certificate.DER, Admin: server.admin,
			Publishers: 4, Rate: max(u.Rate/4, 1), Plain: 32, Two: 16, Gzip: 8, Secure: 12, H2: 12, Slow: 4, Subscribers: 4, Newcomers: 200,
		})
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close ends everything.
func (h *handover) Close() {
	if h.crowd != nil {
		h.crowd.Close()
	}
	h.Session.Close()
}

// historyBytes is the size of a message of fillHistory, historyMessages how many a channel has.
const historyBytes, historyMessages = 350, 1000

// fillHistory has channels keep so many MiB of messages, which nobody listens to.
func (h *handover) fillHistory(mebibytes int) error {
	p, err := DialRESP(h.succession.admin, "")
	if err != nil {
		return err
	}
	defer p.Close()
	events := make([][]byte, historyMessages)
	for i := range events {
		events[i] = AppendPayload(nil, uint64(i), historyBytes)
	}
	for i := range mebibytes << 20 / (historyBytes * historyMessages) {
		p.channel = fmt.Sprintf("/history/%d", i)
		if err := p.Publish(events); err != nil {
			return fmt.Errorf("filling the history: %w", err)
		}
	}
	return nil
}

// again hands over once, and has what was published meanwhile be received by everybody.
func (h *handover) again(u Upgrades, i int) error {
	h.say("%s: handing over %s streams, %d of %d", h.server.Name, report.Count(u.Streams), i+1, u.Times)
	binary := ""
	if len(u.Programs) > 0 {
		binary = u.Programs[i%len(u.Programs)]
	}
	var fan *fanOut
	at := func(upgradeStep) {}
	if u.FanOut {
		fan = &fanOut{session: h.Session, done: make(chan error, 1)}
		at = fan.at
	}
	figures, err := h.measure(binary, at)
	if err != nil {
		return err
	}
	if figures.Result != resultDone {
		return fmt.Errorf("%s: %s", figures.Result, figures.Why)
	}
	if fan != nil {
		if figures.LastStream, err = fan.toLast(); err != nil {
			return err
		}
	}
	return h.after(figures)
}

// measure has the server handed over, and takes the figures of that.
func (h *handover) measure(binary string, at func(upgradeStep)) (*report.Upgrade, error) {
	if err := h.crowd.Before(halves); err != nil {
		return nil, err
	}
	h.crowd.Figures() // what was before
	idle, err := h.idle()
	if err != nil {
		return nil, err
	}
	cpu, err := h.succession.CPU()
	if err != nil {
		return nil, err
	}
	began := Now()
	var started, loaded time.Duration
	result, err := h.succession.upgrade(binary, h.cfg.Timeout, false, func(step upgradeStep) {
		switch step.Step {
		case "hello":
			started = Now()
		case "loaded":
			loaded = Now()
		}
		at(step)
	})
	if err != nil {
		return nil, err
	}
	took := Now() - began
	figures := &report.Upgrade{
		Result: result.Result, Why: result.Why, Seconds: took.Seconds(), LoadSeconds: (loaded - started).Seconds(),
		PauseMedianMS: 1000 * result.Pause.Median, PauseLongestMS: 1000 * result.Pause.Longest, PublishersMS: 1000 * result.Pause.Publishers,
	}
	if result.Result != resultDone {
		return figures, nil
	}
	if err := h.succession.succeed(result.PID); err != nil {
		return nil, err
	}
	after, err := h.succession.CPU()
	if err != nil {
		return nil, err
	}
	usage, err := h.server.Usage()
	if err != nil {
		return nil, err
	}
	serving := time.Duration(idle * float64(Now()-began))
	figures.CPUMicros = micros(max(after-cpu-serving, 0)) / float64(h.cfg.Streams)
	figures.RSSMB, figures.RSSBytes = megabytes(usage.RSS), float64(usage.RSS)/float64(h.cfg.Streams)
	return figures, nil
}

// idle returns how many processors the server takes while nothing is handed over: for pings, and
// for the crowd.
func (h *handover) idle() (processors float64, err error) {
	const sample = 2 * time.Second
	began := Now()
	before, err := h.succession.CPU()
	if err != nil {
		return 0, err
	}
	time.Sleep(sample)
	after, err := h.succession.CPU()
	return float64(after-before) / float64(Now()-began), err
}

// after has everybody receive what was published, and one more event, and keeps the figures.
func (h *handover) after(figures *report.Upgrade) error {
	h.crowd.After()
	h.crowd.Quiet(true)
	f := h.crowd.Figures()
	figures.CrowdDeliveries, figures.CrowdNewcomers = f.Delivered, f.Clients(crowd.KindNewcomer)
	figures.CrowdPauseMS, figures.CrowdPublishMS, figures.CrowdNewcomerMS = millis(f.LongestStream), millis(f.LongestPublish), millis(f.LongestNewcomer)
	figures.CrowdFaults = f.Faults()
	figures.CrowdEndsOverTLS = f.Ends(crowd.OverTLS...)
	figures.CrowdEnds = f.Ends() - figures.CrowdEndsOverTLS
	if len(f.Errors) > 0 {
		h.document.Notes = append(h.document.Notes, strings.Join(f.Errors, "; "))
	}
	before, err := h.intact()
	if err != nil {
		return err
	}
	if err := h.Broadcast(); err != nil {
		return err
	}
	figures.Deliveries = h.Result.Broadcasts[len(h.Result.Broadcasts)-1].Deliveries
	figures.Cut = before.Cut
	h.Result.Upgrades = append(h.Result.Upgrades, *figures)
	return nil
}

// fanOut is an event to all streams that is published while their loops are handed over.
type fanOut struct {
	session   *Session
	begun     bool
	event     uint64
	published time.Duration
	done      chan error
}

// at publishes the event as soon as a loop has been handed over.
func (f *fanOut) at(step upgradeStep) {
	if f.begun || !strings.HasPrefix(step.Step, "serving") {
		return
	}
	f.begun, f.event, f.published = true, f.session.next, Now()
	f.session.next++
	go func() { f.done <- f.session.server.Publish(f.event, 1, f.session.cfg.PayloadSize) }()
}

// toLast returns the seconds until the last stream had the event.
func (f *fanOut) toLast() (float64, error) {
	if !f.begun {
		return 0, errors.New("no loop was handed over, so no event was published meanwhile")
	}
	if err := errors.Join(<-f.done, f.session.await(f.event)); err != nil {
		return 0, err
	}
	r, err := f.session.intact()
	if err != nil {
		return 0, err
	}
	return (r.Arrivals[f.event-f.session.cfg.FirstEvent].Last - f.published).Seconds(), nil
}
