package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"millrace/internal/backplane/link"
	"millrace/internal/redact"
)

// ErrURL is wrapped by every refusal of a URL.
var ErrURL = errors.New("bad Redis URL")

// quiet keeps the client from logging: what matters is returned as errors.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }

// server is a URL that has been read.
type server struct {
	client   redis.UniversalClient // which has not connected yet
	database int
	history  bool
}

// parseURL takes apart
//
//	redis://user:password@host:port/db          one server
//	redis+sentinel://host:port/db?master_name=  the master that sentinels name
//	redis+cluster://host:port                   a cluster
//
// and the same with rediss for TLS, with files by ca=, cert= and key=. More addresses are given by addr= options;
// history=streams has history kept; the other options are those of go-redis's
// ParseURL and its relatives. Nothing is sent twice by itself, unless max_retries
// says so: a message could come twice.
func parseURL(u *url.URL) (server, error) {
	scheme, form, _ := strings.Cut(u.Scheme, "+")
	if scheme != "redis" && scheme != "rediss" || form != "" && form != "sentinel" && form != "cluster" {
		return server{}, fmt.Errorf("%w: the scheme %q, want redis or rediss, perhaps with +sentinel or +cluster", ErrURL, u.Scheme)
	}
	if u.Host == "" {
		return server{}, fmt.Errorf("%w: %q has no host, want %s://HOST:PORT", ErrURL, redact.URL(u), u.Scheme)
	}
	query := u.Query()
	history, keeps := query.Get("history"), query.Has("history")
	if keeps && history != "streams" {
		return server{}, fmt.Errorf("%w: history=%q, want streams, or none", ErrURL, history)
	}
	retries := query.Has("max_retries")
	query.Del("history")
	certificates := link.TakeCertificates(query)
	if !certificates.None() && scheme != "rediss" {
		return server{}, fmt.Errorf("%w: %q: ca, cert and key are for TLS, want the scheme %s", ErrURL, redact.URL(u), strings.Replace(u.Scheme, "redis", "rediss", 1))
	}
	plain := *u
	plain.Scheme, plain.RawQuery = scheme, query.Encode()
	s, err := newClient(form, plain.String(), retries, certificates)
	if err != nil {
		return server{}, fmt.Errorf("%w: %q: %s", ErrURL, redact.URL(u), strings.TrimPrefix(err.Error(), "redis: "))
	}
	s.history = keeps
	return s, nil
}

// newClient returns a client of a form for a URL of go-redis, which may say how often
// a command is tried again.
func newClient(form, address string, retries bool, certificates link.Certificates) (server, error) {
	const never = -1
	no := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch form {
	case "sentinel":
		o, err := redis.ParseFailoverURL(address)
		if err != nil {
			return server{}, err
		}
		if o.MasterName == "" {
			return server{}, errors.New("master_name is missing")
		}
		if !retries {
			o.MaxRetries = never
		}
		if err := apply(certificates, o.TLSConfig); err != nil {
			return server{}, err
		}
		o.Dialer = dialer(o.DialTimeout, o.TLSConfig)
		o.ContextTimeoutEnabled, o.OnConnect = true, onConnect
		return server{client: redis.NewFailoverClient(o), database: o.DB}, nil
	case "cluster":
		o, err := redis.ParseClusterURL(address)
		if err != nil {
			return server{}, err
		}
		if !retries {
			o.MaxRetries = never
		}
		if err := apply(certificates, o.TLSConfig); err != nil {
			return server{}, err
		}
		o.Dialer = dialer(o.DialTimeout, o.TLSConfig)
		o.ContextTimeoutEnabled, o.OnConnect, o.MaintNotificationsConfig = true, onConnect, no
		return server{client: redis.NewClusterClient(o)}, nil
	}
	o, err := redis.ParseURL(address)
	if err != nil {
		return server{}, err
	}
	if !retries {
		o.MaxRetries = never
	}
	if err := apply(certificates, o.TLSConfig); err != nil {
		return server{}, err
	}
	o.Dialer = dialer(o.DialTimeout, o.TLSConfig)
	o.ContextTimeoutEnabled, o.OnConnect, o.MaintNotificationsConfig = true, onConnect, no
	return server{client: redis.NewClient(o), database: o.DB}, nil
}

// dialer is the client's own, but that nothing comes which the client cannot bear.
func dialer(patience time.Duration, config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	dial := redis.NewDialer(&redis.Options{DialTimeout: cmp.Or(patience, timeout), TLSConfig: config})
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newFrames(conn), nil
	}
}

// apply is Certificates.Apply, for TLS.
func apply(certificates link.Certificates, config *tls.Config) error {
	if config == nil {
		return nil
	}
	return certificates.Apply(config)
}
