package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/tlsrecord"
)

// readersEnv has the addresses with TLS and in the clear, and how many streams TestReaders opens
// at each.
const readersEnv = "MILLRACE_TEST_READERS"

// TestReaders is no test but the clients of startReaders, in a process of their own. They throw
// away what comes.
func TestReaders(t *testing.T) {
	args := strings.Fields(os.Getenv(readersEnv))
	if len(args) == 0 {
		t.Skip("runs only as the clients of a benchmark")
	}
	var count [2]int
	for i := range count {
		count[i] = must(strconv.Atoi(args[2*i+1]))
	}
	poller, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	var dialing sync.WaitGroup
	for worker := range 4 {
		dialing.Go(func() {
			for i := worker; i < count[0]+count[1]; i += 4 {
				addr, target := args[0], "/tls"
				if i >= count[0] {
					addr, target = args[2], "/plain"
				}
				fd, err := openReader(addr, target, target == "/tls")
				if err == nil {
					err = unix.EpollCtl(poller, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	dialing.Wait()
	fmt.Println("ready")
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	events, buf := make([]unix.EpollEvent, 256), make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(poller, events, -1)
		if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
		for _, ev := range events[:max(n, 0)] {
			unix.Read(int(ev.Fd), buf)
		}
	}
}

// openReader opens a stream and returns its descriptor, which is its own.
func openReader(addr, target string, secure bool) (fd int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var to io.ReadWriter = conn
	if secure {
		to = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := fmt.Fprintf(to, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target); err != nil {
		return 0, err
	}
	if _, err := to.Read(make([]byte, 1)); err != nil {
		return 0, err
	}
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	fd, err = unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	return fd, err
}

// startReaders opens streams by TestReaders: so many on /tls, with TLS, and on /plain.
func startReaders(b *testing.B, s *Server, secure, plain int) {
	b.Helper()
	_, answers := startClients(b, "TestReaders", fmt.Sprintf("%s=%s %d %s %d", readersEnv, s.TLSAddr(), secure, s.Addr(), plain))
	if line, err := answers.ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("the clients' process says %q, %v", line, err)
	}
}

// BenchmarkSecureDelivery is the processor time of a delivery with TLS, beside one in the clear:
// the median of alternating rounds, with the clients in another process.
func BenchmarkSecureDelivery(b *testing.B) {
	const streams, rounds, events = 4000, 9, 10
	s, broker := start(b, withTLS(b, Config{Loops: 1}), channels.Options{})
	startReaders(b, s, streams, streams)
	poll := time.NewTicker(100 * time.Microsecond)
	defer poll.Stop()
	deliver := func(channel, data string) (each time.Duration) {
		before := cpuTime(b)
		for range events {
			want := s.loops[0].counters.deliveries.Load() + streams
			publish(b, broker, channel, data, streams)
			for s.loops[0].counters.deliveries.Load() < want {
				<-poll.C
			}
		}
		return (cpuTime(b) - before) / (events * streams)
	}
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := strings.Repeat("x", size)
			for range b.N {
				var plain, secure, ratio []float64
				for range rounds {
					p, t := deliver("/plain", data), deliver("/tls", data)
					plain, secure, ratio = append(plain, float64(p)), append(secure, float64(t)), append(ratio, float64(t)/float64(p))
				}
				for name, values := range map[string][]float64{"plain-ns": plain, "tls-ns": secure, "tls/plain": ratio} {
					slices.Sort(values)
					b.ReportMetric(values[rounds/2], name)
				}
			}
		})
	}
}

// BenchmarkSecureMemory is the memory of an idle stream with TLS: of the heap, and resident.
func BenchmarkSecureMemory(b *testing.B) {
	const streams = 18_000
	for range b.N {
		s, _ := start(b, withTLS(b, Config{Loops: 1}), channels.Options{})
		heap, resident := memory(b)
		startReaders(b, s, streams, 0)
		if n := s.Stats(); n.Streams != streams || n.Secure != streams || n.Handshaking != 0 {
			b.Fatalf("%+v, want %d streams", n, streams)
		}
		heapThen, residentThen := memory(b)
		b.ReportMetric(float64(heapThen-heap)/streams, "heap-B/stream")
		b.ReportMetric(float64(residentThen-resident)/streams, "rss-B/stream")
		b.ReportMetric(float64(unsafe.Sizeof(conn{})+unsafe.Sizeof(tlsrecord.State{})+4+12), "tables-B/stream")
	}
}

// memory returns the bytes of the heap in use and those of the process that are resident.
func memory(b *testing.B) (heap, resident int) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	return heapInUse(), must(strconv.Atoi(strings.Fields(string(text))[1])) * os.Getpagesize()
}
