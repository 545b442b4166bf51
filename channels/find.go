package channels

// Find returns a channel by its name, nil if there is none. Safe for concurrent use.
func (b *Broker) Find(name string) *Channel {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.channels[name]
}
