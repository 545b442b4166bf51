// Package certs has the certificates of TLS ports and the keys of their session tickets, from
// files that are read again when they change, and the authorities that clients trust.
package certs

import (
	"context"
	"crypto/tls"
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

// index finds a certificate by its names.
type index struct {
	numbers map[string]int32 // by a name in lower case
	all     []*tls.Certificate
}

// Certificate is what is known of one.
type Certificate struct {
	Files         Files
	Names         []string // of hosts, and addresses
	Begin, Expiry time.Time
}

// Load reads all certificates. The first is that of clients that name no host, or one that no
// certificate has. log gets to know what reading them again brings.
func Load(log *slog.Logger, files ...Files) (*Store, error) {
	if len(files) == 0 {
		return nil, errors.New("no certificate: want a file of one and a file of its key")
	}
	s := &Store{log: log, pairs: make([]pair, len(files))}
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
	for i, p := range s.pairs {
		next.all = append(next.all, p.certificate)
		for _, name := range p.certificate.Leaf.DNSNames {
			name = strings.ToLower(name)
			if _, taken := next.numbers[name]; !taken {
				next.numbers[name] = int32(i)
			}
		}
	}
	s.byName.Store(&next)
}

// Get returns the certificate for a client, by the name that it asks for.
func (s *Store) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	names := s.byName.Load()
	return names.all[names.number(hello.ServerName)], nil
}

// Number returns the number of the certificate for a name: the same for names that have the
// same one.
func (s *Store) Number(name string) int32 { return s.byName.Load().number(name) }

// number finds the certificate of a name, else that of all names beside it, else the first.
func (x *index) number(name string) int32 {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if i, ok := x.numbers[name]; ok {
		return i
	}
	if _, domain, ok := strings.Cut(name, "."); ok {
		return x.numbers["*."+domain]
	}
	return 0
}

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
	all := make([]Certificate, len(s.pairs))
	for i, p := range s.pairs {
		leaf := p.certificate.Leaf
		all[i] = Certificate{p.files, slices.Clone(leaf.DNSNames), leaf.NotBefore, leaf.NotAfter}
		for _, ip := range leaf.IPAddresses {
			all[i].Names = append(all[i].Names, ip.String())
		}
	}
	return all
}
