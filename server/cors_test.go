package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"millrace/channels"
)

// Ensure that only origins are taken that a browser can send.
func TestCheckOrigin(t *testing.T) {
	for _, c := range []struct {
		origin string
		ok     bool
	}{
		{"*", true},
		{"https://example.org", true},
		{"http://localhost:3000", true},
		{"https://example.org:8443", true},
		{"https://xn--mnchen-3ya.example", true},
		{"http://192.0.2.1:3000", true},
		{"http://[::1]:3000", true},
		{"capacitor://localhost", true},
		{"chrome-extension://abcdefghijklmnop", true},
		{"https://*.example.org", true},
		{"https://*.example.org:8443", true},
		{"", false},
		{"null", false},
		{"example.org", false},
		{"https://", false},
		{"https://example.org/", false},
		{"https://example.org?", false},
		{"https://example.org#", false},
		{"https://example.org?x", false},
		{"https://user@example.org", false},
		{"https://Example.org", false},
		{"HTTPS://example.org", false},
		{"https://a*b", false},
		{"https://a.*.example.org", false},
		{"https://*", false},
		{"https://*.", false},
		{"https://*.*.example.org", false},
		{"https://*.192.0.2.1", false},
		{"*://example.org", false},
		{"https://münchen.example", false},
		{"https://example.org:443", false},
		{"http://example.org:80", false},
		{"http://example.org:443", true},
		{"https://example.org:", false},
		{"https://example.org:0", false},
		{"https://example.org:65536", false},
		{"https://example.org:99999999999", false},
		{"https://example.org:08443", false},
		{"https://example..org", false},
		{"https://example.org.", false},
		{"https://exa mple.org", false},
		{"http://[0:0::1]:3000", false},
		{"http://[fe80::1%25eth0]", false},
	} {
		err := checkOrigin(c.origin)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("checkOrigin(%q): %v, want it taken: %v", c.origin, err, c.ok)
		}
	}
}

// Ensure that a wildcard stands for subdomains and nothing else.
func TestOriginWildcard(t *testing.T) {
	c := newCORS([]string{"https://*.example.org", "http://*.dev.test:3000", "https://example.net"})
	for _, tt := range []struct {
		origin string
		want   bool
	}{
		{"https://app.example.org", true},
		{"https://a.b.example.org", true},
		{"http://app.dev.test:3000", true},
		{"https://example.net", true},
		{"https://example.org", false},
		{"https://.example.org", false},
		{"https://app.example.org:8443", false},
		{"http://app.example.org", false},
		{"https://app.example.org.evil.example", false},
		{"https://evil.example/.example.org", false},
		{"https://evil.example?.example.org", false},
		{"https://evil.example:1.example.org", false},
		{"https://APP.example.org", false},
		{"https://notexample.org", false},
		{"http://app.dev.test", false},
		{"null", false},
		{"", false},
	} {
		if got := c.allows([]byte(tt.origin)); got != tt.want {
			t.Errorf("pages of %q may read: %v, want %v", tt.origin, got, tt.want)
		}
	}
}

// Ensure that an answer to a head which is never complete is for the page that has sent
// it, as far as it has said so, and not for that of another request.
func TestLateHeadOrigin(t *testing.T) {
	const origin, allowed = "Origin: https://app.example\r\n", "Access-Control-Allow-Origin: https://app.example\r\n"
	h := turnByHand(t, Config{HeaderTimeout: time.Second, AllowOrigins: []string{"https://app.example"}}, channels.Options{})
	var peers []int
	for _, head := range []string{
		"GET /x HTTP/1.1\r\nHost: h\r\nX: 1",
		"GET /x HTTP/1.1\r\nHost: h\r\n" + origin + "X: 1",
		"GET /healthz HTTP/1.1\r\nHost: h\r\n" + origin + "\r\n",
	} {
		fd, peer := h.connect()
		unixWrite(t, peer, head)
		h.on(fd, true, false)
		peers = append(peers, peer)
	}
	h.pass(time.Second + tick)
	for i, status := range []string{"408", "408", "200"} {
		got := received(peers[i])
		if !strings.HasPrefix(got, "HTTP/1.1 "+status) || strings.Contains(got, allowed) != (i > 0) {
			t.Errorf("request %d: %q, want %s, for a page of the origin: %v", i, got, status, i > 0)
		}
	}
}
