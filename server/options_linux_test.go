package server

import (
	"testing"

	"golang.org/x/sys/unix"

	"millrace/channels"
)

// Ensure that an accepted socket has what the listener was given, without a
// system call of its own.
func TestSocketsInheritOptions(t *testing.T) {
	s, _ := start(t, Config{Loops: 1}, channels.Options{})
	subscribe(t, s, "/x")
	fd := s.loops[0].listeners[0].descriptor + 1
	for s.loops[0].table.owned(streamID(fd), 0) == nil { // the slot itself is the loop's to read
		fd++
	}
	for _, option := range []struct {
		name   string
		option int
		want   int
	}{
		{"TCP_NODELAY", unix.TCP_NODELAY, 1},
		{"TCP_USER_TIMEOUT", unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())},
		{"TCP_NOTSENT_LOWAT", unix.TCP_NOTSENT_LOWAT, unsentBytes},
	} {
		if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option.option); got != option.want || err != nil {
			t.Errorf("%s of a stream's socket: %d, %v, want %d", option.name, got, err, option.want)
		}
	}
}
