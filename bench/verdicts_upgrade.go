package bench

import (
	"fmt"
	"strings"

	"millrace/bench/crowd"
	"millrace/bench/report"
)

// What a handover may take, per handover. Times are for a full million, and processor time and
// memory for all from largeHandover on: with fewer, the process itself counts.
const (
	pauseLongestMS    = 500
	pauseMedianMS     = 200
	pausePublishersMS = 50
	handoverSeconds   = 10
	largeHandover     = 100_000
	fanOutRatio       = 1.5
	// handoverBase is the processor time, in microseconds, of a process that starts and of a
	// crowd that is served meanwhile. Of a full million it is among what each stream may take.
	handoverBase = 1e6
	// historySeconds are for each full fullHistory MiB of messages.
	historySeconds = 3
	fullHistory    = 256
)

// handoverCosts are the processor time of both processes beside serving, in microseconds a stream, and the
// resident bytes of the successor.
var handoverCosts = map[Protocol]struct{ cpu, rss float64 }{
	Plain: {12, 120}, Gzip: {12, 120}, TLS: {14, 290}, H2: {14, 390},
}

func (l *Lab) judgeUpgrade(r *report.Result, u Upgrades, received, events int, f *crowd.Figures) {
	count := func(of func(report.Upgrade) float64) int {
		sum := 0.0
		for _, u := range r.Upgrades {
			sum += of(u)
		}
		return int(sum)
	}
	worst := func(of func(report.Upgrade) float64) (most float64) {
		for _, u := range r.Upgrades {
			most = max(most, of(u))
		}
		return most
	}
	l.judge("every stream receives every event over all handovers, none twice", received == u.Streams*events,
		report.Count(u.Streams*events)+" deliveries", report.Count(received))
	faults := count(func(u report.Upgrade) float64 { return float64(u.CrowdFaults) }) + f.Faults()
	ends := count(func(u report.Upgrade) float64 { return float64(u.CrowdEnds + u.CrowdEndsOverTLS) }) + f.Ends()
	delivered := count(func(u report.Upgrade) float64 { return float64(u.CrowdDeliveries) }) + f.Delivered
	newcomers := count(func(u report.Upgrade) float64 { return float64(u.CrowdNewcomers) })
	l.judge("publishers, subscribers, half heads, newcomers and odd streams that failed", faults+ends == 0, "0",
		fmt.Sprintf("%d wrong, %d ended; %s events received, %s newcomers%s", faults, ends, report.Count(delivered), report.Count(newcomers), reasons(f)))
	l.judgeCosts(r, u, worst)
	if u.History > 0 {
		most := historySeconds * max(float64(u.History)/fullHistory, 1)
		got := worst(func(u report.Upgrade) float64 { return u.LoadSeconds })
		l.judge(fmt.Sprintf("until the new process had %d MiB of messages", u.History), got <= most, fmt.Sprintf("at most %.1f s", most), fmt.Sprintf("%.1f s", got))
	}
	if u.FanOut {
		ratio := worst(func(u report.Upgrade) float64 { return u.LastStream }) / r.Median(toLastByte)
		l.judge("an event to the last stream in a handover, beside one without", u.Streams < fullMillion || ratio <= fanOutRatio,
			atMost(u.Streams < fullMillion, "%.1f times", fanOutRatio), fmt.Sprintf("%.2f times", ratio))
	}
}

