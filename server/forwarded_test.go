package server

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/netpoll"
)

// Ensure that what stands in X-Forwarded headers reaches an authorizer from trusted proxies
// only, and of it only what the client cannot have written.
func TestForwarded(t *testing.T) {
	var asked *auth.Request
	keep := authorizer(func(r *auth.Request, _ time.Time) auth.Verdict {
		asked = r
		return auth.Verdict{Status: auth.Forbidden}
	})
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	const proxy, stranger = "10.0.0.1", "192.0.2.9"
	for _, tt := range []struct {
		from, headers, want string
	}{
		{proxy, "", "http h 10.0.0.1"},
		{proxy, "X-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example.org:8443\r\nX-Forwarded-For: 192.0.2.1\r\n", "https app.example.org:8443 192.0.2.1"},
		{proxy, "X-Forwarded-For: 198.51.100.1, 192.0.2.1\r\n", "http h 192.0.2.1"},
		{proxy, "X-Forwarded-For: 198.51.100.1, 192.0.2.1\r\nX-Forwarded-For: 10.2.3.4,2001:db8::7\r\n", "http h 192.0.2.1"},
		{proxy, "X-Forwarded-For: evil, 10.2.3.4\r\n", "http h 10.2.3.4"},
		{proxy, "X-Forwarded-For: unknown\r\n", "http h 10.0.0.1"},
		{proxy, "X-Forwarded-For: 2001:db9::1\r\n", "http h 2001:db9::1"},
		{proxy, "X-Forwarded-Proto: HTTPS, http\r\n", "http h 10.0.0.1"},
		{proxy, "X-Forwarded-Host: a b\r\n", "http h 10.0.0.1"},
		{proxy, "X-Forwarded-Host: elsewhere.example\r\n", "http h 10.0.0.1"},
		{stranger, "X-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example.org\r\nX-Forwarded-For: 192.0.2.1\r\n", "http h 192.0.2.9"},
	} {
		h := turnByHand(t, Config{Authorizer: keep, TrustedProxies: trusted, Hosts: []string{"h", "app.example.org"}, LogConnections: true}, channels.Options{})
		ours, peer := socketPair(t)
		from := netpoll.PeerAt(netip.AddrPortFrom(netip.MustParseAddr(tt.from), 1234))
		if err := h.open(int32(ours), from, false); err != nil {
			t.Fatal(err)
		}
		unixWrite(t, peer, "GET /x HTTP/1.1\r\nHost: h\r\n"+tt.headers+"\r\n")
		asked = nil
		h.on(int32(ours), true, false)
		if asked == nil {
			t.Fatalf("from %s with %q: nobody was asked, the answer is %q", tt.from, tt.headers, received(peer))
		}
		proto := map[bool]string{true: "https", false: "http"}[asked.Secure]
		if got := fmt.Sprintf("%s %s %s", proto, asked.Host, asked.Client); got != tt.want {
			t.Errorf("from %s with %q: %s, want %s", tt.from, tt.headers, got, tt.want)
		}
	}
}

// Ensure that trusted proxies are no setting without effect.
func TestTrustedProxiesAlone(t *testing.T) {
	cfg := Config{Listen: "127.0.0.1:0", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if _, err := New(cfg, channels.NewBroker(channels.Options{})); err == nil {
		t.Error("trusted proxies, without the PROXY protocol and an authorizer, were taken")
	}
}
