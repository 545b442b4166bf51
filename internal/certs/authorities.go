package certs

import (
	"crypto/x509"
	"errors"
	"os"
)

// ErrNoAuthorities is returned for a file in which there is no certificate.
var ErrNoAuthorities = errors.New("there is no certificate in it, want one or more in PEM")

// Authorities returns the certificates that a client trusts, from a file.
func Authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, ErrNoAuthorities
	}
	return pool, nil
}
