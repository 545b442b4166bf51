package nats

import (
	"crypto/tls"
	"net/url"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"millrace/internal/backplane/enginetest"
)

// Ensure that a node speaks TLS with servers of a private authority, and shows the
// certificate that they ask for.
func TestTLS(t *testing.T) {
	if address := enginetest.Again(); address != "" {
		exchange(t, address)
		return
	}
	a := enginetest.NewAuthority(t)
	for _, client := range []bool{false, true} {
		config, err := server.GenTLSConfig(&server.TLSConfigOpts{
			CertFile: a.ServerCert, KeyFile: a.ServerKey, CaFile: a.CA, Verify: client, MinVersion: tls.VersionTLS12,
		})
		if err != nil {
			t.Fatal(err)
		}
		s := endServer(t, runServer(t, &server.Options{Port: server.RANDOM_PORT, TLS: true, TLSVerify: client, TLSTimeout: 30, TLSConfig: config}))
		exchange(t, "nats://"+s.Addr().String()+"?"+a.Options(client))
		exchange(t, "tls://"+s.Addr().String()+"?"+a.Options(client))
		for _, options := range []string{"", "?" + a.Options(false)} {
			n := startNode(t, "tls://"+s.Addr().String()+options, Options{})
			if client || options == "" {
				n.AwaitRefusal("certificate")
			}
		}
		if !client {
			a.RunAgain(t, "tls://"+s.Addr().String())
		}
	}
	u, _ := url.Parse("nats://h?cert=" + a.ClientCert)
	if _, err := Open(u, Options{}); err == nil {
		t.Error("cert without key: no error")
	}
}

// exchange has a node publish, and hear it.
func exchange(t *testing.T, address string) {
	t.Helper()
	n := startNode(t, address, Options{History: 10})
	c := n.Open("", "/a")
	c.WantNothing()
	n.Publish("/a", "x")
	c.Want("x")
}
