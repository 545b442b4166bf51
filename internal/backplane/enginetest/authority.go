package enginetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a private authority for TLS, with a certificate for a server on
// 127.0.0.1, and one for its clients, as files in PEM.
type Authority struct {
	CA                    string
	ServerCert, ServerKey string
	ClientCert, ClientKey string
}

// NewAuthority makes an authority in a folder of the test's.
func NewAuthority(t testing.TB) Authority {
	t.Helper()
	dir := t.TempDir()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a private authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var rootKey *ecdsa.PrivateKey
	issue := func(name string, c *x509.Certificate) (certFile, keyFile string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if rootKey == nil {
			rootKey = key
		}
		cert, err := x509.CreateCertificate(rand.Reader, c, root, key.Public(), rootKey)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
		for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return certFile, keyFile
	}
	leaf := func(serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "millrace"}, NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
	}
	var a Authority
	a.CA, _ = issue("ca", root)
	a.ServerCert, a.ServerKey = issue("server", leaf(2))
	a.ClientCert, a.ClientKey = issue("client", leaf(3))
	return a
}

// Options returns the options of a URL that name the authority and, if client, the
// client's certificate.
func (a Authority) Options(client bool) string {
	options := "ca=" + a.CA
	if client {
		options += "&cert=" + a.ClientCert + "&key=" + a.ClientKey
	}
	return options
}

// againAddress names the variable with the address for Again.
const againAddress = "MILLRACE_TEST_AGAIN"

// RunAgain runs this test in another process, for which the authority is the system's by
// SSL_CERT_FILE, which a process reads once. There Again returns the address.
func (a Authority) RunAgain(t *testing.T, address string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+a.CA, againAddress+"="+address)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with SSL_CERT_FILE: %v: %s", err, out)
	}
}

// Again returns the address that RunAgain runs this test for, "" if it does not.
func Again() string { return os.Getenv(againAddress) }
