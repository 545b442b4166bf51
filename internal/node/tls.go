package node

import (
	"fmt"
	"runtime"
	"time"

	"millrace/internal/certs"
	"millrace/internal/handshake"
)

// certificateInterval is the time between two looks at the files of certificates.
const certificateInterval = 10 * time.Second

// setTLS has the public port serve TLS with o.Certificates, which it reads, if there is an
// address for that. Half of the processors may compute handshakes: the loops need the others.
func (o *Options) setTLS() (*certs.Store, error) {
	if o.Public.TLSListen == "" {
		return nil, nil
	}
	store, err := certs.Load(o.Logger, o.Certificates...)
	if err != nil {
		return nil, fmt.Errorf("%w: --tls-cert: %w", ErrOptions, err)
	}
	o.Public.TLS, err = handshake.New(handshake.Config{
		Certificate: store.Get,
		Protocols:   []string{"http/1.1"},
		Computing:   max(runtime.GOMAXPROCS(0)/2, 1),
	})
	return store, err
}
