package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"millrace/internal/doctor"
	"millrace/internal/testenv"
)

// Ensure that the doctor tells of an engine what it is and whether events pass, and why
// not.
func TestDoctorTriesTheEngine(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	address := ln.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	redis := exec.Command(testenv.Need(t, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "",
		"--user", "elsewhere", "on", ">x", "~*", "&rooms:*", "+@all")
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		redis.Process.Kill()
		redis.Wait()
	})
	p := testenv.NewPostgres(t)
	for _, tt := range []struct {
		backplane string
		ok        bool
		want      []string // in the report
	}{
		{"redis://" + address, true, []string{"reach yes", "version Redis 7", "maxmemory-policy noeviction"}},
		{"redis://elsewhere:x@" + address, false, []string{"refuses /millrace-doctor"}},
		{p.PgBouncer(t, "session"), true, []string{"version PostgreSQL"}},
		{p.PgBouncer(t, "transaction"), false, []string{"want session mode"}},
		{"redis://127.0.0.1:1", false, []string{"reach no", "refused"}},
	} {
		t.Run(tt.backplane, func(t *testing.T) {
			t.Parallel()
			c := doctorCommand{Backplane: secret(tt.backplane)}
			settings, ok, err := c.examineEngine()
			report := reportOf(settings)
			if err != nil || ok != tt.ok {
				t.Errorf("events pass: %v, %v, want %v: %s", ok, err, tt.ok, report)
			}
			for _, want := range tt.want {
				if !strings.Contains(report, want) {
					t.Errorf("the report is %s, want %q in it", report, want)
				}
			}
		})
	}
}

func reportOf(settings []doctor.Setting) string {
	var b strings.Builder
	for _, s := range settings {
		b.WriteString(s.Name + " " + s.Value + " " + s.Note + "\n")
	}
	return b.String()
}
