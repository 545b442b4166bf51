package bench

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/node"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
	"millrace/server"
)

// Resumers is the part that holds clients which are cut at random, and go on
// each time where they were.
type Resumers struct{}

// ResumersArgs says whom they connect to, how many they are, and how many events
// there will be.
type ResumersArgs struct {
	Addr            string
	Clients, Events int
}

// ResumersReport is what has become of them.
type ResumersReport struct {
	Complete int64 // clients that got exactly what was published
	Cuts     int64 // connections that ended before
	Errors   []string
}

// Run returns when each client has got all of its events, or something else.
func (Resumers) Run(args ResumersArgs, report *ResumersReport) error {
	var running sync.WaitGroup
	var mu sync.Mutex // guards Errors
	dialing := make(chan struct{}, 256)
	for i := range args.Clients {
		running.Go(func() {
			if err := report.follow(i, args, dialing); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if len(report.Errors) < maxErrors {
					report.Errors = append(report.Errors, fmt.Sprintf("client %d: %v", i, err))
				}
				return
			}
			atomic.AddInt64(&report.Complete, 1)
		})
	}
	running.Wait()
	return nil
}

// rooms is how many channels there are beside the one for everybody.
const rooms = 4

// roomOf returns the channel of an event.
func roomOf(event int) string {
	if event%(rooms+1) == rooms {
		return "/all"
	}
	return fmt.Sprint("/room", event%(rooms+1))
}

// follow is one client, of the one room and the channel for everybody.
func (report *ResumersReport) follow(number int, args ResumersArgs, dialing chan struct{}) error {
	random := rand.New(rand.NewPCG(7, uint64(number)))
	room := fmt.Sprint("/room", number%rooms)
	c := ssetest.Client{
		Target: room + "?channel=/all",
		LastID: channels.Earliest, // so that a client that is late for the first has it too
		Source: net.IPv4(127, 0, 1, byte(1+number%8)),
	}
	defer c.Close()
	deadline := time.Now().Add(patience)
	event := -1
	advance := func() { // to the next event that is for this client
		for event++; event < args.Events && roomOf(event) != room && roomOf(event) != "/all"; event++ {
		}
	}
	for advance(); event < args.Events; {
		dialing <- struct{}{}
		err := c.Open(args.Addr, deadline)
		<-dialing
		if err != nil {
			return err
		}
		began := event
		for cut := random.IntN(args.Events * 2 / 3); event < args.Events && event-began <= cut; {
			ev, err := c.Next()
			if err != nil {
				return fmt.Errorf("after event %d: %w", event, err)
			}
			if ev.Data == "" {
				continue
			}
			if ev.Type != "" || ev.Data != fmt.Sprint(event) {
				return fmt.Errorf("got %+v, want event %d", ev, event)
			}
			advance()
		}
		if event < args.Events {
			atomic.AddInt64(&report.Cuts, 1)
			c.Reset()
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		}
	}
	return nil
}

// Ensure that ten thousand clients, each on two channels and cut at random while
// events are published, end up with exactly what was published, in order.
func TestResumeOfManyCutClients(t *testing.T) {
	args := ResumersArgs{Clients: 10_000, Events: 200}
	if testing.Short() || testenv.Race {
		args.Clients = 1000
	}
	n, err := node.Start(node.Options{
		Public: server.Config{Listen: "127.0.0.1:0"}, Broker: channels.Options{History: args.Events},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	s, broker := n.Streams(), n.Broker()
	args.Addr = s.Addr().String()

	clients := startPart(t, "resumers")
	done := make(chan struct{})
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for s.Stats().Accepted < uint64(args.Clients)/2 { // the others come late
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
		for event := range args.Events {
			if _, err := broker.Publish(roomOf(event), channels.Event{Data: fmt.Append(nil, event)}); err != nil {
				t.Error(err)
			}
			if event%5 == 0 {
				select {
				case <-done:
				case <-time.After(100 * time.Millisecond):
				}
			}
		}
	})
	var report ResumersReport
	call(t, clients, "Run", args, &report)
	close(done)
	publisher.Wait()
	stats := s.Stats()
	t.Logf("%d clients cut %d times: %d deliveries in %d writes", args.Clients, report.Cuts, stats.Deliveries, stats.Writes)
	if report.Complete != int64(args.Clients) {
		t.Errorf("%d of %d clients got what was published: %q", report.Complete, args.Clients, report.Errors)
	}
	if report.Cuts < int64(args.Clients) {
		t.Errorf("%d cuts of %d clients, want at least one each", report.Cuts, args.Clients)
	}
}
