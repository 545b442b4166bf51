package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/certs"
	"millrace/internal/doctor"
	"millrace/internal/testenv"
)

// Ensure that the doctor says how long each certificate is valid, and fails if one is not.
func TestDoctorExaminesCertificates(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	keys := file("keys")
	if err := os.WriteFile(keys, []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	const days = 24 * time.Hour
	for _, tt := range []struct {
		name  string
		left  time.Duration // of a certificate that is valid for a day
		at    time.Duration // the doctor looks then
		hosts []string
		keys  string
		valid bool
		want  string // in the report
	}{
		{"long", 90*days + time.Hour, 89*days + 2*time.Hour, []string{"a.example", "*.a.example", "127.0.0.1"}, keys, true, "certificate 1 0 days left: renew it a.example, *.a.example, 127.0.0.1 (" + file("long") + ")\nkeys of session tickets 1 " + keys},
		{"early", 90 * days, 0, []string{"a.example"}, "", false, "certificate 1 valid from " + now.Add(89*days).UTC().Format(time.DateOnly)},
		{"expired", -time.Hour, 0, []string{"a.example"}, "", false, "certificate 1 expired " + now.Add(-time.Hour).UTC().Format(time.DateOnly)},
		{"names", time.Hour, 0, []string{"a", "b", "c", "d", "e", "f"}, "", true, "a, b, c, d and 2 more"},
		{"nameless", time.Hour, 0, nil, "", true, "no name"},
		{"keyless", time.Hour, 0, []string{"a"}, file("long"), false, "keys of session tickets unreadable " + file("long") + ": line 1 has 27 characters"},
	} {
		testenv.WriteCertificate(t, file(tt.name), file("key"), now.Add(tt.left), tt.hosts...)
		c := doctorCommand{TLSCert: []string{file(tt.name)}, TLSKey: []string{file("key")}, TLSTicketKeys: tt.keys}
		settings, ok, err := c.examineCertificates(now.Add(tt.at))
		if report := reportOf(settings); err != nil || ok != tt.valid || !strings.Contains(report, tt.want) {
			t.Errorf("%s: valid is %t, %v, and the report %q; want %t, and %q in it", tt.name, ok, err, report, tt.valid, tt.want)
		}
	}
	for _, name := range []string{"key", "keys"} {
		if err := os.Chmod(file(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	testenv.WriteCertificate(t, file("open"), file("key"), now.Add(time.Hour), "a")
	c := doctorCommand{TLSCert: []string{file("open")}, TLSKey: []string{file("key")}, TLSTicketKeys: keys}
	settings, ok, err := c.examineCertificates(now)
	for _, name := range []string{"key", "keys"} {
		if report, want := reportOf(settings), "every user of this host can read "+file(name)+": chmod o-r"; !ok || err != nil || !strings.Contains(report, want) {
			t.Errorf("with mode 644: valid is %t, %v, and the report %q; want %q in it", ok, err, report, want)
		}
	}
	for left, want := range map[time.Duration]string{
		21*days + time.Hour: "21 days left", 21*days - time.Hour: "20 days left: renew it", 400 * days: "400 days left",
	} {
		if got, valid := validity(certs.Certificate{Expiry: now.Add(left)}, now); got != want || !valid {
			t.Errorf("with %v left: %q, valid %t; want %q", left, got, valid, want)
		}
	}
}

// Ensure that the report tells of certificates, and that its status does.
func TestDoctorReportsCertificates(t *testing.T) {
	cert, key := testenv.Certificate(t, "a.example")
	for _, tt := range []struct {
		args  []string
		want  string
		fails bool
	}{
		{[]string{"--tls-cert", cert, "--tls-key", key}, "0 days left: renew it", false},
		{[]string{"--tls-cert", cert, "--tls-key", "/does/not/exist"}, "unreadable", true},
		{[]string{"--tls-cert", cert, "--tls-key", key, "--tls-cert", key, "--tls-key", key}, "certificate 2 ", true},
	} {
		var c commands
		if _, err := newParser(&c).Parse(append([]string{"doctor"}, tt.args...)); err != nil {
			t.Fatalf("%q: %v", tt.args, err)
		}
		var out bytes.Buffer
		if err := c.Doctor.report(&out, doctor.Local()); errors.Is(err, errReported) != tt.fails || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: %v, want failure %t and %q in\n%s", tt.args, err, tt.fails, tt.want, &out)
		}
	}
}
