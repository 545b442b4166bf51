package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ErrURL is wrapped by every refusal of a URL.
var ErrURL = errors.New("bad Redis URL")

// quiet keeps the client from logging: what matters is returned as errors.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(quiet{}) }

// newClient returns a client for u, which has not connected yet:
//
//	redis://user:password@host:port/db          one server
//	redis+sentinel://host:port/db?master_name=  the master that sentinels name
//	redis+cluster://host:port                   a cluster
//
// and the same with rediss for TLS. More addresses are given by addr= options; the
// other options are those of go-redis's ParseURL and its relatives. Nothing is
// sent twice by itself: a message could come twice.
func newClient(u *url.URL) (redis.UniversalClient, error) {
	plain := *u
	scheme, form, _ := strings.Cut(u.Scheme, "+")
	plain.Scheme = scheme
	if scheme != "redis" && scheme != "rediss" || form != "" && form != "sentinel" && form != "cluster" {
		return nil, fmt.Errorf("%w: the scheme %q, want redis or rediss, perhaps with +sentinel or +cluster", ErrURL, u.Scheme)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("%w: %q has no host, want %s://HOST:PORT", ErrURL, u.Redacted(), u.Scheme)
	}
	no := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	never := func(retries *int) {
		if !u.Query().Has("max_retries") {
			*retries = -1
		}
	}
	switch form {
	case "sentinel":
		o, err := redis.ParseFailoverURL(plain.String())
		if err == nil && o.MasterName == "" {
			err = errors.New("master_name is missing")
		}
		if err != nil {
			return nil, urlError(u, err)
		}
		never(&o.MaxRetries)
		o.ContextTimeoutEnabled, o.OnConnect = true, onConnect
		return redis.NewFailoverClient(o), nil
	case "cluster":
		o, err := redis.ParseClusterURL(plain.String())
		if err != nil {
			return nil, urlError(u, err)
		}
		never(&o.MaxRetries)
		o.ContextTimeoutEnabled, o.OnConnect, o.MaintNotificationsConfig = true, onConnect, no
		return redis.NewClusterClient(o), nil
	}
	o, err := redis.ParseURL(plain.String())
	if err != nil {
		return nil, urlError(u, err)
	}
	never(&o.MaxRetries)
	o.ContextTimeoutEnabled, o.OnConnect, o.MaintNotificationsConfig = true, onConnect, no
	return redis.NewClient(o), nil
}

// urlError says what is wrong with u, without its password.
func urlError(u *url.URL, err error) error {
	return fmt.Errorf("%w: %q: %s", ErrURL, u.Redacted(), strings.TrimPrefix(err.Error(), "redis: "))
}
