// Package resp is the wire form of the Redis serialization protocol, versions 2
// and 3, as far as a small server and its own client need it.
//
//   - [Parser] finds requests in a buffer: arrays of bulk strings, and the
//     inline form that people type into nc.
//   - The Append functions write requests and replies to the end of a slice.
//   - [ReadReply] reads a reply, for a client that asks one thing at a time.
//
// The parser does no I/O and reserves nothing for a length it was merely told:
// memory is taken for bytes that have come, and [Limits] are checked before any
// of it. Nested requests, streamed strings and attributes are not understood.
//
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/. The
// words of the protocol errors are those of Redis 7, so that a search for one
// finds it.
package resp

// Version is the protocol that a connection speaks. It changes how nulls, maps
// and pushes are written.
type Version int

// A connection starts with RESP2; HELLO 3 takes it to RESP3.
const (
	RESP2 Version = 2
	RESP3 Version = 3
)
