package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"millrace/channels"
	"millrace/internal/tlsrecord"
)

// secureStream is a stream with TLS of a loop that is turned by hand, and its client.
type secureStream struct {
	h      handLoop
	fd     int32
	peer   int
	state  tlsrecord.State // the client's
	sealed []byte          // read and not opened
	plain  strings.Builder // opened
}

// secureByHand opens a stream on target, as if its handshake were over.
func secureByHand(t interface{ Fatal(...any) }, h handLoop, target string) *secureStream {
	r := &secureStream{h: h}
	r.fd, r.peer = h.connect()
	c := h.conn(r.fd)
	c.flags.set(secure, true)
	state, err := h.keys.claim(c.id())
	if err != nil {
		t.Fatal(err)
	}
	h.counters.secure.Add(1)
	ours, theirs := []byte(strings.Repeat("s", 32)), []byte(strings.Repeat("c", 32))
	const suite = tls.TLS_AES_128_GCM_SHA256
	if err := errors.Join(state.Init(suite, theirs, ours, 0), r.state.Init(suite, ours, theirs, 0)); err != nil {
		t.Fatal(err)
	}
	unix.Write(r.peer, r.state.AppendData(nil, []byte("GET "+target+" HTTP/1.1\r\nHost: test\r\n\r\n")))
	h.on(r.fd, true, false)
	return r
}

// read reads at most n bytes of what has arrived, and tells whether there was any.
func (r *secureStream) read(t interface{ Fatal(...any) }, n int) bool {
	buf := make([]byte, n)
	got, err := unix.Read(r.peer, buf)
	if err == unix.EAGAIN {
		return false
	}
	if err != nil || got == 0 {
		t.Fatal("the stream has ended: ", err)
	}
	r.sealed = append(r.sealed, buf[:got]...)
	plain, used, err := r.state.Take(r.sealed)
	if r.plain.Write(plain); err != nil {
		t.Fatal(err) // a record that was left out, came twice, or was cut
	}
	r.sealed = append([]byte(nil), r.sealed[used:]...)
	return true
}

// Ensure that a stream over TLS is the same text as one in the clear, however its writes are
// cut and wherever keys change: no record is left out, sealed twice or sent in part. And that
// a message counts as delivered when the client has the whole record with its last byte, not
// before.
func TestSealedModel(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		h := turnByHand(outer, Config{}, channels.Options{})
		defer func() { h.server.Close() }()
		r := secureByHand(t, h, "/x")
		for r.read(t, 1<<16) {
		}
		if !strings.HasSuffix(r.plain.String(), "\r\n\r\n:\n\n") {
			t.Fatalf("the stream begins with %q", r.plain.String())
		}
		want := r.plain.String()
		published := 0
		c := h.conn(r.fd)
		before := uint64(0)          // deliveries of loops that have handed the stream over
		buffer := func(t *rapid.T) { // what a write is cut by
			unix.SetsockoptInt(int(r.fd), unix.SOL_SOCKET, unix.SO_SNDBUF, rapid.IntRange(1000, 20_000).Draw(t, "buffer"))
		}
		buffer(t)
		readAll := func(t *rapid.T) {
			for r.read(t, 1<<16) {
			}
			if !strings.HasPrefix(want, r.plain.String()) {
				t.Fatalf("%d bytes were read, which are not those that were published", r.plain.Len())
			}
			if read, counted := strings.Count(r.plain.String(), "\n\n")-1, before+h.counters.deliveries.Load(); read != int(counted) { // but for the greeting
				t.Fatalf("the client has %d messages, %d are counted as delivered", read, counted)
			}
		}
		var sending []byte // sealed
		send := func(n int) {
			unix.Write(r.peer, sending[:n])
			sending = sending[n:]
			h.on(r.fd, true, false)
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				if len(want)-r.plain.Len() > 2<<20 { // of the 4 MiB that a channel keeps
					return
				}
				for range rapid.IntRange(1, 3).Draw(t, "messages") {
					data := fmt.Sprint(published, strings.Repeat("x", rapid.SampledFrom([]int{0, 10, 300, 3000, 5000, 20_000, 40_000}).Draw(t, "size")))
					if _, err := h.broker.Publish("/x", channels.Event{Data: []byte(data)}); err != nil {
						t.Fatal(err)
					}
					published++
					want += "data: " + data + "\n\n"
				}
				h.turnOver()
			},
			"read a part": func(t *rapid.T) { r.read(t, rapid.IntRange(1, 10_000).Draw(t, "bytes")) },
			"read all":    readAll,
			"write on":    func(t *rapid.T) { h.on(r.fd, false, true) },
			"update keys": func(t *rapid.T) {
				sending = r.state.AppendKeyUpdate(sending, rapid.Bool().Draw(t, "ask"))
				sending = r.state.AppendData(sending, []byte("x")) // or it would be one without data too many
				send(rapid.IntRange(0, len(sending)).Draw(t, "bytes"))
			},
			"send": func(t *rapid.T) { send(rapid.IntRange(0, len(sending)).Draw(t, "bytes")) },
			"travel": func(t *rapid.T) {
				before += h.counters.deliveries.Load()
				next, descriptors := h.travel()
				h, r.h, r.fd = next, next, descriptors[r.fd]
				c = h.conn(r.fd)
			},
			"buffer": buffer,
		})
		send(len(sending))
		for c.flags.is(behind) {
			readAll(t)
			h.on(r.fd, true, true)
		}
		readAll(t)
		if r.plain.String() != want {
			t.Fatalf("%d bytes were read in the end, %d published", r.plain.Len(), len(want))
		}
		if n := h.server.sealed.Load(); n != 0 {
			t.Fatalf("%d bytes of rests are counted in the end", n)
		}
	})
}
