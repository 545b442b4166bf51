package server

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"millrace/channels"
)

// Ensure that streams of HTTP/2 get what plain ones get, whatever their windows and however
// often their socket is full: the naive twin is the list of all that was published. The client
// fails a server that sends more than a window has room for.
func TestH2Windows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := turnByHand(t, Config{}, channels.Options{MaxEventBytes: 1 << 20})
		defer func() { h.server.Close() }()
		initial := rapid.SampledFrom([]int{0, 1, 10, 100, 3000, 65535, 1 << 20}).Draw(rt, "initial window")
		c := h.connectH2(initial)
		c.t = rt
		if rapid.Bool().Draw(rt, "a small socket") {
			unix.SetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
		}
		want := make(map[uint32]*strings.Builder)
		on := make(map[uint32]string)
		var ids []uint32
		published := 0
		rt.Repeat(map[string]func(*rapid.T){
			"ask": func(rt *rapid.T) {
				if len(ids) == 6 {
					rt.Skip()
				}
				channel := rapid.SampledFrom([]string{"/a", "/b", "/a?channel=/b"}).Draw(rt, "channel")
				id := c.ask(channel)
				ids, on[id], want[id] = append(ids, id), channel, new(strings.Builder)
				want[id].WriteString(":\n\n")
			},
			"publish": func(rt *rapid.T) {
				channel := rapid.SampledFrom([]string{"/a", "/b"}).Draw(rt, "channel")
				size := rapid.SampledFrom([]int{0, 10, 500, 20_000, 60_000}).Draw(rt, "size")
				if h.broker.Find(channel) == nil { // it is not kept, so what was before it is not to be waiting for the loop: see channels.ErrEvicted
					h.turnOver()
				}
				published++
				data := fmt.Sprint(published, strings.Repeat("x", size))
				if _, err := h.broker.Publish(channel, channels.Event{Data: []byte(data)}); err != nil {
					rt.Fatal(err)
				}
				for id, target := range on {
					if strings.Contains(target, channel) {
						want[id].WriteString(event(data))
					}
				}
			},
			"turn": func(*rapid.T) { h.turnOver() },
			"take": func(*rapid.T) { c.take() },
			"writable": func(*rapid.T) {
				if h.conn(c.fd).flags.is(behind) { // else nobody is told
					h.on(c.fd, false, true)
				}
			},
			"travel": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "one of ten") > 0 {
					rt.Skip()
				}
				next, descriptors := h.travel()
				h, c.h, c.fd = next, next, descriptors[c.fd]
			},
			"grant": func(rt *rapid.T) {
				stream := rapid.SampledFrom(append(ids, 0)).Draw(rt, "stream")
				c.grant(stream, rapid.SampledFrom([]int{1, 7, 100, 50_000}).Draw(rt, "bytes"))
				c.flushPart(rapid.IntRange(0, c.out.Len()).Draw(rt, "sent"))
			},
			"reset": func(rt *rapid.T) {
				if len(ids) == 0 || rapid.IntRange(0, 4).Draw(rt, "one of five") > 0 {
					rt.Skip()
				}
				i := rapid.IntRange(0, len(ids)-1).Draw(rt, "stream")
				h.turnOver()
				c.take()
				c.framer.WriteRSTStream(ids[i], 8)
				c.flush()
				delete(on, ids[i])
				ids = append(ids[:i:i], ids[i+1:]...)
			},
			"": func(rt *rapid.T) {
				c.take()
				if c.closed || c.goAway {
					rt.Fatal("the connection has ended")
				}
				for _, id := range ids {
					if got := c.text(id); !strings.HasPrefix(want[id].String(), got) {
						rt.Fatalf("stream %d on %s has got %.200q, want the beginning of %.200q", id, on[id], got, want[id].String())
					}
				}
			},
		})
		for _, id := range append(ids, 0) {
			c.grant(id, 1<<30)
		}
		c.flush()
		for range 2000 {
			h.turnOver()
			if h.conn(c.fd).flags.is(behind) {
				h.on(c.fd, false, true)
			}
			c.take()
		}
		for _, id := range ids {
			if got := c.text(id); got != want[id].String() {
				rt.Fatalf("stream %d on %s has got %d bytes, want %d", id, on[id], len(got), want[id].Len())
			}
		}
		if n := h.counters.behind.Load(); n != 0 {
			rt.Fatalf("%d streams are behind", n)
		}
	})
}
