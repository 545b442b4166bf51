package bench

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/server"
)

// Sleepers is the part that holds streams which are never read.
type Sleepers struct{ conns []net.Conn }

// SleepersArgs says where, and how many.
type SleepersArgs struct {
	Addr, Target string
	Streams      int
}

// Open opens the streams. Their sockets take little.
func (p *Sleepers) Open(args SleepersArgs, _ *None) error {
	for i := range args.Streams {
		dialer := net.Dialer{
			LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(1+i%8))},
			Control: func(_, _ string, raw syscall.RawConn) (err error) {
				raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
				return err
			},
		}
		conn, err := dialer.Dial("tcp", args.Addr)
		if err != nil {
			return err
		}
		p.conns = append(p.conns, conn)
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", args.Target); err != nil {
			return err
		}
	}
	return nil
}

// Ensure that clients which never read, up to half of 15,000, cost a bounded
// amount of memory, do not hold up the others, and are each ended once, for that
// reason.
func TestSlowReadersHarmNobody(t *testing.T) {
	measured(t)
	const streams, size, events = 15_000, 1000, 5
	for _, percent := range []int{1, 10, 50} {
		t.Run(fmt.Sprintf("%d %%", percent), func(t *testing.T) {
			slow := streams * percent / 100
			healthy := streams - slow
			n, err := node.Start(node.Options{Public: server.Config{Listen: "127.0.0.1:0", SlowTimeout: 8 * time.Second}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.Close)
			s, broker := n.Streams(), n.Broker()
			clients, sleepers := startPart(t, "streams"), startPart(t, "sleepers")
			var report Report
			call(t, clients, "Open", Config{Addr: s.Addr().String(), Target: rigTarget, Streams: healthy, PayloadSize: size}, &report)

			next := uint64(0)
			broadcast := func() {
				t.Helper()
				call(t, clients, "Expect", Now(), &None{})
				if _, err := broker.Publish(rigTarget, channels.Event{Data: AppendPayload(nil, next, size)}); err != nil {
					t.Fatal(err)
				}
				call(t, clients, "Await", AwaitArgs{next, patience}, &None{})
				next++
			}
			// p99 is how long an event takes to 99 of 100 healthy streams, as the
			// median of some.
			p99 := func() time.Duration {
				t.Helper()
				var all []time.Duration
				for range events {
					broadcast()
					call(t, clients, "Report", None{}, &report)
					all = append(all, report.Latency.Percentile(99))
				}
				return median(all)
			}
			broadcast()
			alone, base := p99(), heapInUse()

			call(t, sleepers, "Open", SleepersArgs{s.Addr().String(), rigTarget, slow}, &None{})
			testenv.Eventually(t, "all streams are open", func() bool { return s.Stats().Streams == streams })
			for int(s.Stats().Behind) < slow && s.Stats().Closed["slow timeout"] == 0 {
				broadcast()
			}
			among := p99()
			if among > 2*alone { // the machine may be busy with something else
				among = p99()
			}
			behind, grown := s.Stats().Behind, heapInUse()-base
			// A map entry and a reader for each that is behind, the backlog of their
			// channel, and the message of which each has the rest, at worst another
			// one each time. As much again for what a collection leaves.
			bound := 2 * (slow*slowReaderBytes + backlogBytes + int(next)*(size+messageBytes))
			t.Logf("%d streams, %d of them behind: p99 of the others %v, %.2f times the %v without; %d KiB more of heap, at most %d",
				streams, behind, among, float64(among)/float64(alone), alone, grown>>10, bound>>10)
			if grown > bound {
				t.Errorf("%d streams that are behind take %d bytes of heap, want at most %d", behind, grown, bound)
			}
			if among > 2*alone {
				t.Errorf("p99 of healthy streams: %v with %d slow ones, %v without, want at most twice that", among, slow, alone)
			}
			testenv.Eventually(t, "the slow ones are ended", func() bool { return s.Stats().Streams == int64(healthy) })
			stats := s.Stats()
			if n := stats.Closed["slow timeout"]; n != uint64(slow) || stats.Behind != 0 || stats.Accepted != streams {
				t.Errorf("%d of %d closed as slow, %d are behind, %d accepted (%v)", n, slow, stats.Behind, stats.Accepted, stats.Closed)
			}
			broadcast()
			call(t, clients, "Report", None{}, &report)
			if report.Open != healthy || report.Ended > 0 {
				t.Errorf("%s, want %d healthy streams", report, healthy)
			}
		})
	}
}

const (
	// slowReaderBytes is the server's memory of a stream that is behind: the
	// struct, and its place in a map that may be half empty.
	slowReaderBytes = 256
	// backlogBytes is the memory of a channel's backlog.
	backlogBytes = 4 << 20
	// messageBytes is what a message costs beside its data.
	messageBytes = 256
)

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
