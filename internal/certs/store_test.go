package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"millrace/internal/testenv"
)

var quiet = slog.New(slog.DiscardHandler)

// Ensure that a client gets the certificate of the name that it asks for.
func TestGet(t *testing.T) {
	pair := func(hosts ...string) Files {
		cert, key := testenv.Certificate(t, hosts...)
		return Files{cert, key}
	}
	first, wild, exact := pair("first.example", "Upper.example"), pair("*.example.org"), pair("a.example.org", "first.example")
	s, err := Load(quiet, first, wild, exact)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"": 0, "first.example": 0, "upper.EXAMPLE": 0, "unknown": 0, "example.org": 0, "127.0.0.1": 0,
		"a.example.org": 2, "A.example.org.": 2,
		"b.example.org": 1, "a.b.example.org": 0, "*.example.org": 1,
	} {
		got, err := s.Get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || got != s.pairs[want].certificate {
			t.Errorf("%q: got that of %q, %v; want that of %q", name, got.Leaf.DNSNames, err, s.pairs[want].certificate.Leaf.DNSNames)
		}
		if got := s.Number(name); got != int32(want) {
			t.Errorf("%q: it has the number %d, want %d", name, got, want)
		}
		if name := s.Name(int32(want)); s.Number(name) != int32(want) {
			t.Errorf("the number %d has the name %q, which has %d", want, name, s.Number(name))
		}
	}
}

// Ensure that what cannot be used is refused at the start.
func TestLoadRefuses(t *testing.T) {
	cert, key := testenv.Certificate(t, "x")
	_, other := testenv.Certificate(t, "x")
	for name, files := range map[string][]Files{
		"none":             nil,
		"no certificate":   {{"/does/not/exist", key}},
		"no key":           {{cert, "/does/not/exist"}},
		"another's key":    {{cert, other}},
		"files swapped":    {{key, cert}},
		"the second wrong": {{cert, key}, {cert, other}},
	} {
		if _, err := Load(quiet, files...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Ensure that files which change are read again, links that are changed among them, and that
// a wrong pair leaves the one before in use.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(version string, expiry time.Time) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		testenv.WriteCertificate(t, filepath.Join(dir, version, "cert"), filepath.Join(dir, version, "key"), expiry, version+".example")
	}
	link := func(version string) {
		next := filepath.Join(dir, "next")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		expiry := time.Now().Add(time.Hour).Truncate(time.Second)
		write("one", expiry)
		write("two", expiry.Add(time.Hour))
		link("one")
		files := Files{filepath.Join(dir, "data", "cert"), filepath.Join(dir, "data", "key")}
		s, err := Load(quiet, files)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.Watch(ctx, time.Minute)
		want := func(what, name string, expiry time.Time, failures uint64) {
			t.Helper()
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			got, _ := s.Get(&tls.ClientHelloInfo{ServerName: name})
			if got.Leaf.DNSNames[0] != name || s.Failures() != failures || !s.Certificates()[0].Expiry.Equal(expiry) {
				t.Errorf("%s: the certificate is of %q and expires at %v, %d failures; want that of %q, at %v, %d", what, got.Leaf.DNSNames,
					s.Certificates()[0].Expiry, s.Failures(), name, expiry, failures)
			}
		}
		want("at first", "one.example", expiry, 0)
		link("two")
		want("another version", "two.example", expiry.Add(time.Hour), 0)
		if err := os.WriteFile(files.Key, []byte("nothing"), 0o600); err != nil {
			t.Fatal(err)
		}
		want("a key that is none", "two.example", expiry.Add(time.Hour), 1)
		want("the same still", "two.example", expiry.Add(time.Hour), 1)
		if err := os.Remove(files.Cert); err != nil {
			t.Fatal(err)
		}
		want("no file", "two.example", expiry.Add(time.Hour), 2)
		link("one")
		want("right again", "one.example", expiry, 2)
		s.Reload()
		want("read again for nothing", "one.example", expiry, 2)
	})
}

// issuedNames are certificates that are issued: nil ones are not yet.
type issuedNames struct {
	names        []string
	certificates []*tls.Certificate
}

func (i issuedNames) Names() []string { return i.names }

