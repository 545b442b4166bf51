// Package certs has the certificates of TLS ports and the keys of their session tickets, from
// files that are read again when they change, certificates that are [Issued], and the authorities
// that clients trust.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Files names a certificate, with those that it was signed by behind it, and its private
// key, both as PEM.
type Files struct{ Cert, Key string }

// Store is the certificates of a node. Safe for concurrent use.
type Store struct {
	log      *slog.Logger
	issued   Issued // nil for none
	byName   atomic.Pointer[index]
	failures atomic.Uint64

	mu    sync.Mutex // one reads files at a time
	pairs []pair
}

// pair is a certificate as its files were last read.
type pair struct {
	files       Files
	seen        [2]os.FileInfo
	certificate *tls.Certificate
}

// index finds a certificate by its names. Certificates have numbers: first those of files,
// then those that are issued.
type index struct {
	numbers map[string]int32 // by a name in lower case
	names   []string         // by number, the first that selects it; empty where none does
	files   []*tls.Certificate
}

// Certificate is what is known of one.
type Certificate struct {
	Files         Files
	Names         []string // of hosts, and addresses
	Begin, Expiry time.Time
}

// Load reads all certificates. The first is that of clients that name no host, or one that no
// certificate has. log gets to know what reading them again brings.
func Load(log *slog.Logger, files ...Files) (*Store, error) { return LoadWith(nil, log, files...) }

// LoadWith is Load with certificates that are issued beside those of files, which may be none
// then. If both have the same name, that of a file is used.
func LoadWith(issued Issued, log *slog.Logger, files ...Files) (*Store, error) {
	if len(files) == 0 && issued == nil {
		return nil, errors.New("no certificate: want a file of one and a file of its key")
	}
	s := &Store{log: log, issued: issued, pairs: make([]pair, len(files))}
	for i, f := range files {
		s.pairs[i].files = f
		if err := s.pairs[i].read(); err != nil {
			return nil, err
		}
		warnExposed(log, f.Key)
	}
	s.publish()
	return s, nil
}

// read reads the files anew. With an error the pair is as before, but for having been seen.
func (p *pair) read() error {
	seen, err := p.files.stat()
	p.seen = seen
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(p.files.Cert, p.files.Key)
	if err == nil {
		err = CheckServable(certificate.Leaf)
	}
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", p.files.Cert, p.files.Key, err)
	}
	p.certificate = &certificate
	return nil
}

// stat looks at what the files are, behind links: a link that is changed counts.
func (f Files) stat() (seen [2]os.FileInfo, err error) {
	for i, name := range []string{f.Cert, f.Key} {
		info, failed := os.Stat(name)
		seen[i], err = info, errors.Join(err, failed)
	}
	return seen, err
}

// hasChanged tells whether the files are others than when they were read.
func (p *pair) hasChanged() bool {
	seen, _ := p.files.stat()
	return differs(seen[0], p.seen[0]) || differs(seen[1], p.seen[1])
}

// differs tells whether a file is another than before, nil being none.
func differs(now, before os.FileInfo) bool {
	if now == nil || before == nil {
		return now != before
	}
	return !os.SameFile(now, before) || now.ModTime() != before.ModTime() || now.Size() != before.Size()
}

// publish has handshakes use the certificates that have been read.
func (s *Store) publish() {
	next := index{numbers: make(map[string]int32)}
	add := func(name string, number int) {
		if _, taken := next.numbers[name]; taken {
			return
		}
		next.numbers[name] = int32(number)
		if next.names[number] == "" {
			next.names[number] = name
		}
	}
	next.names = make([]string, len(s.pairs))
	if s.issued != nil {
		next.names = make([]string, len(s.pairs)+len(s.issued.Names()))
	}
	for i, p := range s.pairs {
		next.files = append(next.files, p.certificate)
		for _, name := range p.certificate.Leaf.DNSNames {
			add(strings.ToLower(name), i)
		}
	}
	if s.issued != nil {
		for i, name := range s.issued.Names() {
			add(name, len(s.pairs)+i)
		}
	}
	s.byName.Store(&next)
}

