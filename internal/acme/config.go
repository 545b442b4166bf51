package acme

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"

	"github.com/caddyserver/certmagic"

	"millrace/internal/redact"
)

// maxDomains bounds the domains of a node. Authorities bound how many certificates they issue
// in a week.
const maxDomains = 100

// domainName is a name with two labels or more, in lower case.
var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// check reports what is wrong with cfg, apart from the state of its storage. Errors begin with
// the name of the field.
func (cfg *Config) check() error {
	if n := len(cfg.Domains); n < 1 || n > maxDomains {
		return fmt.Errorf("domain: %d of them, want 1 to %d", n, maxDomains)
	}
	seen := make(map[string]bool)
	for _, name := range cfg.Domains {
		if _, err := netip.ParseAddr(name); err == nil || len(name) > 253 || !domainName.MatchString(name) {
			return fmt.Errorf("domain: %q, want a name such as events.example.org, in lower case (xn--... for other alphabets): by tls-alpn-01, addresses, ports and wildcards cannot be proved", name)
		}
		if seen[name] {
			return fmt.Errorf("domain: %q is there twice, want it once", name)
		}
		seen[name] = true
	}
	if cfg.Email != "" {
		if a, err := mail.ParseAddress(cfg.Email); err != nil || a.Address != cfg.Email {
			return fmt.Errorf("email: %q, want an address such as ops@example.org", cfg.Email)
		}
	}
	if u, err := url.Parse(cfg.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("directory: %q, want an https:// URL such as %s", redact.Text(cfg.Directory), DefaultDirectory)
	}
	if cfg.Storage == "" {
		return errors.New("storage: none, want a directory that the server may write")
	}
	return nil
}

// CheckStorage tells why certificates and keys cannot be stored. It makes the directory if
// there is none.
func (cfg *Config) CheckStorage() error {
	if err := os.MkdirAll(cfg.Storage, 0o700); err != nil {
		return fmt.Errorf("%w: want a directory that the server may make or write", err)
	}
	f, err := os.CreateTemp(cfg.Storage, "try-")
	if err != nil {
		return fmt.Errorf("%w: want a directory that the server may write", err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// ErrNoHome says that there is no place for a storage by default.
var ErrNoHome = errors.New("neither STATE_DIRECTORY (StateDirectory= of a systemd unit) nor HOME is set: want a directory for certificates and keys")

// DefaultStorage is within the directory that systemd gives a unit with StateDirectory=, else
// within the user's own for state.
func DefaultStorage() (dir string, err error) {
	if list := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(list) > 0 {
		return filepath.Join(list[0], "acme"), nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "millrace", "acme"), nil
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "millrace", "acme"), nil
	}
	return "", ErrNoHome
}

// storage is where certmagic keeps certificates, keys (with mode 0600), the account and locks.
func (cfg *Config) storage() certmagic.Storage { return &certmagic.FileStorage{Path: cfg.Storage} }
