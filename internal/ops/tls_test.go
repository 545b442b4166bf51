package ops

import (
	"log/slog"
	"testing"

	"millrace/channels"
	"millrace/internal/certs"
	"millrace/internal/handshake"
	"millrace/internal/testenv"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// Ensure that the dashboard of a node with TLS alone shows connections by protocol, handshakes, those
// that have failed, and how long certificates last.
func TestDashboardTLS(t *testing.T) {
	cert, key := testenv.Certificate(t, "events.example.org")
	store, err := certs.Load(slog.New(slog.DiscardHandler), certs.Files{Cert: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	handshakes, err := handshake.New(handshake.Config{Certificate: store.Get, Protocols: []string{"http/1.1"}, Computing: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, Config{Certificates: store}, channels.Options{}, server.Config{Loops: 1, TLSListen: "127.0.0.1:0", TLS: handshakes})
	if _, err := n.client.Get("https://" + n.public.TLSAddr().String() + "/x"); err == nil {
		t.Fatal("a client trusts a certificate that nobody it knows has signed")
	}
	testenv.Eventually(t, "a handshake has failed", func() bool { return n.public.Stats().HandshakeFailures["refused"] == 1 })
	page := browser.Chromium(t)
	page.Open("http://" + n.ops.Addr().String() + "/")
	page.Await("TLS", "!document.getElementById('tls').hidden")
	page.Await("connections", "document.getElementById('tls-note').textContent.startsWith('Connections: 0 in the clear · 0 TLS')")
	page.Await("the address", "document.getElementById('about').textContent.startsWith('"+n.public.TLSAddr().String()+" (TLS) · ')")
	page.Await("failures", "document.getElementById('tls-failed').textContent === 'Failed: refused 1'")
	page.Await("the certificate", `document.querySelector('#tls-rows tr').cells[0].textContent === 'events.example.org' &&
		/^(1 h|59 min)/.test(document.querySelector('#tls-rows tr').cells[1].textContent) && document.querySelector('#tls-rows .soon') != null`)
	page.Await("no word of certificates to come", "document.getElementById('tls-empty').hidden")
	page.Picture("dashboard-tls.png", 1440, 900, "light")
	page.Picture("dashboard-tls-360.png", 360, 740, "light")
	page.Await("no sideways scrolling at 360 px", "document.documentElement.scrollWidth <= 360")
}
