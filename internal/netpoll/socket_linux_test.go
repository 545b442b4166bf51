package netpoll

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Ensure that Accept names the peer, of either family, and leaves no garbage.
func TestAcceptNamesPeer(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		listener, bound, err := Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(int(listener))
		const runs = 10
		want := make(map[string]bool)
		for range runs + 1 { // AllocsPerRun runs once more than it is told
			c, err := net.Dial("tcp", bound.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			want[c.LocalAddr().String()] = true
		}
		peers := make([]Peer, 0, runs+1)
		allocs := testing.AllocsPerRun(runs, func() {
			fd, from, err := Accept(listener)
			for err == unix.EAGAIN || err == unix.EINTR {
				fd, from, err = Accept(listener)
			}
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(int(fd))
			peers = append(peers, from)
		})
		if allocs >= 1 {
			t.Errorf("%s: accept allocates %v times, want not at all", addr, allocs)
		}
		for _, p := range peers {
			if !want[p.String()] {
				t.Errorf("%s: accepted a connection of %v, want one of %v", addr, p, want)
			}
			delete(want, p.String())
		}
		if _, _, err := Accept(listener); err != unix.EAGAIN {
			t.Errorf("%s: with nobody there: %v, want %v", addr, err, unix.EAGAIN)
		}
	}
}
