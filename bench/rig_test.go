package bench

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"millrace/internal/node"
	"millrace/server"
)

// rigTarget is the channel of every rig.
const rigTarget = "/bench"

// rig is a server with its streams, each in a process of its own.
type rig struct {
	t       testing.TB
	server  *Process
	addr    string
	publish func(event uint64)

	clients *Process
	streams int
	size    int    // of a payload, in bytes
	next    uint64 // number of the next event
}

// newFloor returns a rig of the floor.
func newFloor(t testing.TB, size int) *rig {
	t.Helper()
	r := &rig{t: t, server: startPart(t, "floor"), size: size}
	call(t, r.server, "Listen", ListenArgs{Loops: runtime.GOMAXPROCS(0)}, &r.addr)
	r.publish = func(event uint64) {
		call(t, r.server, "Broadcast", AppendEvent(nil, event, size), &None{})
	}
	return r
}

// newMillrace returns a rig of millrace, and a client of its admin port.
func newMillrace(t testing.TB, args MillraceArgs, size int) (*rig, *redis.Client) {
	t.Helper()
	r := &rig{t: t, server: startPart(t, "millrace"), size: size}
	var addrs MillraceAddrs
	call(t, r.server, "Listen", args, &addrs)
	r.addr = addrs.Public
	client := redis.NewClient(&redis.Options{Addr: addrs.Admin})
	t.Cleanup(func() { client.Close() })
	r.publish = func(event uint64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		n, err := client.Publish(ctx, rigTarget, AppendPayload(nil, event, size)).Result()
		if err != nil || n != int64(r.streams) {
			t.Fatalf("publishing event %d: %d receivers, %v; want %d", event, n, err, r.streams)
		}
	}
	return r, client
}

// connect opens so many streams.
func (r *rig) connect(streams int) {
	r.t.Helper()
	r.clients, r.streams = startPart(r.t, "streams"), streams
	loops, ownTables := LoopsFor(streams, 0)
	var report Report
	call(r.t, r.clients, "Open", Config{
		Addr: r.addr, Target: rigTarget, Streams: streams, FirstEvent: r.next, PayloadSize: r.size,
		Loops: loops, OwnTables: ownTables,
	}, &report)
}

// broadcast delivers one event to every stream, and returns the processor time
// that the server spent on it.
func (r *rig) broadcast() time.Duration {
	r.t.Helper()
	before := r.cpu()
	r.publish(r.next)
	r.await(r.next)
	r.next++
	return r.cpu() - before
}

// pipeline delivers so many events, published together, to every stream of
// millrace.
func (r *rig) pipeline(client *redis.Client, events int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	p := client.Pipeline()
	for range events {
		p.Publish(ctx, rigTarget, AppendPayload(nil, r.next, r.size))
		r.next++
	}
	answers, err := p.Exec(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for i, a := range answers {
		if n := a.(*redis.IntCmd).Val(); n != int64(r.streams) {
			r.t.Fatalf("event %d of %d: %d receivers, want %d", i, events, n, r.streams)
		}
	}
	r.await(r.next - 1)
}

// await waits until every stream has the event.
func (r *rig) await(event uint64) {
	r.t.Helper()
	call(r.t, r.clients, "Await", AwaitArgs{event, patience - time.Second}, &None{})
}

// cpu returns the processor time of the server.
func (r *rig) cpu() time.Duration {
	r.t.Helper()
	d, err := r.server.CPU()
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) memory() int {
	r.t.Helper()
	n, err := r.server.Memory()
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// report returns what the streams have seen, all of which must be open.
func (r *rig) report() Report {
	r.t.Helper()
	var report Report
	call(r.t, r.clients, "Report", None{}, &report)
	if report.Open != r.streams || report.Ended != 0 {
		r.t.Fatalf("%s; want %d streams open", report, r.streams)
	}
	return report
}

// spread returns the median time from the first stream's arrival to the last
// one's, of that many newest events.
func (r *rig) spread(events int) time.Duration {
	r.t.Helper()
	arrivals := r.report().Arrivals
	var all []time.Duration
	for _, a := range arrivals[len(arrivals)-events:] {
		all = append(all, a.Last-a.First)
	}
	return median(all).Round(time.Microsecond)
}

// MillracePart is millrace as a part for ServeParts: a node with an admin port.
type MillracePart struct{ server *server.Server }

// MillraceAddrs are the addresses of a MillracePart.
type MillraceAddrs struct{ Public, Admin string }

// MillraceArgs are what a MillracePart lets a test choose; zero is the default.
type MillraceArgs struct {
	Loops     int
	Streams   int // to have room for
	Keepalive time.Duration
}

// Listen starts a node.
func (p *MillracePart) Listen(args MillraceArgs, addrs *MillraceAddrs) error {
	n, err := node.Start(node.Options{
		Public: server.Config{
			Listen:         "127.0.0.1:0",
			Loops:          args.Loops,
			MaxConnections: args.Streams,
			Keepalive:      args.Keepalive,
			HeaderTimeout:  10 * time.Second,
			SlowTimeout:    30 * time.Second,
		},
		Admin:  node.AdminPort{Listen: "127.0.0.1:0"},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	p.server = n.Streams()
	*addrs = MillraceAddrs{n.PublicAddr(), n.AdminAddr()}
	return nil
}

// Stats returns the figures of the server.
func (p *MillracePart) Stats(_ None, stats *server.Stats) error {
	*stats = p.server.Stats()
	return nil
}

// Heap is the Go heap of a process after a collection.
type Heap struct{ Bytes, Objects uint64 }

// Heap returns what is live on the server's heap.
func (p *MillracePart) Heap(_ None, heap *Heap) error {
	runtime.GC()
	runtime.GC() // what the first one moved from pools to their victims is dead now
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*heap = Heap{m.HeapAlloc, m.HeapObjects}
	return nil
}
