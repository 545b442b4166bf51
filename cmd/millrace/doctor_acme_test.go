package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// Ensure that the doctor says what keeps certificates by ACME away, and what is stored.
func TestDoctorExaminesACME(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const name, directory = "events.example.invalid", "https://127.0.0.1:1/dir"
	store := func(storage string, expiry time.Time) string {
		site := filepath.Join(dir, storage, "certificates", "127.0.0.1-1-dir", name, name)
		if err := os.MkdirAll(filepath.Dir(site), 0o700); err != nil {
			t.Fatal(err)
		}
		testenv.WriteCertificateWith(t, site+".crt", site+".key", func(c *x509.Certificate) { c.DNSNames, c.NotAfter = []string{name}, expiry })
		return filepath.Join(dir, storage)
	}
	now := time.Now()
	for _, tt := range []struct {
		domain, storage string
		want            []string // in the report
	}{
		{name, filepath.Join(dir, "new"), []string{"ACME: storage writable", "ACME: directory no answer", "ACME: " + name + " no address", name + ", stored none yet"}},
		{name, filepath.Join(file, "acme"), []string{"ACME: storage not writable"}},
		{name, store("stored", now.Add(50*24*time.Hour+time.Hour)), []string{name + ", stored 50 days left"}},
	} {
		c := doctorCommand{ACMEDomain: []string{tt.domain}, ACMEDirectory: directory, ACMEStorage: tt.storage}
		settings, ok, err := c.examineACME(now)
		report := reportOf(settings)
		if err != nil || ok {
			t.Errorf("%s in %s: all is well is %t, %v, while the directory does not answer", tt.domain, tt.storage, ok, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(report, want) {
				t.Errorf("%s in %s: the report is\n%s\nwant %q in it", tt.domain, tt.storage, report, want)
			}
		}
	}
	c := doctorCommand{ACMEDomain: []string{"*.example.org"}, ACMEDirectory: directory, ACMEStorage: dir}
	if _, _, err := c.examineACME(now); err == nil || !strings.Contains(err.Error(), "--acme-domain: ") {
		t.Errorf("a name that cannot be proved: %v", err)
	}
}
