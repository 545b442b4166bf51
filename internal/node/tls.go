package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"millrace/internal/acme"
	"millrace/internal/certs"
	"millrace/internal/handshake"
	"millrace/internal/ports"
)

// certificateInterval is the time between two looks at the files of certificates and keys.
const certificateInterval = 10 * time.Second

// tlsFiles are what the TLS of a node is made of, from files, and of the ports that have TLS
// by crypto/tls alone. The zero value is of a node without TLS.
type tlsFiles struct {
	certificates *certs.Store
	issued       *acme.Manager     // nil: all certificates are from files
	ticketKeys   *certs.TicketKeys // nil: drawn
	drawn        *certs.DrawnKeys  // nil: ticketKeys
	admin, ops   *ports.TLS        // nil: in the clear
}

// setTLS reads o.Certificates if a port has TLS, and has the public port serve it if there is
// an address for that. Half of the processors may compute handshakes: the loops need the others.
func (o *Options) setTLS() (t tlsFiles, err error) {
	if len(o.ACME.Domains) > 0 && o.Public.TLSListen == "" {
		return t, fmt.Errorf("%w: --acme-domain: %q without --tls-listen, where the authority has it proved", ErrOptions, o.ACME.Domains[0])
	}
	if o.Public.TLSListen == "" && !o.Ops.TLS && !o.Admin.TLS {
		return t, nil
	}
	if t.certificates, t.issued, err = o.loadCertificates(); err != nil {
		return t, err
	}
	if o.Admin.TLS {
		t.admin = ports.NewTLS("admin", o.Logger, t.certificates.Get)
	}
	if o.Ops.TLS {
		t.ops = ports.NewTLS("ops", o.Logger, t.certificates.Get, "http/1.1") // one request at a time has a place
	}
	if o.Public.TLSListen != "" {
		protocols := []string{"h2", "http/1.1"}
		if t.issued != nil {
			protocols = append(protocols, certs.ChallengeProtocol)
		}
		o.Public.TLS, err = handshake.New(handshake.Config{
			Certificate: t.certificate,
			Protocols:   protocols,
			Computing:   max(runtime.GOMAXPROCS(0)/2, 1),
		})
		o.Public.CertificateOf, o.Public.CertificateName = t.certificates.Number, t.certificates.Name
	}
	if err != nil {
		return t, err
	}
	if o.TicketKeys == "" {
		t.drawn = certs.DrawKeys(t.keysTo(o.Public.TLS), time.Now())
		return t, nil
	}
	if t.ticketKeys, err = certs.LoadTicketKeys(o.Logger, o.TicketKeys, t.keysTo(o.Public.TLS)); err != nil {
		return t, fmt.Errorf("%w: --tls-ticket-keys: %w", ErrOptions, err)
	}
	return t, nil
}

// keysTo returns a function that gives keys of session tickets to all ports with TLS. public
// is nil if that has none.
func (t tlsFiles) keysTo(public *handshake.Server) func([][32]byte) {
	return func(keys [][32]byte) {
		if public != nil {
			public.SetTicketKeys(keys)
		}
		for _, port := range []*ports.TLS{t.admin, t.ops} {
			if port != nil {
				port.SetTicketKeys(keys)
			}
		}
	}
}

// loadCertificates returns the certificates from files, and those of ACME if there are any.
func (o *Options) loadCertificates() (store *certs.Store, issued *acme.Manager, err error) {
	if len(o.ACME.Domains) == 0 {
		store, err = certs.Load(o.Logger, o.Certificates...)
	} else {
		o.ACME.Logger = o.Logger
		if issued, err = acme.New(o.ACME); err != nil {
			return nil, nil, fmt.Errorf("%w: --acme-%w", ErrOptions, err)
		}
		store, err = certs.LoadWith(issued, o.Logger, o.Certificates...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: --tls-cert: %w", ErrOptions, err)
	}
	return store, issued, nil
}

// certificate returns the one for a client.
func (t *tlsFiles) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := t.certificates.Get(hello)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", handshake.ErrNoCertificate, err)
	}
	return c, nil
}

// begin has certificates ordered, and renewed when they are due. addr is that of the public
// port for TLS, which has been opened and serves nobody yet.
func (t *tlsFiles) begin(addr net.Addr) error {
	if t.issued == nil {
		return nil
	}
	if err := t.issued.Open(addr); err != nil {
		return fmt.Errorf("%w: --acme-storage: %w", ErrOptions, err)
	}
	return nil
}

// close ends what begin has begun.
func (t *tlsFiles) close() {
	if t.issued != nil {
		t.issued.Close()
	}
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
	if t.drawn != nil {
		watching.Go(func() { t.drawn.Watch(ctx, time.Minute) })
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
