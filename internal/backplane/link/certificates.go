package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"

	"millrace/internal/certs"
)

// Certificates are the files that a URL names for TLS with an engine. The zero value
// names none: the system's authorities count then, or those of SSL_CERT_FILE.
type Certificates struct {
	ca, cert, key string
}

// TakeCertificates takes ca=, cert= and key= out of a query.
func TakeCertificates(query url.Values) Certificates {
	c := Certificates{query.Get("ca"), query.Get("cert"), query.Get("key")}
	for _, key := range []string{"ca", "cert", "key"} {
		query.Del(key)
	}
	return c
}

// None tells that nothing is named.
func (c Certificates) None() bool { return c == Certificates{} }

// Apply has config trust the authorities in the file ca alone, and show the certificate
// in the file cert, which is read anew for each connection, so that a renewed one counts.
func (c Certificates) Apply(config *tls.Config) error {
	if c.ca != "" {
		authorities, err := certs.Authorities(c.ca)
		if err != nil {
			return fmt.Errorf("ca=%s: %w", c.ca, err)
		}
		config.RootCAs = authorities
	}
	if (c.cert == "") != (c.key == "") {
		return errors.New("cert and key go together: the client's certificate, and its private key, as files in PEM")
	}
	if c.cert == "" {
		return nil
	}
	load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("cert=%s, key=%s: %w", c.cert, c.key, err)
		}
		return &pair, nil
	}
	config.GetClientCertificate = load
	_, err := load(nil)
	return err
}
