package ops

import (
	"testing"
	"time"

	"millrace/channels"
	"millrace/server"
)

// BenchmarkSample is what a node pays each second for being shown.
func BenchmarkSample(b *testing.B) {
	broker := channels.NewBroker(channels.Options{})
	public, err := server.New(server.Config{Listen: "127.0.0.1:0", Loops: 2}, broker)
	if err != nil {
		b.Fatal(err)
	}
	defer public.Close()
	cfg := Config{Broker: broker, Streams: public}
	before := cfg.read(time.Now())
	for b.Loop() {
		now := cfg.read(time.Now())
		cfg.sample(&before, &now)
	}
}
