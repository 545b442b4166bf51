package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
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
