package deploy

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"testing"

	"millrace/internal/testenv"
	"millrace/server"
)

// sendProxy are the ways in which HAProxy tells a client's address, the shipped
// one first.
var sendProxy = []string{
	"send-proxy-v2",
	"send-proxy",
	"send-proxy-v2-ssl-cn",
	"send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id",
}

// Ensure that millrace's bounds count the clients of HAProxy, and that its
// health checks pass though they are nobody's.
func TestClientAddress(t *testing.T) {
	for _, p := range proxies {
		if p.tool != "haproxy" {
			continue
		}
		for _, send := range sendProxy {
			name := send
			if p.tls {
				name += " with TLS"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				const most = 2
				m := startConfigured(t, server.Config{
					ProxyProtocol:       true,
					TrustedProxies:      []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
					MaxConnectionsPerIP: most,
				})
				s := newSite(t, p, m.address, m.address+" check\n", m.address+" check inter 100ms "+send+"\n",
					"timeout connect 5s", "timeout connect 5s\n\ttimeout check 60s") // or it is 100 ms, too
				for _, from := range []string{"127.77.0.1", "127.77.0.2", "127.77.0.3"} {
					client := s.clientFrom(from)
					for range most {
						response, _ := s.getBy(client, "/a", "Accept", "text/event-stream")
						st := &stream{t, bufio.NewReader(response.Body), nil}
						st.want(":\n\n")
					}
					response, _ := s.getBy(client, "/a", "Accept", "text/event-stream")
					line, err := bufio.NewReader(response.Body).ReadString('\n')
					if !regexp.MustCompile(`\Aretry: [0-9]+\n\z`).MatchString(line) {
						t.Errorf("stream %d from %s: %q and %v, want a retry field", most+1, from, line, err)
					}
				}
				m.publish("/a", "to all", 3*most)
				testenv.Eventually(t, "health checks are answered", func() bool { return m.server.Stats().Closed["answered"] >= 3 })
				for _, reason := range []string{"not a trusted proxy", "bad proxy header"} {
					if n, ok := m.server.Stats().Closed[reason]; n > 0 || !ok {
						t.Errorf("%d connections closed as %q, want none", n, reason)
					}
				}
			})
		}
	}
}

// clientFrom returns a client like the site's own, with another address.
func (s *site) clientFrom(address string) *http.Client {
	transport := s.client.Transport.(*http.Transport).Clone()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport.DialContext = dialer.DialContext
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
