//go:build linux

package handover

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"testing"

	"golang.org/x/sys/unix"
)

// Ensure that records of every length arrive as they were sent, each with its descriptor.
func TestPacker(t *testing.T) {
	a, b, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	from, to := NewConn(a), NewConn(b)
	defer from.Close()
	defer to.Close()
	var names [][]byte
	for i, size := range []int{0, 1, packed, 5, packed + 1, 2 * partSize, 2*partSize + 1, 7, 3 << 20, 8} {
		names = append(names, bytes.Repeat([]byte{byte(i)}, size))
	}
	for range 600 {
		names = append(names, []byte("short"))
	}
	sent := make(chan error, 1)
	sum := make(chan uint32, 1)
	go func() {
		p := NewPacker(from, Version, KindConnections)
		for i, name := range names {
			if err := p.Add(&LoopChannel{Name: name, Subscribers: int32(i)}, a); err != nil {
				sent <- err
				return
			}
		}
		sent <- p.Flush()
		sum <- p.Sum()
	}()
	var u Unpacker
	var got uint32
	for i := 0; i < len(names); {
		frame, err := to.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if frame.Kind == KindPart {
			if err := u.Part(frame.Payload); err != nil {
				t.Fatal(err)
			}
			continue
		}
		records, err := u.Records(frame.Payload)
		if err != nil {
			t.Fatal(err)
		}
		got = crc32.Update(got, castagnoli, records)
		r := NewReader(Version, records)
		for _, fd := range frame.FDs {
			unix.Close(fd)
			var c LoopChannel
			if c.Parse(r); r.Err() != nil || int(c.Subscribers) != i || !bytes.Equal(c.Name, names[i]) {
				t.Fatalf("record %d: number %d of %d bytes, want %d bytes (%v)", i, c.Subscribers, len(c.Name), len(names[i]), r.Err())
			}
			i++
		}
		if r.Len() > 0 {
			t.Fatalf("%d bytes after the records of a frame", r.Len())
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if want := <-sum; got != want {
		t.Errorf("the sum is %08x, want %08x", got, want)
	}
}

// Ensure that parts that no packer sends are refused.
func TestUnpackerRefuses(t *testing.T) {
	var u Unpacker
	if err := u.Part([]byte("part")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Records([]byte("more")); err == nil {
		t.Error("records after parts are taken")
	}
	var err error
	for i := 0; err == nil; i++ {
		if i > maxParted/MaxPayload {
			t.Fatal("parts are taken without end")
		}
		err = u.Part(make([]byte, MaxPayload))
	}
	if got := fmt.Sprint(err); got == "" {
		t.Error("an error without a text")
	}
}
