// Package h2 is HTTP/2 (RFC 9113) as a server of event streams needs it: what has come from a
// client becomes events, and what is to be sent becomes frames. It does no I/O, reads no
// clock, has no goroutine, and keeps of a connection one [Conn] of 32 bytes and of a stream
// one [Stream] of 8, both without pointers.
//
// A [Reader] serves all connections of an event loop: [Reader.Next] takes in one frame, or a
// header block with all its CONTINUATIONs, once it is there as a whole. Until then its bytes
// stay with the caller. It checks what the standard has checked, answers what the protocol
// answers by itself, into [Reader.Out], and returns the rest: requests, ends of streams,
// windows that have opened. The methods of Conn make the frames of answers.
//
// Requests become a [httpparse.Request], built of their fields and never of text. HPACK is
// golang.org/x/net's. The client is told that there is no table (SETTINGS_HEADER_TABLE_SIZE
// 0), so a connection has a decoder of its own, a [Table], only until it has acknowledged
// that; then one without a table serves all.
//
// A client that makes the server work for nothing is refused: see budget. Nothing here is
// safe for concurrent use.
package h2