// judgeCosts judges pauses, time, processor time and memory.
func (l *Lab) judgeCosts(r *report.Result, u Upgrades, worst func(func(report.Upgrade) float64) float64) {
	costs := handoverCosts[l.Protocol]
	if u.Streams < fullMillion { // then the process itself counts, and the crowd
		costs.cpu += handoverBase / float64(u.Streams)
		costs.rss += rssBase / float64(u.Streams)
	}
	for _, c := range []struct {
		what, unit string
		most       float64
		from       int // streams from which on it is judged
		of         func(report.Upgrade) float64
	}{
		{"pause of a stream, longest", "%.0f ms", pauseLongestMS, fullMillion, func(u report.Upgrade) float64 { return u.PauseLongestMS }},
		{"pause of a stream, median", "%.0f ms", pauseMedianMS, fullMillion, func(u report.Upgrade) float64 { return u.PauseMedianMS }},
		{"pause of publishers", "%.1f ms", pausePublishersMS, fullMillion, func(u report.Upgrade) float64 { return u.PublishersMS }},
		{"from the command to done", "%.1f s", handoverSeconds, fullMillion, func(u report.Upgrade) float64 { return u.Seconds }},
		{"processor time of both processes a stream, less that of serving", "%.1f us", costs.cpu, largeHandover, func(u report.Upgrade) float64 { return u.CPUMicros }},
		{"resident memory of the new process a stream", "%.0f bytes", costs.rss, largeHandover, func(u report.Upgrade) float64 { return u.RSSBytes }},
	} {
		few := u.Streams < c.from || u.FanOut && c.unit != "%.0f bytes"
		got := worst(c.of)
		l.judge(c.what, few || got <= c.most, atMost(few, c.unit, c.most), fmt.Sprintf(c.unit, got))
	}
}

// atMost says what is wanted; of few streams nothing, and the figure is there to be seen.
func atMost(few bool, unit string, most float64) string {
	if few {
		return "any, with so few streams or in a fan-out"
	}
	return "at most " + fmt.Sprintf(unit, most)
}

// reasons are the first faults, as a list that a verdict ends with.
func reasons(f *crowd.Figures) string {
	if len(f.Errors) == 0 {
		return ""
	}
	return ": " + strings.Join(f.Errors, "; ")
}

// judgeKill judges what has become of an upgrade in which a process was ended or stopped.
func (l *Lab) judgeKill(k *killing) {
	streams := k.seen.Clients(crowd.InTheClear...)
	secured := k.seen.Clients(crowd.OverTLS...)
	if k.cfg.Protocol.isSecure() {
		secured += k.cfg.Streams
	} else {
		streams += k.cfg.Streams
	}
	cut := k.seen.Ends(crowd.InTheClear...)
	cutSecured := k.seen.Ends(crowd.OverTLS...)
	if k.cfg.Protocol.isSecure() {
		cutSecured += k.figures.Cut
	} else {
		cut += k.figures.Cut
	}
	most, mostSecured, survivor := 0, 0, k.old
	switch p := k.point; {
	case !p.old && !p.stop && p.switched(): // as any crash, unless it had not got that far
		mostSecured = secured
		if survivor = k.survivor; survivor == 0 {
			most = streams
		}
	case p.switched():
		survivor = k.new
	case p.old && !p.stop:
		survivor = k.new
		most = streams + secured - k.prepared
		mostSecured = most
		if k.prepared == 0 {
			survivor = k.survivor // nobody, or one without streams
		}
	case k.began:
		mostSecured = secured
	}
	together := most + mostSecured
	if k.point.old {
		together = max(most, mostSecured) // whichever they are
	}
	right := cut <= most && cutSecured <= mostSecured && cut+cutSecured <= together && k.survivor == survivor && k.figures.CrowdFaults == 0
	if survivor == k.old {
		right = right && k.seen.Ends(crowd.OfRedis...) == 0
	}
	l.judge(k.point.String(), right,
		fmt.Sprintf("%s serves; at most %d of %d streams in the clear ended, %d of %d over TLS; no event missed", k.name(survivor), most, streams, mostSecured, secured),
		fmt.Sprintf("%s serves, %q %s; %d, %d ended; %d wrong; %d connections of Redis ended; %.1f s%s", k.name(k.survivor), k.figures.Result, k.figures.Why,
			cut, cutSecured, k.figures.CrowdFaults, k.seen.Ends(crowd.OfRedis...), k.figures.Seconds, reasons(&k.seen)))
}

func (k *killing) name(pid int) string {
	switch pid {
	case 0:
		return "nobody"
	case k.old:
		return "old"
	}
	return "new"
}
