package bench

import (
	"cmp"
	"fmt"
	"slices"

	"millrace/bench/report"
)

// judge adds a verdict to the document.
func (l *Lab) judge(what string, passed bool, want, got string) {
	l.Document.Verdicts = append(l.Document.Verdicts, report.Verdict{What: what, Want: want, Got: got, Passed: passed})
}

// result returns that of a server with so many streams, nil if there is none.
func (l *Lab) result(name string, streams int, has func(*report.Result) bool) *report.Result {
	if all := l.results(name, streams, has); len(all) > 0 {
		return all[0]
	}
	return nil
}

// results returns all of a server with so many streams and events of the present size.
func (l *Lab) results(name string, streams int, has func(*report.Result) bool) (all []*report.Result) {
	name = l.named(name)
	size := cmp.Or(l.Load.PayloadSize, report.UsualPayload)
	for _, r := range l.Document.Results {
		if r.Server == name && r.Streams == streams && cmp.Or(r.Payload, report.UsualPayload) == size && has(r) {
			all = append(all, r)
		}
	}
	return all
}

func hasBroadcasts(r *report.Result) bool { return len(r.Broadcasts) > 0 }
func hasFlood(r *report.Result) bool      { return r.Flood != nil }

func rate(b report.Broadcast) float64       { return b.PerSecond }
func serverCPU(b report.Broadcast) float64  { return b.ServerMicros }
func toLastByte(b report.Broadcast) float64 { return b.Seconds }

// memory is what a process may hold resident, in bytes: of a full million's, so much for each
// stream, all included. With fewer streams the process itself counts, so rssBase is added; from
// some on that the protocol is to hold, it is included again, and there is a bound of their own.
type memory struct {
	full, few int
	some      int // streams; 0 for none
	ofSome    int
}

var memories = map[Protocol]memory{
	Plain: {full: 100, few: 150},
	Gzip:  {full: 100, few: 150},
	TLS:   {full: 300, few: 450, some: 200_000, ofSome: 400},
	H2:    {full: 400, few: 550, some: 200_000, ofSome: 500},
}

const rssBase = 32 << 20

// Each full million may take so many seconds to open, and so many until the last of them has
// an event. A handshake is some 400 us of the server and as much of the client.
const (
	openSeconds    = 120
	openSecondsTLS = 900
	lastSeconds    = 25
)

func (l *Lab) judgeMillion(streams, events int) {
	r := l.result(NameMillrace, streams, func(r *report.Result) bool { return r.Close != nil })
	if r == nil {
		return
	}
	deliveries := 0
	for _, b := range r.Broadcasts {
		deliveries += b.Deliveries
	}
	l.judge("every stream receives every event, none twice", deliveries == streams*events,
		fmt.Sprintf("%s deliveries", report.Count(streams*events)), report.Count(deliveries))
	l.judge("all streams closed", r.Close.SocketsLeft == 0, "0 left", report.Count(r.Close.SocketsLeft))
	l.judgeMemory(r, streams)
	if streams < fullMillion {
		return
	}
	l.judge("memory of the kernel back after the end", r.Close.KernelPercent >= 90, "at least 90 %", fmt.Sprintf("%.1f %%", r.Close.KernelPercent))
	if r.GC != nil && l.Protocol == Plain { // TLS makes garbage, so there are hundreds: one of them meets a busy host
		l.judge("pauses of the garbage collector with all streams open", r.GC.OpenMaxMS <= 1, "at most 1 ms",
			fmt.Sprintf("%.2f ms, of %d; while they were opened %.2f ms", r.GC.OpenMaxMS, r.GC.OpenPauses, r.GC.MaxMS))
	}
	millions := float64(streams) / fullMillion
	open := openSeconds * millions
	if l.Protocol.isSecure() {
		open = openSecondsTLS * millions
	}
	l.judge("all streams open", r.Connect.Seconds <= open, fmt.Sprintf("in at most %.0f s", open),
		fmt.Sprintf("%.1f s", r.Connect.Seconds))
	last := r.Median(toLastByte)
	l.judge("one event to the last stream, median", last <= lastSeconds*millions, fmt.Sprintf("in at most %.0f s on a quiet host", lastSeconds*millions),
		fmt.Sprintf("%.1f s", last))
	if floors := l.results(NameFloor, streams, hasBroadcasts); len(floors) > 0 {
		sum := 0.0
		for _, floor := range floors {
			sum += floor.Median(rate)
		}
		ratio := r.Median(rate) * float64(len(floors)) / sum
		when := " before and after"
		if len(floors) == 1 {
			when = " before"
		}
		l.judge("deliveries per second, beside the floor's"+when, ratio >= 0.9, "at least 0.9", fmt.Sprintf("%.2f", ratio))
	}
	if few := l.result(NameMillrace, fewStreams, hasBroadcasts); few != nil {
		ratio := r.Median(serverCPU) / few.Median(serverCPU)
		l.judge("processor time of a delivery, beside that with few streams", ratio <= 1.4, "at most 1.4",
			fmt.Sprintf("%.2f (%.1f us, %.1f us with %s)", ratio, r.Median(serverCPU), few.Median(serverCPU), report.Count(fewStreams)))
	}
	if r.Idle != nil && r.Idle.Pings > 0 {
		l.judge("pings on time", r.Idle.PingsOffMS.Max <= 2000, "at most 2 s off their phase",
			fmt.Sprintf("%.0f ms, of %s; %.1f %% of a processor", r.Idle.PingsOffMS.Max, report.Count(r.Idle.Pings), r.Idle.ServerPercent))
	}
}

