package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
)

// Issued are certificates that an authority issues while the node runs: those of package acme.
// Safe for concurrent use.
type Issued interface {
	// Names are those of hosts, in lower case, with a certificate each. They never change.
	Names() []string
	// Certificate returns that of one of Names, nil if there is none yet, and its file.
	Certificate(name string) (c *tls.Certificate, file string)
	// Challenge returns the certificate by which the authority sees that a name is this
	// node's, for a hello of which IsChallenge is true.
	Challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// ChallengeProtocol is the one that a client agrees upon by ALPN to have a name proved: the
// handshake is all there is then (RFC 8737).
const ChallengeProtocol = "acme-tls/1"

// IsChallenge tells whether a client wants a name proved.
func IsChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ChallengeProtocol
}

// ErrMustStaple says that a certificate is of no use here.
var ErrMustStaple = errors.New("it demands that OCSP answers are stapled to it (must-staple), which millrace does not do, and so browsers would refuse it: have it issued without")

// tlsFeature is the extension of what a server has to offer (RFC 7633), and statusRequest the
// feature that is OCSP stapling.
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

const statusRequest = 5

// CheckServable tells why clients would refuse a certificate, whatever its names and age.
func CheckServable(leaf *x509.Certificate) error {
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(tlsFeature) {
			continue
		}
		var features []int
		if _, err := asn1.Unmarshal(extension.Value, &features); err != nil || slices.Contains(features, statusRequest) {
			return ErrMustStaple
		}
	}
	return nil
}
