package node

import "millrace/internal/throttle"

// setDecoding has the broker decode payloads by o.Forms.
func (o *Options) setDecoding() {
	if len(o.Forms) == 0 {
		return
	}
	o.Broker.Decode, o.Broker.Payload = o.Forms.Decode, o.Forms.Payload
	log := throttle.Logger(o.Logger)
	o.Broker.Undecoded = func(channel string, err error) {
		log.Warn("an event of the backplane is passed on as it is", "channel", channel, "reason", err)
	}
}
