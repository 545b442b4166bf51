package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/netpoll"
	"millrace/internal/testenv"
)

// h2Fleet are streams on /x of a loop that is turned by hand, over TCP.
type h2Fleet struct {
	handLoop
	streams int
	ends    []int // of the clients, where nobody opens what comes
	scratch []byte
}

// newH2Fleet opens streams, so many on each connection of HTTP/2 with TLS, or with 0 each on one
// of HTTP/1.1 in the clear.
func newH2Fleet(t testing.TB, streams, each int) *h2Fleet {
	t.Helper()
	f := &h2Fleet{handLoop: turnByHand(t, Config{}, channels.Options{}), streams: streams, scratch: make([]byte, 1<<16)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range streams / max(each, 1) {
		ours, theirs := f.connectTCP(ln)
		if each == 0 {
			unixWrite(t, theirs, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
			f.await(theirs, func() { f.on(ours, true, false) })
			continue
		}
		c := f.beginH2(ours, theirs, 1<<30)
		c.grant(0, 1<<30)
		for range each {
			c.ask("/x")
		}
		f.await(theirs, func() { f.on(ours, true, false) })
		f.seal(f.conn(ours))
	}
	f.drain()
	return f
}

// connectTCP opens a connection over loopback.
func (f *h2Fleet) connectTCP(ln net.Listener) (ours int32, theirs int) {
	f.t.Helper()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { client.Close() })
	server, err := ln.Accept()
	if err != nil {
		f.t.Fatal(err)
	}
	defer server.Close()
	number := func(conn net.Conn) (fd int) {
		raw, _ := conn.(*net.TCPConn).SyscallConn()
		raw.Control(func(n uintptr) { fd = int(n) })
		return fd
	}
	own, err := unix.Dup(number(server))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := f.open(int32(own), netpoll.Peer{}, false); err != nil {
		f.t.Fatal(err)
	}
	f.ends = append(f.ends, number(client))
	return int32(own), number(client)
}

// await calls turn until something has come.
func (f *h2Fleet) await(end int, turn func()) {
	f.t.Helper()
	testenv.Eventually(f.t, "an answer", func() bool {
		turn()
		n, _ := unix.Read(end, f.scratch)
		return n > 0
	})
}

// seal gives a connection that has begun in the clear the record layer of TLS.
func (f *h2Fleet) seal(c *conn) {
	f.t.Helper()
	state, err := f.keys.claim(c.id())
	if err == nil {
		err = state.Init(tls.TLS_AES_128_GCM_SHA256, make([]byte, 32), make([]byte, 32), 0)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.counters.secure.Add(1)
	c.flags.set(secure, true)
}

// drain takes what has come.
func (f *h2Fleet) drain() {
	for _, end := range f.ends {
		for n := 1; n > 0; {
			n, _ = unix.Read(end, f.scratch)
		}
	}
}

// deliver publishes an event, and returns the time of the processor that a delivery takes.
func (f *h2Fleet) deliver(data []byte) time.Duration {
	f.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := f.counters.deliveries.Load()
	start := threadTime(f.t)
	if _, err := f.broker.Publish("/x", channels.Event{Data: data}); err != nil {
		f.t.Fatal(err)
	}
	f.turnOver()
	took := threadTime(f.t) - start
	if n := f.counters.deliveries.Load() - before; n != uint64(f.streams) {
		f.t.Fatalf("%d deliveries to %d streams", n, f.streams)
	}
	f.drain()
	return took / time.Duration(f.streams)
}

// threadTime is the time of the processor that the thread has had.
func threadTime(t testing.TB) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkH2 is a delivery over HTTP/2 with TLS, to one stream a connection and to six, beside
// one in the clear over HTTP/1.1: alternating, in time of the processor, the median of each.
func BenchmarkH2(b *testing.B) {
	const streams = 1200
	fleets := []*h2Fleet{newH2Fleet(b, streams, 0), newH2Fleet(b, streams, 1), newH2Fleet(b, streams, 6)}
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprint(size, "_bytes"), func(b *testing.B) {
			data := []byte(strings.Repeat("x", size))
			times := make([][]time.Duration, len(fleets))
			for b.Loop() {
				for i, f := range fleets {
					times[i] = append(times[i], f.deliver(data))
				}
			}
			median := func(i int) float64 {
				slices.Sort(times[i])
				return float64(times[i][len(times[i])/2])
			}
			b.ReportMetric(median(0), "plain-ns/delivery")
			b.ReportMetric(median(1)/median(0), "h2/plain")
			b.ReportMetric(median(2)/median(0), "six/plain")
		})
	}
}
