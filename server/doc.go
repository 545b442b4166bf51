// Package server holds event streams: it accepts sockets, answers minimal
// HTTP, and brings every stream from its cursor to the head of its channels.
//
// A [Server] runs a few loops. A loop is one goroutine with one poller; it owns
// its connections, their timers and its lists of subscribers, and nothing else
// touches them, so there are no locks inside. Messages come in through a
// [channels.Inbox]; everything else the loop learns from its poller. An idle
// connection takes one 64-byte slot without pointers, found by descriptor; state
// that only few connections have (an unfinished request head, the unsent rest of a
// message, several channels) lives in side tables.
//
// Caveats. With HTTP/1.1 one request a connection: an answer that is no stream closes it. A
// client that shuts down its sending side has left. Linux gives every loop a
// listener of its own (SO_REUSEPORT); on macOS and BSD the loops share one.
//
// # Files
//
// A connection, from its socket to its answer: listener, conn, table, socket (the one place
// that reads and writes), admission, request, authorize, forwarded, verdicts, permitted, answer,
// turnaway (clients that are told to come back), head, cors, hosts, authority (what a request is
// addressed to).
//
// TLS, between a socket and its connection: handshakes, secure (records), sealed (rests of
// records), keys, keys_linux, keys_bsd.
//
// HTTP/2, whose streams share a socket: h2conn (connections), h2stream, h2write (frames that go
// out together), h2timers, h2faults, slab.
//
// A stream, from its start to its end: stream, streams, loopchannel (lists of subscribers),
// waiting, fanout, early, batch, wireform (which bytes a stream gets of a message), send,
// slowreader, slowreport, pace, need, pings, grants, ending, farewell.
//
// The content coding gzip: gzip, gzipbatch.
//
// Connections that go from process to process: handover (as the predecessor has it), handoverloop,
// handoverrecord (what is told of a connection), handoverprotocols (what of TLS and HTTP/2),
// handoverkeys, takeback (when the successor is dead), takeover (as the successor has it),
// takeoverloop, takeoverrecord,
// takeoverprotocols, holding (what waits until there is no way back).
//
// A node: server, config, capacity, loop (where everything is called from), timers,
// moment, mail, posted, drain, reason, stats, histogram, verdictcounts, notices, shrink,
// beside (limits of new connections, on their way to another process).
package server
