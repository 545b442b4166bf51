package channels

import (
	"errors"
	"fmt"
)

// Payload is the kind of payloads that a channel takes.
type Payload int

const (
	// Text is valid UTF-8. Streams get it, decoded by Options.Decode if that is set.
	Text Payload = iota
	// Binary is any bytes. Streams get them decoded by Options.Decode.
	Binary
	// Unstreamed is any bytes, for observers only: no stream can have the channel,
	// and nothing of it is kept.
	Unstreamed
)

// ErrUnstreamed is returned for a channel that no stream can have.
var ErrUnstreamed = errors.New("no stream can have this channel")

// CheckStream returns an error, of ErrUnstreamed, if no stream can have the channel.
// Safe for concurrent use.
func (in *Inbox) CheckStream(channel string) error {
	if in.broker.payload(channel) == Unstreamed {
		return fmt.Errorf("%w: %q", ErrUnstreamed, channel)
	}
	return nil
}

// payload returns the kind of payloads of a channel.
func (b *Broker) payload(channel string) Payload {
	switch {
	case byNameAlone(channel):
		return Unstreamed
	case b.opts.Payload == nil:
		return Text
	}
	return b.opts.Payload(channel)
}
