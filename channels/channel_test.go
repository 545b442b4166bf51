package channels

import (
	"testing"
	"unsafe"
)

// Ensure that a channel of its own, of which most keep nothing, stays small: these are
// size classes of the allocator.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		what       string
		size, want uintptr
	}{
		{"a channel", unsafe.Sizeof(Channel{}), 96},
		{"its subscribers on one loop", unsafe.Sizeof(attachment{}), 32},
		{"a log", unsafe.Sizeof(log{}), 64},
	} {
		if tt.size > tt.want {
			t.Errorf("%s takes %d bytes, want at most %d", tt.what, tt.size, tt.want)
		}
	}
}
