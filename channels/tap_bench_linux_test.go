package channels

import (
	"fmt"
	"testing"
	"time"

	"millrace/internal/handover"
)

// BenchmarkTap is a history of 256 MiB on its way to a successor's broker, and the longest that
// a slice of it holds up the broker: less than 10 ms.
func BenchmarkTap(b *testing.B) {
	opts := Options{History: 1000, HistoryTTL: time.Hour}
	from := NewBroker(opts)
	data := make([]byte, 200)
	for i := range data {
		data[i] = 'x'
	}
	for i := 0; from.kept.size < DefaultMaxKept-1000; i++ {
		publish(b, from, fmt.Sprintf("/rooms/%d", i%5000), string(data))
	}
	opts.Successor = true
	for b.Loop() {
		tap, err := from.Tap(handover.Version)
		if err != nil {
			b.Fatal(err)
		}
		to := NewBroker(opts)
		holds := watch(b, from)
		w := &handover.Writer{Version: handover.Version}
		for {
			holds.begin()
			batch, size, err := tap.take(nil)
			if err != nil || len(batch) == 0 {
				break
			}
			if err := write(w, batch, to.Relay); err != nil {
				b.Fatal(err)
			}
			holds.begin()
			tap.wrote(batch, size)
		}
		tap.Close()
		if to.kept.size != from.kept.size || to.seq != from.seq {
			b.Fatalf("the successor keeps %d bytes at %d, want %d at %d", to.kept.size, to.seq, from.kept.size, from.seq)
		}
		holds.report(b)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
}
