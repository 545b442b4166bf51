package server

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/netpoll"
)

// BenchmarkFanOut is what a delivery costs beside its write(2): streams on
// /dev/null, which takes everything at once, against as many bare writes to the
// same descriptors.
func BenchmarkFanOut(b *testing.B) {
	const streams = 5000
	h := turnByHand(b, Config{}, channels.Options{})
	descriptors := h.streamsToNowhere(streams)
	event := channels.Event{Data: []byte(`{"foo":"bar"}`)}
	report := func(b *testing.B, events int) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams*events), "ns/delivery")
	}
	for _, burst := range []int{1, 20} {
		b.Run(fmt.Sprintf("millrace/burst=%d", burst), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range burst {
					if _, err := h.broker.Publish("/x", event); err != nil {
						b.Fatal(err)
					}
				}
				h.turnOver()
			}
			report(b, burst)
		})
	}
	b.Run("bare writes", func(b *testing.B) {
		wire := []byte("data: {\"foo\":\"bar\"}\n\n")
		for b.Loop() {
			for _, fd := range descriptors {
				unix.Write(fd, wire)
			}
		}
		report(b, 1)
	})
}

// openNullStream opens a stream on /dev/null, which takes everything at once.
func openNullStream(t testing.TB, h handLoop, names [][]byte) int {
	return openNull(t, h, opening{names: names})
}

// openNull is openNullStream with all that a stream can be opened with.
func openNull(t testing.TB, h handLoop, o opening) int {
	fd, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.server.open.Add(1)
	h.server.streams.Add(1)
	h.counters.connections.Add(1)
	c := h.table.claim(int32(fd), h.number, slot{stream: stream{state: stateHead}})
	h.startStream(&c.stream, o)
	return fd
}

// BenchmarkMulti is a delivery to streams on 64 channels each, one of which is their
// own, in turns of one message for every stream, against a bare write for each.
func BenchmarkMulti(b *testing.B) {
	const streams, shared = 4000, 63
	h := turnByHand(b, Config{}, channels.Options{})
	descriptors := make([]int, streams)
	names := make([][]byte, shared+1)
	for i := range shared {
		names[i] = fmt.Appendf(nil, "/shared/%d", i)
	}
	for i := range descriptors {
		names[shared] = fmt.Appendf(nil, "/own/%d", i)
		descriptors[i] = openNullStream(b, h, names)
	}
	event := channels.Event{Data: []byte("x")}
	b.Run("millrace", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range streams {
				if _, err := h.broker.Publish(fmt.Sprintf("/own/%d", i), event); err != nil {
					b.Fatal(err)
				}
			}
			h.turnOver()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams), "ns/delivery")
	})
	b.Run("bare writes", func(b *testing.B) {
		for b.Loop() {
			for _, fd := range descriptors {
				unix.Write(fd, []byte("data: x\n\n"))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*streams), "ns/delivery")
	})
}

// BenchmarkSubscribe is a stream's whole life on the loop, from accepted socket
// to forgotten.
func BenchmarkSubscribe(b *testing.B) {
	h := turnByHand(b, Config{Keepalive: tick * 500, HeaderTimeout: tick * 1000}, channels.Options{})
	const request = "GET /rooms/42 HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n"
	b.ReportAllocs()
	for b.Loop() {
		ours, theirs := socketPair(b)
		if err := h.open(int32(ours), netpoll.Peer{}, false); err != nil {
			b.Fatal(err)
		}
		unixWrite(b, theirs, request)
		h.on(int32(ours), true, false)
		unix.Close(theirs)
		h.on(int32(ours), true, false)
	}
}

// streamsToNowhere opens streams on /dev/null, which takes everything at once.
func (h handLoop) streamsToNowhere(n int) (descriptors []int) {
	h.t.Helper()
	for range n {
		fd, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		h.server.open.Add(1)
		h.occupancy.sockets.Add(1)
		h.counters.connections.Add(1)
		c := h.table.claim(int32(fd), h.number, slot{stream: stream{state: stateHead}})
		h.takeStream(&c.stream)
		h.startStream(&c.stream, opening{names: [][]byte{[]byte("/x")}})
		descriptors = append(descriptors, fd)
	}
	return descriptors
}
