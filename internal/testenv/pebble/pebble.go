// Package pebble runs pebble, Let's Encrypt's authority for tests, with a name server by which
// every name leads to this host.
package pebble

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"millrace/internal/testenv"
)

// Authority issues certificates until the test ends. Safe for concurrent use.
type Authority struct {
	Directory string         // its URL
	Roots     *x509.CertPool // of the directory's own certificate
	RootsFile string         // the same as PEM, for SSL_CERT_FILE
	Issuer    *x509.CertPool // the roots of what it issues
	Issued    atomic.Int64   // certificates

	log   *log.Logger
	names string // the name server's address
	db    *db.MemoryStore
	ca    *ca.CAImpl
	state sync.Mutex
	front http.Handler // nil: it is down
	held  chan struct{}
}

// Start starts an authority whose certificates are valid for so many seconds, at least 2. It
// is down until Serve.
func Start(t testing.TB, seconds uint64) *Authority {
	t.Helper()
	// Pebble reads these when its parts are made.
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5", "PEBBLE_AUTHZREUSE": "0"} {
		os.Setenv(name, value)
	}
	a := &Authority{log: log.New(io.Discard, "", 0), names: nameServer(t)}
	a.db = db.NewMemoryStore()
	a.ca = ca.New(a.log, a.db, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: seconds}})
	a.Issuer = x509.NewCertPool()
	a.Issuer.AddCert(a.ca.GetRootCert(0).Cert)
	s := httptest.NewUnstartedServer(a)
	s.Config.ErrorLog = a.log
	s.StartTLS()
	t.Cleanup(func() {
		a.Release()
		s.CloseClientConnections()
		s.Close()
	})
	a.Directory = s.URL + wfe.DirectoryPath
	a.Roots = x509.NewCertPool()
	a.Roots.AddCert(s.Certificate())
	a.RootsFile = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(a.RootsFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// nameServer starts a name server on a free port, and returns its address.
func nameServer(t testing.TB) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	s, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{addr}, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	s.SetDefaultDNSIPv4("127.0.0.1")
	s.SetDefaultDNSIPv6("")
	s.Run()
	t.Cleanup(s.Shutdown)
	testenv.Eventually(t, "the name server listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

// Serve has the authority answer, and prove names at a TCP port of 127.0.0.1 in place of 443.
func (a *Authority) Serve(port int) {
	v := va.New(a.log, port, port, false, a.names, a.db)
	w := wfe.New(a.log, a.db, v, a.ca, []string{"pebble.letsencrypt.org"}, false, false, 1, 1)
	a.set(w.Handler())
}

// Stop has it reset connections.
func (a *Authority) Stop() { a.set(nil) }

func (a *Authority) set(front http.Handler) {
	a.state.Lock()
	defer a.state.Unlock()
	a.front = front
}

// Hold has requests wait until Release.
func (a *Authority) Hold() {
	a.state.Lock()
	defer a.state.Unlock()
	a.held = make(chan struct{})
}

// Release undoes Hold.
func (a *Authority) Release() {
	a.state.Lock()
	defer a.state.Unlock()
	if a.held != nil {
		close(a.held)
		a.held = nil
	}
}

// ServeHTTP implements http.Handler.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.state.Lock()
	held := a.held
	a.state.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}
	a.state.Lock()
	front := a.front
	a.state.Unlock()
	if front == nil {
		panic(http.ErrAbortHandler)
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/certZ/"):
		a.Issued.Add(1)
	case r.URL.Path == "/order-plz":
		a.knowReplaced(r)
	}
	front.ServeHTTP(w, r)
}

// knowReplaced has pebble know the certificate that an order replaces (RFC 9773, 5). It has
// forgotten the zero byte that stands before a serial number whose first bit is set, and would
// find one of 256 certificates no more.
func (a *Authority) knowReplaced(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var signed struct{ Payload string }
	var order struct{ Replaces string }
	json.Unmarshal(body, &signed)
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	json.Unmarshal(payload, &order)
	_, text, _ := strings.Cut(order.Replaces, ".")
	serial, _ := base64.RawURLEncoding.DecodeString(text)
	short, padded := bytes.CutPrefix(serial, []byte{0})
	if before, err := a.db.GetOrderByIssuedSerial(hex.EncodeToString(short)); padded && err == nil {
		again := &core.Order{AccountID: before.AccountID, CertificateObject: &core.Certificate{ID: hex.EncodeToString(serial)}}
		again.Identifiers = before.Identifiers
		a.db.AddOrderByIssuedSerial(again)
	}
}
