package server

import (
	"slices"
	"sync/atomic"
	"time"
)

// statuses are those that requests are refused with. The last is for others.
var statuses = [...]int{400, 401, 403, 404, 405, 406, 408, 413, 414, 421, 429, 431, 501, 503, 505, 500}

// counters are one loop's figures: written by the loop, read by anybody.
type counters struct {
	connections atomic.Int64 // open sockets, in any state
	streams     atomic.Int64 // open event streams
	behind      atomic.Int64 // streams that are behind
	lingering   atomic.Int64 // sockets that have had their last byte
	undecided   atomic.Int64 // sockets whose request waits for its verdict
	handshaking atomic.Int64 // TLS handshakes under way
	secure      atomic.Int64 // TLS connections behind their handshake
	http2       atomic.Int64 // those of HTTP/2 among them
	h2Streams   atomic.Int64 // event streams of HTTP/2

	accepted     atomic.Uint64
	acceptPauses atomic.Uint64                // times that accepting had to wait for descriptors or memory
	refused      [len(statuses)]atomic.Uint64 // requests by the status of the answer
	opened       atomic.Uint64                // event streams that have begun
	closed       [reasonCount]atomic.Uint64
	verdicts     verdictCounts
	lateVerdicts atomic.Uint64 // for which no request waited any more

	h2Faults h2Faults // rules of HTTP/2 that clients have broken

	handshakes        atomic.Uint64 // that have succeeded
	handshakeFailures handshakeFailures

	deliveries atomic.Uint64 // messages written to a stream, whole
	writes     atomic.Uint64 // writes that carried them
	bytes      atomic.Uint64 // written to clients, all that it takes
	keepalives atomic.Uint64

	gzipStreams atomic.Int64  // open ones with the content coding gzip
	compressed  atomic.Uint64 // messages that they got compressed,
	stored      atomic.Uint64 // and stored
	gzipText    atomic.Uint64 // the wire forms of these that plain streams get, in bytes,
	gzipBytes   atomic.Uint64 // and their own
	compressing atomic.Int64  // time that compressing has taken

	fanout histogram // of a turn, from its first write to the last
	step   histogram // of what was done for one ready descriptor, or of one slice
}

// refuse counts a refusal.
func (n *counters) refuse(status int) {
	i := slices.Index(statuses[:], status)
	if i < 0 {
		i = len(statuses) - 1
	}
	n.refused[i].Add(1)
}

// Stats are the figures of a server, all loops together. Each is exact when the
// server is at rest.
type Stats struct {
	// Connections are the open sockets: Streams, of which some are Behind,
	// Lingering ones that have had their last byte, Undecided ones whose request waits
	// for its verdict, and for the rest those whose request is awaited.
	Connections, Streams, Behind, Lingering, Undecided int64
	Accepted, AcceptPauses, Refused, Opened            uint64
	Deliveries, Writes, Bytes, Pings                   uint64
	// Handshaking are the TLS handshakes under way, Secure the connections behind theirs.
	// H2 those of them that have HTTP/2, and H2Streams the event streams that these have.
	Handshaking, Secure, H2, H2Streams int64
	// H2Faults counts how often clients have broken rules of HTTP/2, by the code that they were
	// told; every code is there.
	H2Faults map[string]uint64
	// Handshakes counts those that have succeeded, HandshakeFailures the others, by kind;
	// every kind is there.
	Handshakes        uint64
	HandshakeFailures map[string]uint64
	// Closed counts ended connections by reason, and of HTTP/2 ended streams in place of
	// connections that had any; every reason is there.
	Closed map[string]uint64
	// RefusedBy counts requests that were refused by the status of the answer.
	RefusedBy map[int]uint64
	// Verdicts counts those of authorizers, LateVerdicts those that came when no request
	// waited for them any more.
	Verdicts     map[VerdictKind]uint64 `json:"-"` // whose keys are no texts
	LateVerdicts uint64
	// Gzip are the streams with the content coding gzip, which got messages Compressed and
	// Stored: GzipBytes instead of the GzipText that plain streams got for the same.
	// Compressing is the time that it took.
	Gzip                                    int64
	Compressed, Stored, GzipText, GzipBytes uint64
	Compressing                             time.Duration
	// Fanout is the time from the first write of a turn to its last, on one
	// loop. Step is the time that a loop takes for one ready descriptor, or for
	// one slice of its work.
	Fanout, Step Histogram
}

// Stats returns the present figures. Safe for concurrent use.
func (s *Server) Stats() Stats {
	sum := Stats{Closed: make(map[string]uint64, reasonCount-1), RefusedBy: make(map[int]uint64, len(statuses)), HandshakeFailures: make(map[string]uint64, len(handshakeKinds)), H2Faults: make(map[string]uint64), Verdicts: make(map[VerdictKind]uint64)}
	for _, l := range s.loops {
		n := &l.counters
		sum.Connections += n.connections.Load()
		sum.Streams += n.streams.Load()
		sum.Behind += n.behind.Load()
		sum.Lingering += n.lingering.Load()
		sum.Undecided += n.undecided.Load()
		sum.LateVerdicts += n.lateVerdicts.Load()
		n.verdicts.addTo(sum.Verdicts)
		sum.Accepted += n.accepted.Load()
		sum.AcceptPauses += n.acceptPauses.Load()
		sum.Opened += n.opened.Load()
		sum.Deliveries += n.deliveries.Load()
		sum.Writes += n.writes.Load()
		sum.Bytes += n.bytes.Load()
		sum.Pings += n.keepalives.Load()
		sum.Handshaking += n.handshaking.Load()
		sum.Secure += n.secure.Load()
		sum.H2 += n.http2.Load()
		sum.H2Streams += n.h2Streams.Load()
		n.h2Faults.addTo(sum.H2Faults)
		sum.Handshakes += n.handshakes.Load()
		for i, kind := range handshakeKinds {
			sum.HandshakeFailures[string(kind)] += n.handshakeFailures[i].Load()
		}
		for i, status := range statuses {
			refused := n.refused[i].Load()
			sum.Refused += refused
			sum.RefusedBy[status] += refused
		}
		for r := admitted + 1; r < reasonCount; r++ {
			sum.Closed[r.String()] += n.closed[r].Load()
		}
		sum.Gzip += n.gzipStreams.Load()
		sum.Compressed += n.compressed.Load()
		sum.Stored += n.stored.Load()
		sum.GzipText += n.gzipText.Load()
		sum.GzipBytes += n.gzipBytes.Load()
		sum.Compressing += time.Duration(n.compressing.Load())
		n.fanout.addTo(&sum.Fanout)
		n.step.addTo(&sum.Step)
	}
	return sum
}

// LoopStats are the figures of one loop.
type LoopStats struct {
	Connections, Streams, Behind int64
	Inbox                        int // messages that wait for the loop
	Deliveries                   uint64
	Busy                         time.Duration // that the loop has worked, since the start
}

// LoopStats returns the present figures of each loop. Safe for concurrent use.
func (s *Server) LoopStats() []LoopStats {
	stats := make([]LoopStats, len(s.loops))
	for i, l := range s.loops {
		n := &l.counters
		stats[i] = LoopStats{
			Connections: n.connections.Load(),
			Streams:     n.streams.Load(),
			Behind:      n.behind.Load(),
			Inbox:       l.inbox.Len(),
			Deliveries:  n.deliveries.Load(),
			Busy:        time.Duration(n.step.sum.Load()),
		}
	}
	return stats
}
