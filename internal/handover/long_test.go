package handover

import (
	"bytes"
	"reflect"
	"testing"
)

// Ensure that a record of any size and with any number of descriptors arrives whole, and that
// one that is no such is refused.
func TestLong(t *testing.T) {
	for _, size := range []int{1, longPart, 3*longPart + 5} {
		for _, n := range []int{0, 1, MaxFDs, 2*MaxFDs + 1} {
			sent := Ops{[]OpsConnection{{Cookie: 1, Received: bytes.Repeat([]byte{'x'}, size)}}}
			fds := make([]int, n)
			for i := range fds {
				fds[i] = i
			}
			var got Long
			complete := false
			err := SendLong(Version, &sent, KindOps, fds, func(kind Kind, payload []byte, fds ...int) error {
				if complete || len(payload) > MaxPayload || len(fds) > MaxFDs {
					t.Errorf("%d bytes, %d descriptors: a frame of %d bytes and %d descriptors, complete before: %v", size, n, len(payload), len(fds), complete)
				}
				var err error
				complete, err = got.Add(Frame{kind, bytes.Clone(payload), fds})
				return err
			})
			var record Ops
			taken, decoded := got.Take(Version, &record)
			if err != nil || !complete || decoded != nil || !reflect.DeepEqual(record, sent) || len(taken) != n || n > 0 && !reflect.DeepEqual(taken, fds) {
				t.Errorf("%d bytes, %d descriptors: %v, %v, complete: %v, %d descriptors", size, n, err, decoded, complete, len(taken))
			}
		}
	}
	for _, payload := range [][]byte{nil, make([]byte, 7), make([]byte, 8), {0, 0, 0, 255, 0, 0, 0, 0}, {1, 0, 0, 0, 0, 0, 0, 0, 1, 2}} {
		var l Long
		if _, err := l.Add(Frame{Kind: KindOps, Payload: payload}); err == nil {
			t.Errorf("%x begins a record", payload)
		}
	}
}
