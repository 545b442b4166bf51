// Package channels is the broker: it orders events, encodes each of them once
// and hands the resulting message to every event loop that has a subscriber.
//
// Each audience has a small type:
//
//   - publishers have the [Broker]: they hand in an [Event], and get a [Receipt];
//   - event loops have an [Inbox] each: it is attached to the channels of the loop's
//     subscribers, gets their messages, and brings a reader that fell behind, or comes
//     back, from its cursor to the head;
//   - the admin and ops ports have [Ports]: observers, listings and figures;
//   - a [Backplane] links the brokers of several nodes: it sends events to an engine, and
//     hands the events that the engine brings to the [Feed];
//   - another process that takes over has a broker of its own, which a [Tap] of this one
//     tells everything ([Broker.Relay]), until publishers go over to it too.
//
// A [Message] is an event on the wire, immutable and shared by every loop. The broker owns
// the [Channel]s, assigns one total order to all messages of the node (the sequence), and
// keeps each channel's newest messages.
//
// The way of an event: [Broker.Publish] checks, decodes and encodes it; where there is a
// backplane, [Backplane.Send] takes it to the engine instead, which brings it to every
// node, and [Feed.Deliver] does the same there. It is admitted once there is room, gets its
// place in the order, is retained in its channel's log and posted to the inboxes.
//
// Caveats. Everything here is in memory and ends with the process. Subscribers
// are counted, not known: which connection listens to which channel is the
// business of the loop that owns it. Lock order: Broker.mu, then Inbox.mu. Methods whose
// names end with Locked, and all of Channel, are called with Broker.mu held.
package channels
