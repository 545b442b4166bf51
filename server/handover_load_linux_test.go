package server

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/testenv"
)

// loadChannels are the channels of the load: event n is published on the one that n draws.
const loadChannels = 3

func channelOf(n int) int { return int(uint32(n) * 0x9e3779b9 >> 16 % loadChannels) }

// loadReader reads a stream, and wants each event of its channels, in order.
type loadReader struct {
	channels map[int]bool
	slow     bool
	next     int // the least event that it may get
	events   atomic.Int64
}

// read reads until the end of the stream or until the event that is the last.
func (r *loadReader) read(addr string, last *atomic.Int64) error {
	var target string
	for c := range r.channels {
		target += fmt.Sprintf("&channel=/%d", c)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if r.slow {
		conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	}
	conn.SetDeadline(time.Now().Add(2 * patience))
	fmt.Fprintf(conn, "GET /all?%s HTTP/1.1\r\nHost: test\r\n\r\n", target[1:])
	lines := bufio.NewReader(conn)
	random := rand.New(rand.NewPCG(1, 2))
	for first := true; ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("after event %d: %w", r.next-1, err)
		}
		if r.slow && random.IntN(20) == 0 {
			time.Sleep(time.Millisecond)
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var n, size int
		if _, err := fmt.Sscanf(data, "%d %d", &n, &size); err != nil || len(data)-len(strings.TrimRight(data, "x\n")) != size+1 {
			return fmt.Errorf("event %.40q (%d bytes), want its number, its size, and that many bytes (%v)", data, len(data), err)
		}
		if end := last.Load(); end > 0 && n >= int(end) { // the end is on all channels
			return nil
		}
		if !r.channels[channelOf(n)] {
			return fmt.Errorf("event %d is of channel %d, not one of %v", n, channelOf(n), r.channels)
		}
		for want := r.next; !first && want < n; want++ {
			if r.channels[channelOf(want)] {
				return fmt.Errorf("event %d came after %d, want %d between", n, r.next-1, want)
			}
		}
		if n < r.next {
			return fmt.Errorf("event %d came after %d", n, r.next-1)
		}
		first, r.next = false, n+1
		r.events.Add(1)
	}
}

// Ensure that under load no stream lacks an event or gets one twice, whenever loops are handed
// over, in the middle of a turn too, to a successor that takes over or does not.
func TestHandOverUnderLoad(t *testing.T) {
	handovers := 5
	if testenv.Full() {
		handovers = 25
	}
	opts := channels.Options{}
	s, broker := start(t, Config{Loops: 2, FDTables: FDTablesPerLoop, Keepalive: time.Second}, opts)
	var last atomic.Int64
	var reading sync.WaitGroup
	readers := []*loadReader{}
	open := func(slow bool, chans ...int) {
		r := &loadReader{channels: make(map[int]bool), slow: slow}
		for _, c := range chans {
			r.channels[c] = true
		}
		readers = append(readers, r)
		addr := s.Addr().String()
		reading.Go(func() {
			if err := r.read(addr, &last); err != nil {
				t.Errorf("a stream on %v, slow: %v: %v", r.channels, slow, err)
			}
		})
	}
	for i := range 60 {
		open(i%10 == 0, i%loadChannels)
		open(i%10 == 0, i%loadChannels, (i+1)%loadChannels)
	}
	streams := int64(len(readers))
	testenv.Eventually(t, "all streams open", func() bool { return s.Stats().Streams == streams })

	var to atomic.Pointer[channels.Broker]
	to.Store(broker)
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for random := rand.New(rand.NewPCG(3, 4)); ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			size := random.IntN(1000)
			if random.IntN(50) == 0 {
				size = 40_000
			}
			event := channels.Event{Data: fmt.Appendf(nil, "%d %d %s", n, size, strings.Repeat("x", size))}
			for {
				_, err := to.Load().Publish(fmt.Sprint("/", channelOf(n)), event)
				if err == nil {
					break
				}
				if !errors.Is(err, channels.ErrFrozen) {
					t.Errorf("event %d: %v", n, err)
					break
				}
				time.Sleep(time.Millisecond)
			}
			if random.IntN(20) > 0 { // bursts, but no more than a slow reader takes
				time.Sleep(2 * time.Millisecond)
			}
		}
	}()
	behind := int64(0)
	for i := range handovers {
		u := succeed(t, s, opts)
		for loop := range s.Loops() {
			if err := s.RestLoop(loop); err != nil {
				t.Fatal(err)
			}
		}
		behind += s.Stats().Behind
		for _, loop := range s.LoopOrder() {
			u.hand(loop)
			if i%3 != 1 || loop == 0 {
				u.commit(loop)
			}
		}
		if i%3 == 1 { // the successor dies
			u.die()
			continue
		}
		u.over()
		s = u.next
		to.Store(u.to)
	}
	close(stop)
	n := <-stopped
	last.Store(int64(n))
	for c := range loadChannels {
		if _, err := to.Load().Publish(fmt.Sprint("/", c), channels.Event{Data: []byte(fmt.Sprint(n, " 0 "))}); err != nil {
			t.Fatal(err)
		}
	}
	reading.Wait()
	events := int64(0)
	for _, r := range readers {
		events += r.events.Load()
	}
	t.Logf("%d events, %d deliveries to %d streams, %d handovers with %d streams behind", n, events, len(readers), handovers, behind)
}
