package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/certs"
	"millrace/internal/handshake"
	"millrace/internal/testenv"
)

// Ensure that a request is refused on a connection of another certificate or for another
// host, and only there.
func TestMisaddressed(t *testing.T) {
	certificateOf := func(name string) int32 { // a and c have the same
		return map[string]int32{"b.example.org": 1, "2001:db8::1": 2}[name]
	}
	const clear = noCertificate
	for _, tt := range []struct {
		target, host string
		hosts        string // of --host
		certificate  int32
		want         int
	}{
		{"/x", "a.example.org", "", clear, 0},
		{"/x", "a.example.org", "", 0, 0},
		{"/x", "A.example.org.:8443", "", 0, 0},
		{"/x", "c.example.org", "", 0, 0},
		{"/x", "unknown", "", 0, 0},
		{"/x", "", "", 1, 0},
		{"/x", "b.example.org", "", 0, 421},
		{"/x", "B.EXAMPLE.org:443", "", 0, 421},
		{"/x", "a.example.org", "", 1, 421},
		{"/x", "[2001:db8::1]:443", "", 2, 0},
		{"/x", "[2001:db8::1]", "", 0, 421},
		{"/x", "b.example.org", "", clear, 0},
		{"/healthz", "b.example.org", "", 0, 0},

		{"/x", "a.example.org", "a.example.org", 0, 0},
		{"/x", "c.example.org", "a.example.org", 0, 421}, // of the same certificate, as with a wildcard
		{"/x", "c.example.org", "a.example.org", clear, 421},
		{"/x", "", "a.example.org", clear, 421},
		{"/healthz", "10.0.0.1", "a.example.org", clear, 0},
		{"https://a.example.org/x", "a.example.org", "a.example.org", 0, 0},
		{"https://c.example.org/x", "c.example.org", "a.example.org", 0, 421},

		{"https://a.example.org/x", "A.Example.org", "", 0, 0},
		{"https://a.example.org:443/x", "a.example.org", "", 0, 0},
		{"https://a.example.org/x", "a.example.org:443", "", 0, 0},
		{"https://a.example.org:/x", "a.example.org", "", 0, 0},
		{"http://a.example.org:80/x", "a.example.org", "", clear, 0},
		{"http://a.example.org:80/x", "a.example.org", "", 0, 400},
		{"https://a.example.org:443/x", "a.example.org", "", clear, 400},
		{"https://a.example.org:444/x", "a.example.org", "", 0, 400},
		{"https://a.example.org/x", "c.example.org", "", 0, 400},
		{"https://a.example.org/x", "", "", 0, 400},
		{"https://a.example.org/healthz", "c.example.org", "", 0, 400},
		{"https://[2001:db8::1]/x", "[2001:DB8::1]:443", "", 2, 0},
		{"https://[2001:db8::1]/x", "[2001:db8::2]", "", 2, 400},
	} {
		var r httpparse.Request
		head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", tt.target, tt.host)
		if _, err := httpparse.Parse(&r, []byte(head), 0, httpparse.Limits{}); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		cfg := Config{CertificateOf: certificateOf, Hosts: strings.Fields(tt.hosts)}
		if got, why := cfg.misaddressed(&r, tt.certificate); got != tt.want || (got == 0) != (why == "") {
			t.Errorf("%s, Host %q, with certificate %d, --host %q: %d (%s), want %d", tt.target, tt.host, tt.certificate, tt.hosts, got, why, tt.want)
		}
	}
	var r httpparse.Request
	if _, err := httpparse.Parse(&r, []byte("GET /x HTTP/1.0\r\n\r\n"), 0, httpparse.Limits{}); err != nil {
		t.Fatal(err)
	}
	if status, why := (&Config{CertificateOf: certificateOf}).misaddressed(&r, 1); status != 0 {
		t.Errorf("without any Host: %d (%s), want 0", status, why)
	}
}

// Ensure that a TLS connection answers for the hosts of its own certificate only, and for one
// host at a time.
func TestTLSAuthority(t *testing.T) {
	pair := func(hosts ...string) certs.Files {
		cert, key := testenv.Certificate(t, hosts...)
		return certs.Files{Cert: cert, Key: key}
	}
	store, err := certs.Load(slog.New(slog.DiscardHandler), pair("a.example.org", "*.example.net"), pair("b.example.org"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{TLSListen: "127.0.0.1:0", CertificateOf: store.Number}
	if cfg.TLS, err = handshake.New(handshake.Config{Certificate: store.Get, Protocols: []string{"http/1.1"}, Computing: 2}); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, cfg, channels.Options{})
	for _, tt := range []struct {
		name, target, host string
		want               string
	}{
		{"a.example.org", "/x", "a.example.org", "200"},
		{"b.example.org", "/x", "b.example.org:8443", "200"},
		{"a.example.org", "/x", "c.example.net", "200"},
		{"", "/x", "a.example.org", "200"},
		{"a.example.org", "/x", "b.example.org", "421"},
		{"b.example.org", "/x", "a.example.org", "421"},
		{"", "/x", "b.example.org", "421"},
		{"b.example.org", "/healthz", "a.example.org", "200"},
		{"a.example.org", "https://a.example.org/x", "a.example.org", "200"},
		{"a.example.org", "https://a.example.org/x", "b.example.org", "400"},
	} {
		c := dialTLS(t, s, &tls.Config{ServerName: tt.name})
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", tt.target, tt.host)
		if line := c.line(); !strings.HasPrefix(line, "HTTP/1.1 "+tt.want+" ") {
			t.Errorf("name %q, target %s, Host %q: %q, want %s", tt.name, tt.target, tt.host, line, tt.want)
		}
		c.Close()
	}
}
