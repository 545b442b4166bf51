package admin

import (
	"io"
	"strings"
	"testing"

	"millrace/channels"
)

const publishRequest = "*3\r\n$7\r\nPUBLISH\r\n$9\r\n/sse/test\r\n$13\r\n{\"foo\":\"bar\"}\r\n"

// silent is a broker that costs nothing.
type silent struct{ Broker }

func (silent) Linked() bool { return false }

func (silent) Publish(string, channels.Event) (channels.Receipt, error) {
	return channels.Receipt{Receivers: 1}, nil
}

func publishConn(t testing.TB) *conn {
	s, err := New(newPipes(), Config{Broker: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return newConn(s, &scripted{}, 1)
}

func publishOnce(t testing.TB, c *conn) {
	c.buf = append(c.buf[:0], publishRequest...)
	c.from, c.to, c.out = 0, len(c.buf), c.out[:0]
	if err := c.execute(); err != nil || string(c.out) != ":1\r\n" {
		t.Fatalf("%q: %q, %v", publishRequest, c.out, err)
	}
}

func TestPublishAllocatesNothing(t *testing.T) {
	c := publishConn(t)
	if allocs := testing.AllocsPerRun(100, func() { publishOnce(t, c) }); allocs != 0 {
		t.Errorf("%v allocations for %q", allocs, publishRequest)
	}
}

// BenchmarkPublish is what the admin port adds to Broker.Publish, without
// system calls.
func BenchmarkPublish(b *testing.B) {
	c := publishConn(b)
	b.ReportAllocs()
	for b.Loop() {
		publishOnce(b, c)
	}
}

// BenchmarkPipeline is a request over loopback, alone and among a thousand,
// published by a real broker without subscribers.
func BenchmarkPipeline(b *testing.B) {
	for name, size := range map[string]int{"1": 1, "1000": 1000} {
		b.Run(name, func(b *testing.B) {
			nc := dial(b, serve(b, Config{Broker: channels.NewBroker(channels.Options{}).Ports()}))
			requests := strings.Repeat(publishRequest, size)
			replies := make([]byte, size*len(":0\r\n"))
			for b.Loop() {
				if _, err := io.WriteString(nc, requests); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(nc, replies); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/request")
		})
	}
}
