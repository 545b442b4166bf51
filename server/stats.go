package server

import "sync/atomic"

// reason says why a connection ended.
type reason uint8

const (
	reasonAnswered     reason = iota // a request that was no stream, answered
	reasonClient                     // the client closed or reset the connection
	reasonHeadLate                   // no complete request head in time
	reasonWrite                      // a write failed
	reasonLapped                     // behind by more than is kept
	reasonSlow                       // behind for too long
	reasonLifetime                   // reached its maximum lifetime
	reasonOverload                   // above the connection limit
	reasonRate                       // above the accept rate
	reasonAddressLimit               // above the connection limit of the client's address
	reasonAddressRate                // above the accept rate of the client's address
	reasonAddressFlood               // too many of one address are being told that already
	reasonNoProxy                    // with the PROXY protocol: the peer is no trusted proxy
	reasonProxyHeader                // a trusted proxy sent no right PROXY header
	reasonShutdown                   // the server stopped
	reasonCount
)

var reasonNames = [reasonCount]string{
	reasonAnswered:     "answered",
	reasonClient:       "client closed",
	reasonHeadLate:     "header timeout",
	reasonWrite:        "write failed",
	reasonLapped:       "too far behind",
	reasonSlow:         "slow timeout",
	reasonLifetime:     "maximum lifetime",
	reasonOverload:     "connection limit",
	reasonRate:         "accept rate",
	reasonAddressLimit: "connection limit per address",
	reasonAddressRate:  "accept rate per address",
	reasonAddressFlood: "address flood",
	reasonNoProxy:      "not a trusted proxy",
	reasonProxyHeader:  "bad proxy header",
	reasonShutdown:     "server stopped",
}

func (r reason) String() string { return reasonNames[r] }

// counters are one loop's figures: written by the loop, read by anybody.
type counters struct {
	connections atomic.Int64 // open sockets, in whatever state
	streams     atomic.Int64 // open event streams
	behind      atomic.Int64 // streams that are behind

	accepted     atomic.Uint64
	acceptPauses atomic.Uint64 // times that accepting had to wait for descriptors or memory
	refused      atomic.Uint64 // requests answered with a status of 400 and above
	closed       [reasonCount]atomic.Uint64

	deliveries atomic.Uint64 // messages written to a stream, whole
	writes     atomic.Uint64 // writes that carried them
	bytes      atomic.Uint64 // written to clients, all that it takes
	keepalives atomic.Uint64
}

// Stats are the figures of a server, all loops together. Each is exact when the
// server is at rest.
type Stats struct {
	Connections, Streams, Behind     int64
	Accepted, AcceptPauses, Refused  uint64
	Deliveries, Writes, Bytes, Pings uint64
	// Closed counts ended connections by reason; every reason is there.
	Closed map[string]uint64
}

// Stats returns the present figures. Safe for concurrent use.
func (s *Server) Stats() Stats {
	sum := Stats{Closed: make(map[string]uint64, reasonCount)}
	for _, l := range s.loops {
		n := &l.counters
		sum.Connections += n.connections.Load()
		sum.Streams += n.streams.Load()
		sum.Behind += n.behind.Load()
		sum.Accepted += n.accepted.Load()
		sum.AcceptPauses += n.acceptPauses.Load()
		sum.Refused += n.refused.Load()
		sum.Deliveries += n.deliveries.Load()
		sum.Writes += n.writes.Load()
		sum.Bytes += n.bytes.Load()
		sum.Pings += n.keepalives.Load()
		for r := range reasonCount {
			sum.Closed[r.String()] += n.closed[r].Load()
		}
	}
	return sum
}
