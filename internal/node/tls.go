package node

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"millrace/internal/certs"
	"millrace/internal/handshake"
)

// certificateInterval is the time between two looks at the files of certificates and keys.
const certificateInterval = 10 * time.Second

// tlsFiles are what the TLS of a node is made of, from files. The zero value is of a node
// without TLS.
type tlsFiles struct {
	certificates *certs.Store
	ticketKeys   *certs.TicketKeys // nil: the node makes its own
}

// setTLS reads o.Certificates if a port has TLS, and has the public port serve it if there is
// an address for that. Half of the processors may compute handshakes: the loops need the others.
func (o *Options) setTLS() (t tlsFiles, err error) {
	if o.Public.TLSListen == "" && !o.Ops.TLS {
		return t, nil
	}
	if t.certificates, err = certs.Load(o.Logger, o.Certificates...); err != nil {
		return t, fmt.Errorf("%w: --tls-cert: %w", ErrOptions, err)
	}
	if o.Public.TLSListen == "" {
		return t, nil
	}
	o.Public.TLS, err = handshake.New(handshake.Config{
		Certificate: t.certificates.Get,
		Protocols:   []string{"http/1.1"},
		Computing:   max(runtime.GOMAXPROCS(0)/2, 1),
	})
	o.Public.CertificateOf = t.certificates.Number
	if err != nil || o.TicketKeys == "" {
		return t, err
	}
	if t.ticketKeys, err = certs.LoadTicketKeys(o.Logger, o.TicketKeys, o.Public.TLS.SetTicketKeys); err != nil {
		return t, fmt.Errorf("%w: --tls-ticket-keys: %w", ErrOptions, err)
	}
	return t, nil
}

// watch reads the files again when they change, until ctx is done.
func (t tlsFiles) watch(ctx context.Context) {
	var watching sync.WaitGroup
	if t.certificates != nil {
		watching.Go(func() { t.certificates.Watch(ctx, certificateInterval) })
	}
	if t.ticketKeys != nil {
		watching.Go(func() { t.ticketKeys.Watch(ctx, certificateInterval) })
	}
	watching.Wait()
}

// reload reads all files again.
func (t tlsFiles) reload() {
	if t.certificates != nil {
		t.certificates.Reload()
	}
	if t.ticketKeys != nil {
		t.ticketKeys.Reload()
	}
}
