// Package channels is the broker: it orders events, encodes each of them once
// and hands the resulting message to every event loop that has a subscriber.
//
// The types: an [Event] is what a publisher hands in, a [Message] is that event
// on the wire, immutable and shared by every loop. A [Broker] owns the
// [Channel]s, assigns one total order to all messages of the node (the
// sequence), and keeps each channel's newest messages so that a reader that
// fell behind, or comes back, can be brought from its cursor to the head
// ([Broker.Since], [Broker.Resume]). An [Inbox] is where one loop receives
// messages. A [Backplane] links the brokers of several nodes.
//
// Caveats. Everything here is in memory and ends with the process. Subscribers
// are counted, not known: which connection listens to which channel is the
// business of the loop that owns it. Lock order: Broker.mu, then Inbox.mu.
package channels