func (i issuedNames) Certificate(name string) (*tls.Certificate, string) {
	return i.certificates[slices.Index(i.names, name)], "issued/" + name
}

var errChallenge = errors.New("challenged")

func (i issuedNames) Challenge(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errChallenge
}

// Ensure that a certificate of a file with the very name comes first, then one that is issued,
// then one of a file for all names of a domain, then the first; and that one which was not
// issued yet is replaced by one for all names of its domain only, not by one for other names.
func TestGetIssued(t *testing.T) {
	pair := func(hosts ...string) Files {
		cert, key := testenv.Certificate(t, hosts...)
		return Files{cert, key}
	}
	one, other := new(tls.Certificate), new(tls.Certificate)
	names := issuedNames{
		[]string{"file.example", "a.wild.example", "pending.wild.example", "lone.example", "pending.example"},
		[]*tls.Certificate{one, one, nil, other, nil},
	}
	s, err := LoadWith(names, quiet, pair("first.example"), pair("file.example"), pair("*.wild.example"))
	if err != nil {
		t.Fatal(err)
	}
	alone, err := LoadWith(issuedNames{[]string{"a.example", "pending.example"}, []*tls.Certificate{one, nil}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	none, err := LoadWith(issuedNames{[]string{"pending.example", "a.example"}, []*tls.Certificate{nil, one}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	file := func(i int) *tls.Certificate { return s.pairs[i].certificate }
	for _, tt := range []struct {
		store  *Store
		name   string
		want   *tls.Certificate
		number int32
	}{
		{s, "", file(0), 0},
		{s, "unknown", file(0), 0},
		{s, "file.example", file(1), 1},
		{s, "A.wild.example.", one, 4},
		{s, "b.wild.example", file(2), 2},
		{s, "pending.wild.example", file(2), 5},
		{s, "lone.example", other, 6},
		{s, "pending.example", nil, 7},
		{alone, "", one, 0},
		{alone, "unknown", one, 0},
		{alone, "a.example", one, 0},
		{alone, "pending.example", nil, 1},
		{none, "a.example", one, 1},
		{none, "", nil, 0},
		{none, "pending.example", nil, 0},
	} {
		got, err := tt.store.Get(&tls.ClientHelloInfo{ServerName: tt.name})
		if got != tt.want || (err == nil) != (tt.want != nil) || tt.store.Number(tt.name) != tt.number {
			t.Errorf("%q: got %p, %v, number %d; want %p, number %d", tt.name, got, err, tt.store.Number(tt.name), tt.want, tt.number)
		}
		if name := tt.store.Name(tt.number); tt.store.Number(name) != tt.number {
			t.Errorf("the number %d has the name %q, which has %d", tt.number, name, tt.store.Number(name))
		}
	}
	if _, err := s.Get(&tls.ClientHelloInfo{ServerName: "x", SupportedProtos: []string{ChallengeProtocol}}); err != errChallenge {
		t.Errorf("a challenge brings %v, want %v", err, errChallenge)
	}
	s, err = Load(quiet, pair("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(&tls.ClientHelloInfo{ServerName: "x", SupportedProtos: []string{ChallengeProtocol}}); err != nil {
		t.Errorf("a challenge where none is known brings %v, want the certificate", err)
	}
}

// Ensure that a certificate that clients would refuse for want of stapling is refused, in
// words, and no other with that extension.
func TestMustStaple(t *testing.T) {
	for value, want := range map[string]error{
		"\x30\x03\x02\x01\x05":             ErrMustStaple,
		"\x30\x06\x02\x01\x11\x02\x01\x05": ErrMustStaple,
		"\x30\x03\x02\x01\x11":             nil, // status_request_v2
		"\x30\x00":                         nil,
		"garbage":                          ErrMustStaple,
	} {
		cert, key := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
		testenv.WriteCertificateWith(t, cert, key, func(c *x509.Certificate) {
			c.DNSNames = []string{"x"}
			c.ExtraExtensions = []pkix.Extension{{Id: tlsFeature, Value: []byte(value)}}
		})
		if _, err := Load(quiet, Files{cert, key}); !errors.Is(err, want) {
			t.Errorf("with the features %q: %v, want %v", value, err, want)
		}
	}
}
