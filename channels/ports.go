package channels

// Ports is the broker as the admin and ops ports have it: beside publishing, observers
// that hear channels, listings and figures. All of its methods are safe for concurrent use.
type Ports struct{ *Broker }

// Ports returns the part of the broker that ports have.
func (b *Broker) Ports() Ports { return Ports{b} }
