// Package bench loads a server of event streams, checks the events that it delivers,
// and measures their costs.
//
// [Streams] is the client: it opens any number of streams on a few event loops
// and checks every byte of each, so that a lost, repeated or damaged event is
// found on the stream that has it. [Floor] is a server that only writes: no server
// can deliver for less on the host, so others are compared with it. A [Process] is
// one of them, or a server under test, in a process of its own, with its processor
// time and memory.
//
// Over TLS the clients keep of a connection what millrace keeps of it, a record state of
// package tlsrecord: crypto/tls makes the handshakes only, on memory.
//
// Caveats. Times are of the host's monotonic clock ([Now]), so that those of
// several processes compare; processor time and memory of a process are known
// on Linux only. Streams are opened to loopback addresses only.
package bench
