package acme

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Ensure that what no authority would issue for is refused at once, in words that name the
// flag.
func TestConfig(t *testing.T) {
	many := make([]string, maxDomains+1)
	for i := range many {
		many[i] = fmt.Sprintf("a%d.example.org", i)
	}
	for _, tt := range []struct {
		cfg  Config
		want string // as the error begins; empty for none
	}{
		{Config{Domains: []string{"events.example.org", "xn--mnchen-3ya.example"}, Email: "ops@example.org"}, ""},
		{Config{Domains: many[:maxDomains]}, ""},
		{Config{Domains: many}, "domain: 101"},
		{Config{Domains: []string{"*.example.org"}}, `domain: "*.example.org"`},
		{Config{Domains: []string{"Events.example.org"}}, `domain: "Events.example.org"`},
		{Config{Domains: []string{"events.example.org:443"}}, "domain: "},
		{Config{Domains: []string{"https://events.example.org"}}, "domain: "},
		{Config{Domains: []string{"192.0.2.1"}}, "domain: "},
		{Config{Domains: []string{"2001:db8::1"}}, "domain: "},
		{Config{Domains: []string{"localhost"}}, "domain: "},
		{Config{Domains: []string{"-a.example.org"}}, "domain: "},
		{Config{Domains: []string{"a..example.org"}}, "domain: "},
		{Config{Domains: []string{"a.example.org."}}, "domain: "},
		{Config{Domains: []string{strings.Repeat("a.", 127) + "org"}}, "domain: "},
		{Config{Domains: []string{"a.example.org", "a.example.org"}}, `domain: "a.example.org" is there twice`},
		{Config{Domains: []string{"a.example.org"}, Email: "ops"}, "email: "},
		{Config{Domains: []string{"a.example.org"}, Email: "Ops <ops@example.org>"}, "email: "},
		{Config{Domains: []string{"a.example.org"}, Directory: "http://ca.example.org/"}, "directory: "},
		{Config{Domains: []string{"a.example.org"}, Directory: "ca.example.org"}, "directory: "},
		{Config{Domains: []string{"a.example.org"}, Directory: "https://user:secret@ca.example.org/"}, "directory: "},
	} {
		tt.cfg.Storage = "/x"
		_, err := New(tt.cfg)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(err.Error(), "want ")) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}

func TestDefaultStorage(t *testing.T) {
	for _, tt := range []struct{ state, xdg, home, want string }{
		{"/var/lib/millrace", "/x", "/home/a", "/var/lib/millrace/acme"},
		{"/var/lib/millrace:/var/lib/other", "", "", "/var/lib/millrace/acme"},
		{"", "/x", "/home/a", "/x/millrace/acme"},
		{"", "relative", "/home/a", "/home/a/.local/state/millrace/acme"},
		{"", "", "/home/a", "/home/a/.local/state/millrace/acme"},
		{"", "", "", ""},
	} {
		t.Setenv("STATE_DIRECTORY", tt.state)
		t.Setenv("XDG_STATE_HOME", tt.xdg)
		t.Setenv("HOME", tt.home)
		if got, err := DefaultStorage(); got != tt.want || (err == nil) != (got != "") {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
}

// Ensure that whatever certmagic logs goes to slog, by the loggers that it is given and by the
// one that its lock files use, and never to stderr.
func TestLog(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	before := slog.Default()
	slog.SetDefault(log)
	defer slog.SetDefault(before)
	l := newLogger(log).Named("obtain").With(zap.String("b", "two words"), zap.Int("a", 1))
	l.Debug("left out")
	l.Info("a step")
	l.Warn("a warning", zap.Strings("names", []string{"x", "y"}))
	l.Error("an error")
	certmagic.Default.Logger.Sugar().Infof("of a %s", "lock")
	const want = `level=DEBUG msg="ACME: a step" a=1 b="two words"
level=WARN msg="ACME: a warning" a=1 b="two words" names="[x y]"
level=WARN msg="ACME: an error" a=1 b="two words"
level=DEBUG msg="ACME: of a lock"
`
	if text.String() != want {
		t.Errorf("the log has\n%s\nwant\n%s", text.String(), want)
	}
}

// Ensure that a storage which does not answer holds up a handshake for a moment, and none
// from then on, until it answers.
func TestLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lookups
		found, release := new(tls.Certificate), make(chan struct{})
		var looks atomic.Int64
		look := func() (*tls.Certificate, error) {
			looks.Add(1)
			<-release
			return found, nil
		}
		begun := time.Now()
		for range 5 {
			if c, err := l.get("a", look); c != nil || err != ErrBusy {
				t.Errorf("while the storage is stuck: %v, %v; want %v", c, err, ErrBusy)
			}
		}
		if took := time.Since(begun); took != lookupTime || looks.Load() != 1 {
			t.Errorf("5 handshakes waited %v for %d looks, want %v for 1", took, looks.Load(), lookupTime)
		}
		close(release)
		synctest.Wait()
		if c, err := l.get("a", look); c != found || err != nil || looks.Load() != 2 {
			t.Errorf("later: %v, %v after %d looks; want the certificate after 2", c, err, looks.Load())
		}
	})
}
