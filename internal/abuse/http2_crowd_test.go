package abuse

import (
	"io"
	"testing"

	"golang.org/x/net/http2"
)

// Ensure that clients of HTTP/2 that open as many streams as they may and read none, or whose
// windows are shut, or that ask for something else without end, harm nobody. The last may be
// ended, if they take their answers too slowly.
func TestHTTP2Crowd(t *testing.T) {
	v := start(t, setup{})
	const clients, streams = 16, 256
	for _, c := range []struct {
		name   string
		attack func(h *hostile)
	}{
		{"streams that are not read", func(h *hostile) {
			for n := range streams {
				h.get(n, "/watched", true)
			}
		}},
		{"windows that are shut", func(h *hostile) {
			h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			for n := range streams {
				h.get(n, "/watched", true)
			}
		}},
		{"requests without end", func(h *hostile) {
			go io.Copy(io.Discard, h.conn)
			for n := range 3000 {
				h.get(n, "/favicon.ico", true)
			}
		}},
	} {
		v.bears(clients*(64<<10)+clients*streams*1000+logRoom, func() {
			all(clients, func(int) {
				h := v.hostile()
				c.attack(h)
				if err := h.out.Flush(); err != nil && c.name != "requests without end" {
					t.Errorf("%s: %v", c.name, err)
				}
			})
		})
	}
}
