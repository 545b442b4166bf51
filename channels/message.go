package channels

import "time"

// Message is an event encoded once. It is immutable after Publish has made it
// and shared by every loop, so it is safe for concurrent reading.
type Message struct {
	// Seq is the broker's sequence: it grows by one from message to message
	// over all channels, beginning with 1.
	Seq uint64
	// Channel is where the message was published.
	Channel *Channel
	// Wire is the event as it stands in the stream, blank line included.
	Wire []byte
	// Evicted is the sequence of the newest message that the channel no longer
	// kept when this one was published. A reader whose cursor lies below it can
	// no longer be brought to the head.
	Evicted uint64
	// Form is the message's place in the text of its channel; nil if no gzip stream was on
	// that when it was published, and of gaps.
	Form *Form

	born time.Duration // when it was published, on the broker's clock

	// older and newer link every kept message of the broker by age. Guarded by
	// Broker.mu, and not among the immutable fields.
	older, newer *Message
}

// messageOverhead is the memory of a kept or waiting message beside its wire form, in
// bytes: the struct, its place in a log and in an inbox.
const messageOverhead = 128

// size is the size that m counts for against the bounds on memory, in bytes.
func (m *Message) size() int { return len(m.Wire) + messageOverhead + m.Form.size(len(m.Wire)) }
