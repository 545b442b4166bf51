// Package acme has certificates issued and renewed by an authority that speaks ACME (RFC 8555),
// such as Let's Encrypt: certmagic orders, stores and renews them, here it is only wired. A host is proved by
// the challenge tls-alpn-01 (RFC 8737) alone: the authority makes a TLS handshake on port 443,
// which is one of the public port as any other, and gets a certificate that nobody else does.
//
// A [Manager] is used by its [certs.Store]. Nodes that share its directory have one certificate
// between them: certmagic's lock files see to it that one orders and the others wait, and a
// challenge may come to any of them.
package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"millrace/internal/certs"
)

// DefaultDirectory is Let's Encrypt's.
const DefaultDirectory = certmagic.LetsEncryptProductionCA

// Config says which certificates are wanted, and from whom.
type Config struct {
	Domains   []string // names of hosts, in lower case, a certificate each
	Email     string   // of the account, empty for none
	Directory string   // URL of the authority's; empty: DefaultDirectory
	Storage   string   // directory for certificates, keys and the account
	Logger    *slog.Logger

	// For tests: what the directory's own certificate is verified by, nil for the system's
	// roots, and the time between two looks at what is to be renewed, 0 for certmagic's.
	Roots    *x509.CertPool
	Interval time.Duration
}

// Manager is the certificates of a node that are issued by ACME. Between Open and Close it is
// safe for concurrent use.
type Manager struct {
	cfg    Config
	cache  *certmagic.Cache
	config *certmagic.Config
	prover *certmagic.Config // config, for challenges: it logs nothing, since anybody may ask for one
	cancel context.CancelFunc

	lookups lookups
	orders  [2][2]atomic.Uint64 // by whether they were renewals, and whether they have failed
}

// Stats are figures of a Manager. Done and failed are counts of orders.
type Stats struct {
	FirstDone, FirstFailed     uint64 // for a certificate where there was none
	RenewalDone, RenewalFailed uint64
	Missing                    int // domains without a certificate
}

// New returns the manager of cfg, or says what is wrong with it. It opens nothing.
func New(cfg Config) (*Manager, error) {
	if cfg.Directory == "" {
		cfg.Directory = DefaultDirectory
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Manager{cfg: cfg}, nil
}

// Open reads the certificates that are in the storage, and from then on has those ordered that
// are missing and those renewed that are due. addr is that of the public port for TLS, which is
// open already: certmagic opens one of its own for a challenge if it finds none there. Close
// is to be called whether or not there is an error.
func (m *Manager) Open(addr net.Addr) error {
	if err := m.cfg.CheckStorage(); err != nil {
		return err
	}
	logger := newLogger(m.cfg.Logger)
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil },
		RenewCheckInterval: m.cfg.Interval,
		Logger:             logger,
	})
	template := certmagic.Config{
		Storage: m.cfg.storage(),
		OCSP:    certmagic.OCSPConfig{DisableStapling: true}, // as for certificates from files
		OnEvent: m.note,
		Logger:  logger,
	}
	m.config = certmagic.New(m.cache, template)
	m.config.Issuers = []certmagic.Issuer{m.issuer(addr.(*net.TCPAddr), logger)}
	template.OnEvent, template.Logger, template.Issuers = nil, zap.NewNop(), m.config.Issuers
	m.prover = certmagic.New(m.cache, template)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	missing, err := m.load(ctx)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		m.cfg.Logger.Warn("there is no certificate yet: clients that ask for these names by TLS are turned away until the authority has issued one", "names", missing, "directory", m.cfg.Directory)
	}
	if err := m.config.ManageAsync(ctx, missing); err != nil {
		return err
	}
	go m.cache.RenewManagedCertificates(ctx) // what was due while the node was not running
	return nil
}

// issuer returns the authority as certmagic has it.
func (m *Manager) issuer(addr *net.TCPAddr, logger *zap.Logger) certmagic.Issuer {
	return certmagic.NewACMEIssuer(m.config, certmagic.ACMEIssuer{
		CA: m.cfg.Directory, Email: m.cfg.Email, Agreed: true, TrustedRoots: m.cfg.Roots,
		DisableHTTPChallenge: true,
		ListenHost:           addr.IP.String(), AltTLSALPNPort: addr.Port,
		Logger: logger,
	})
}

// load takes the certificates from the storage, and returns the domains without one.
func (m *Manager) load(ctx context.Context) (missing []string, _ error) {
	for _, name := range m.cfg.Domains {
		c, err := m.config.CacheManagedCertificate(ctx, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
			continue
		case err == nil:
			err = certs.CheckServable(c.Leaf)
		}
		if err != nil {
			return nil, fmt.Errorf("the certificate of %s in %s: %w: remove it to have a new one issued", name, m.cfg.Storage, err)
		}
	}
	return missing, nil
}

// Close ends what is under way. Certificates stay in the storage. Call it once, whether or not
// Open was.
func (m *Manager) Close() {
	if m.cancel != nil {
		m.cancel()
		m.cache.Stop()
	}
}

// note counts and logs what comes of orders, which certmagic tells.
func (m *Manager) note(_ context.Context, event string, data map[string]any) error {
	renewal, _ := data["renewal"].(bool)
	name, _ := data["identifier"].(string)
	switch event {
	case "cert_obtained":
		m.orders[index(renewal)][0].Add(1)
		m.cfg.Logger.Info("a certificate was issued", "name", name, "renewal", renewal, "file", m.file(name))
	case "cert_failed":
		m.orders[index(renewal)][1].Add(1)
		m.cfg.Logger.Error("a certificate could not be had from the authority, it is asked again later", "name", name, "renewal", renewal, "error", data["error"])
	}
	return nil
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Stats returns the figures as they are now.
func (m *Manager) Stats() Stats {
	s := Stats{
		FirstDone: m.orders[0][0].Load(), FirstFailed: m.orders[0][1].Load(),
		RenewalDone: m.orders[1][0].Load(), RenewalFailed: m.orders[1][1].Load(),
	}
	for _, name := range m.cfg.Domains {
		if c, _ := m.Certificate(name); c == nil {
			s.Missing++
		}
	}
	return s
}

// Stored returns the certificate of a domain that is in the storage, nil if there is none. It
// takes no Open.
func (m *Manager) Stored(name string) (*x509.Certificate, error) {
	text, err := os.ReadFile(m.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no certificate, want PEM", m.file(name))
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return leaf, certs.CheckServable(leaf)
}

// Names implements certs.Issued.
func (m *Manager) Names() []string { return m.cfg.Domains }

// Certificate implements certs.Issued.
func (m *Manager) Certificate(name string) (newest *tls.Certificate, file string) {
	for _, c := range m.cache.AllMatchingCertificates(name) {
		if newest == nil || c.Leaf.NotAfter.After(newest.Leaf.NotAfter) {
			newest = &c.Certificate
		}
	}
	return newest, m.file(name)
}

// file returns where the certificate of a domain is stored.
func (m *Manager) file(name string) string {
	authority := (&certmagic.ACMEIssuer{CA: m.cfg.Directory}).IssuerKey()
	return filepath.Join(m.cfg.Storage, filepath.FromSlash(certmagic.StorageKeys.SiteCert(authority, name)))
}