// Get returns the certificate for a client, by the name that it asks for.
func (s *Store) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.issued != nil && IsChallenge(hello) {
		return s.issued.Challenge(hello)
	}
	names := s.byName.Load()
	if c := s.certificate(names, names.number(hello.ServerName)); c != nil {
		return c, nil
	}
	if i, ok := names.wildcard(hello.ServerName); ok {
		return s.certificate(names, i), nil
	}
	return nil, fmt.Errorf("none was issued yet for %.64q", hello.ServerName)
}

// certificate returns that of a number, nil if it was not issued yet.
func (s *Store) certificate(names *index, number int32) *tls.Certificate {
	if number < int32(len(names.files)) {
		return names.files[number]
	}
	c, _ := s.issued.Certificate(s.issued.Names()[number-int32(len(names.files))])
	return c
}

// Number returns the number of the certificate for a name: the same for names that have the
// same one.
func (s *Store) Number(name string) int32 { return s.byName.Load().number(name) }

// Name returns a name for which Number returns number: numbers mean nothing to another process,
// which may have the same certificates in another order. It is empty where no name does, which is
// as good as any that no certificate has.
func (s *Store) Name(number int32) string {
	if names := s.byName.Load().names; number >= 0 && int(number) < len(names) {
		return names[number]
	}
	return ""
}

// number finds the certificate of a name, else that of all names beside it, else the first.
func (x *index) number(name string) int32 {
	if i, ok := x.numbers[canonical(name)]; ok {
		return i
	}
	i, _ := x.wildcard(name)
	return i
}

// wildcard finds the certificate of all names beside a name, which is one of a file.
func (x *index) wildcard(name string) (number int32, ok bool) {
	if _, domain, ok := strings.Cut(canonical(name), "."); ok {
		number, ok = x.numbers["*."+domain]
		return number, ok
	}
	return 0, false
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Reload reads all files again. A pair that is not right stays as it was; that is logged and
// counted.
func (s *Store) Reload() { s.reload(func(*pair) bool { return true }) }

// Watch reads files again that have changed, which it looks for at every interval, until ctx
// is done.
func (s *Store) Watch(ctx context.Context, interval time.Duration) {
	every(ctx, interval, func() { s.reload((*pair).hasChanged) })
}

// every calls look at every interval, until ctx is done.
func every(ctx context.Context, interval time.Duration, look func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			look()
		}
	}
}

func (s *Store) reload(due func(*pair) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.pairs {
		p := &s.pairs[i]
		if !due(p) {
			continue
		}
		if err := p.read(); err != nil {
			s.failures.Add(1)
			s.log.Error("a certificate cannot be read again, the one before is used on", "error", err, "expiry", p.certificate.Leaf.NotAfter)
			continue
		}
		warnExposed(s.log, p.files.Key)
		s.log.Info("a certificate was read again", "file", p.files.Cert, "names", p.certificate.Leaf.DNSNames, "expiry", p.certificate.Leaf.NotAfter)
	}
	s.publish()
}

// Failures counts how often a certificate could not be read again.
func (s *Store) Failures() uint64 { return s.failures.Load() }

// Certificates are those in use.
func (s *Store) Certificates() []Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Certificate
	for _, p := range s.pairs {
		all = append(all, Describe(p.files, p.certificate.Leaf))
	}
	if s.issued != nil {
		for _, name := range s.issued.Names() {
			if c, file := s.issued.Certificate(name); c != nil {
				all = append(all, Describe(Files{Cert: file}, c.Leaf))
			}
		}
	}
	return all
}

// Describe returns what is known of a certificate.
func Describe(files Files, leaf *x509.Certificate) Certificate {
	c := Certificate{files, slices.Clone(leaf.DNSNames), leaf.NotBefore, leaf.NotAfter}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	return c
}
