package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"millrace/internal/handshake"
)

// certificateName is the host name that the clients ask for where the server is one of ours.
const certificateName = "bench.test"

// Certificate is that of all servers of a run, made for it and in files, since that is how
// servers are told.
type Certificate struct {
	DER             []byte
	File, Key, Both string // PEM: the certificate, its key, and one after the other
}

// newCertificate makes a certificate in a directory: ECDSA P-256, as most servers have it.
func newCertificate(dir string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{certificateName}, NotAfter: time.Now().Add(7 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &Certificate{DER: der, File: filepath.Join(dir, "bench.crt"), Key: filepath.Join(dir, "bench.key"), Both: filepath.Join(dir, "bench.pem")}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	return c, errors.Join(os.WriteFile(c.File, public, 0o600), os.WriteFile(c.Key, private, 0o600),
		os.WriteFile(c.Both, append(public, private...), 0o600))
}

// ReadCertificate returns the first certificate of a file in PEM, in DER.
func ReadCertificate(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
	return nil, fmt.Errorf("%w: %s has no certificate in PEM", ErrConfig, file)
}

// clientTLS says how clients make handshakes. One certificate is believed where it is known
// which the server has, and else those that the system believes.
func clientTLS(cfg *Config) *tls.Config {
	name, _, err := net.SplitHostPort(cfg.Host)
	if err != nil {
		name = cfg.Host // without a port
	}
	t := &tls.Config{ServerName: name, NextProtos: []string{"http/1.1"}}
	if cfg.Protocol == H2 {
		t.NextProtos = []string{"h2"}
	}
	if cfg.Certificate != nil {
		t.InsecureSkipVerify = true // the next line is stricter, and costs less
		t.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 || string(raw[0]) != string(cfg.Certificate) {
				return fmt.Errorf("%w: a certificate that is not the server's", ErrRefused)
			}
			return nil
		}
	}
	return t
}

// serverTLS reads a certificate for a server of ours.
func (c *Certificate) serverTLS(protocols ...string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.File, c.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, NextProtos: protocols}, nil
}

// handshakes returns what makes handshakes for a server of ours that has event loops.
func (c *Certificate) handshakes() (*handshake.Server, error) {
	pair, err := tls.LoadX509KeyPair(c.File, c.Key)
	if err != nil {
		return nil, err
	}
	return handshake.New(handshake.Config{
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil },
		Protocols:   []string{"http/1.1"}, Computing: runtime.GOMAXPROCS(0),
	})
}
