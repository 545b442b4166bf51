package server

// reason says why a connection ended or, before that, why no stream may come of it.
type reason uint8

const (
	admitted           reason = iota // nothing speaks against a stream: no connection ends for that
	reasonAnswered                   // a request that was no stream, answered
	reasonClient                     // the client closed or reset the connection
	reasonHeadLate                   // no complete request head in time
	reasonCrowded                    // no request head yet, and its place was needed
	reasonWrite                      // a write failed
	reasonLapped                     // behind by more than is kept
	reasonSlow                       // behind for too long
	reasonTalks                      // sent too much after its request head
	reasonLifetime                   // reached its maximum lifetime
	reasonVerdicts                   // too many requests wait for their verdicts
	reasonVerdictLate                // the verdict took too long
	reasonVerdictLater               // the verdict is that there can be none now
	reasonExpired                    // the grant has ended
	reasonUserLimit                  // above the connection limit of the user
	reasonOverload                   // above the connection limit
	reasonChannels                   // above the limit of channels
	reasonRate                       // above the accept rate
	reasonAddressLimit               // above the connection limit of the client's address
	reasonAddressRate                // above the accept rate of the client's address
	reasonAddressFlood               // too many of one address are being told that already
	reasonNoProxy                    // with the PROXY protocol: the peer is no trusted proxy
	reasonProxyHeader                // a trusted proxy sent no right PROXY header
	reasonKicked                     // ended by an order to end streams, and told to come back
	reasonTLS                        // the handshake has failed, or a record was wrong
	reasonFrames                     // the rules of HTTP/2 were broken
	reasonIdle                       // a connection of HTTP/2 without a stream for long
	reasonDrained                    // told to come back, because the server was about to stop
	reasonUpgrade                    // could not be handed over to another process, see loop.isMovable
	reasonUnexplained                // taken back from another process, which has written what the log does not tell
	reasonShutdown                   // the server stopped
	reasonCount
)

var reasonNames = [reasonCount]string{
	reasonAnswered:     "answered",
	reasonClient:       "client closed",
	reasonHeadLate:     "header timeout",
	reasonCrowded:      "place needed",
	reasonWrite:        "write failed",
	reasonLapped:       "too far behind",
	reasonSlow:         "slow timeout",
	reasonTalks:        "client kept sending",
	reasonLifetime:     "maximum lifetime",
	reasonVerdicts:     "verdict limit",
	reasonVerdictLate:  "verdict timeout",
	reasonVerdictLater: "no verdict",
	reasonExpired:      "grant expired",
	reasonUserLimit:    "connection limit per user",
	reasonOverload:     "connection limit",
	reasonChannels:     "channel limit",
	reasonRate:         "accept rate",
	reasonAddressLimit: "connection limit per address",
	reasonAddressRate:  "accept rate per address",
	reasonAddressFlood: "address flood",
	reasonNoProxy:      "not a trusted proxy",
	reasonProxyHeader:  "bad proxy header",
	reasonKicked:       "kicked",
	reasonTLS:          "TLS failed",
	reasonFrames:       "HTTP/2 failed",
	reasonIdle:         "idle",
	reasonDrained:      "drained",
	reasonUpgrade:      "upgrade",
	reasonUnexplained:  "taken back in vain",
	reasonShutdown:     "server stopped",
}

func (r reason) String() string { return reasonNames[r] }
