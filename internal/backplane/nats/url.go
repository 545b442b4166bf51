package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"millrace/internal/backplane/link"
	"millrace/internal/redact"
)

// ErrURL is wrapped by every refusal of a URL.
var ErrURL = errors.New("bad NATS URL")

// maxReplicas is the most that JetStream allows.
const maxReplicas = 5

// form is a URL that has been read.
type form struct {
	options  nats.Options
	history  bool
	replicas int // of the stream of history, when it is created
}

// parseURL takes apart
//
//	nats://user:password@host:port,host:port?credentials=FILE
//
// and the same with tls, which ca=, cert= and key= ask for too; history=jetstream has
// history kept, on as many servers as replicas= says. The client must not mend a lost
// connection: messages of that time would be missed in silence.
func parseURL(u *url.URL) (form, error) {
	f := form{options: nats.GetDefaultOptions(), replicas: 1}
	o := &f.options
	if u.Scheme != "nats" && u.Scheme != "tls" {
		return f, fmt.Errorf("%w: the scheme %q, want nats or tls", ErrURL, u.Scheme)
	}
	if u.Host == "" {
		return f, fmt.Errorf("%w: %q has no host, want %s://HOST:PORT", ErrURL, redact.URL(u), u.Scheme)
	}
	if strings.Trim(u.Path, "/") != "" {
		return f, fmt.Errorf("%w: %q has the path %q, want none", ErrURL, redact.URL(u), u.Path)
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		server := url.URL{Scheme: u.Scheme, User: u.User, Host: host}
		o.Servers = append(o.Servers, server.String())
	}
	query := u.Query()
	certificates := link.TakeCertificates(query)
	o.Secure = u.Scheme == "tls" || !certificates.None()
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := certificates.Apply(config); err != nil {
		return f, fmt.Errorf("%w: %q: %w", ErrURL, redact.URL(u), err)
	}
	o.CustomDialer = &dialer{dial: (&net.Dialer{Timeout: timeout}).Dial, secure: o.Secure, config: config}
	o.SkipHostLookup = true // the dialer looks for all addresses of a host, and TLS wants its name
	for key, values := range query {
		if err := f.set(key, values[0]); err != nil {
			return f, fmt.Errorf("%w: %q: %w", ErrURL, redact.URL(u), err)
		}
	}
	if query.Has("replicas") && !f.history {
		return f, fmt.Errorf("%w: %q: replicas=%s without history=jetstream", ErrURL, redact.URL(u), query.Get("replicas"))
	}
	o.Name = "millrace"
	o.AllowReconnect = false
	o.PingInterval, o.MaxPingsOut = 2*time.Second, 3
	o.Timeout, o.FlusherTimeout = timeout, timeout // or a server that reads nothing would hold up a session for a minute
	return f, nil
}

// set sets an option of the query.
func (f *form) set(key, value string) error {
	switch key {
	case "credentials":
		if err := nats.UserCredentials(value)(&f.options); err != nil {
			return fmt.Errorf("credentials=%s: %w", value, err)
		}
	case "history":
		if value != "jetstream" {
			return fmt.Errorf("history=%s, want jetstream, or none", value)
		}
		f.history = true
	case "replicas":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxReplicas {
			return fmt.Errorf("replicas=%s, want 1 to %d", value, maxReplicas)
		}
		f.replicas = n
	default:
		return fmt.Errorf("the option %q, want credentials, ca, cert, key, history or replicas", key)
	}
	return nil
}