// judgeMemory judges what is resident as soon as all streams are open; over TLS before the end,
// when what the handshakes have left has been collected.
func (l *Lab) judgeMemory(r *report.Result, streams int) {
	const what = "resident memory of the server"
	m, resident := memories[l.Protocol], r.Connect.RSSMB
	if l.Protocol != Plain {
		resident = r.Close.FullRSSMB
	}
	each := resident * (1 << 20) / float64(streams)
	bound := m.full
	if streams < fullMillion {
		bound = m.ofSome
		if m.some == 0 || streams < m.some {
			most := rssBase + m.few*streams
			l.judge(what, resident <= megabytes(most), fmt.Sprintf("at most %d bytes a stream and %d MiB", m.few, rssBase>>20),
				fmt.Sprintf("%.1f MiB of %.1f", resident, megabytes(most)))
			return
		}
	}
	l.judge(what, each <= float64(bound), fmt.Sprintf("at most %d bytes a stream, all included", bound), fmt.Sprintf("%.1f", each))
}

func (l *Lab) judgeFanOut(streams int) {
	r, floor := l.result(NameMillrace, streams, hasBroadcasts), l.result(NameFloor, streams, hasBroadcasts)
	if r == nil || floor == nil {
		return
	}
	ratio, least := beside(r, floor, rate), 0.95
	if l.Protocol != Plain {
		least = 0.85 // a collection falls into some rounds, and into others not
	}
	l.judge(fmt.Sprintf("%s streams: deliveries per second, beside the floor's in the same round, median", report.Count(streams)),
		ratio >= least, fmt.Sprintf("at least %.2f", least), fmt.Sprintf("%.2f", ratio))
}

// protocolStreams is with how many streams protocols are compared: enough for the figures to
// say something, and few enough for a proxy, which has two sockets a stream.
const protocolStreams = 4_000

// judgeProtocols compares the processor time of a delivery over each protocol with that in the
// clear, and that of a proxy with that of millrace alone.
func (l *Lab) judgeProtocols(streams int) {
	if streams < protocolStreams {
		return
	}
	for _, c := range []struct {
		server, beside string
		least, most    float64 // 0 for none
	}{
		{"millrace+tls", "millrace", 0, 1.30},
		{"millrace+gzip", "millrace", 0, 1.05},
		{"millrace+h2", "millrace", 0, 1.40},
		{"millrace+h2x6", "millrace", 0, 0.30},
		{"haproxy+tls", "millrace+tls", 1.8, 0},
		{"nginx+tls", "millrace+tls", 1.8, 0},
	} {
		r, other := l.result(c.server, streams, hasBroadcasts), l.result(c.beside, streams, hasBroadcasts)
		if r == nil || other == nil {
			continue
		}
		ratio := beside(r, other, serverCPU)
		passed, want := ratio <= c.most, fmt.Sprintf("at most %.2f", c.most)
		if c.least > 0 {
			passed, want = ratio >= c.least, fmt.Sprintf("at least %.1f", c.least)
		}
		l.judge(fmt.Sprintf("processor time of a delivery of %s bytes: %s beside %s in the same round, median", report.Count(r.Payload), c.server, c.beside),
			passed, want, fmt.Sprintf("%.2f (%.1f us, %.1f us)", ratio, r.Median(serverCPU), other.Median(serverCPU)))
	}
}

// beside returns the median over the rounds of a figure of r, divided by that of another server
// in the same round: what disturbs a round disturbs both.
func beside(r, other *report.Result, of func(report.Broadcast) float64) float64 {
	var ratios []float64
	for i, b := range r.Broadcasts {
		ratios = append(ratios, of(b)/of(other.Broadcasts[i]))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func (l *Lab) judgeCompare() {
	r := l.result(NameMillrace, fewStreams, hasBroadcasts)
	for _, other := range []struct {
		name   string
		memory float64
	}{{NameNchan, 50}, {NameNetHTTP, 100}} {
		o := l.result(other.name, fewStreams, hasBroadcasts)
		if r == nil || o == nil {
			continue
		}
		times := o.Connect.GrownAnonBytes / r.Connect.GrownAnonBytes
		l.judge("anonymous memory that a stream brings to "+other.name+", beside millrace", times >= other.memory, fmt.Sprintf("at least %.0f times", other.memory),
			fmt.Sprintf("%.0f times (%.0f B, %.0f B; in all %.1f MiB, %.1f MiB)", times, o.Connect.GrownAnonBytes, r.Connect.GrownAnonBytes, o.Connect.AnonMB, r.Connect.AnonMB))
		ours, theirs := r.Median(serverCPU), o.Median(serverCPU)
		l.judge("processor time of a delivery, beside "+other.name, ours < theirs, "less", fmt.Sprintf("%.1f us, %.1f us", ours, theirs))
		for _, streams := range []int{1_000, 10_000} {
			f, g := l.result(NameMillrace, streams, hasFlood), l.result(other.name, streams, hasFlood)
			if f == nil || g == nil {
				continue
			}
			times := f.Flood.PerSecond / g.Flood.PerSecond
			l.judge(fmt.Sprintf("flood of %s streams, beside %s's", report.Count(streams), other.name), times >= 5, "at least 5 times",
				fmt.Sprintf("%.1f times (%s and %s deliveries per second)", times, report.Figure(f.Flood.PerSecond), report.Figure(g.Flood.PerSecond)))
		}
	}
}
