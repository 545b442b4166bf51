package node

import (
	"fmt"
	"sync/atomic"

	"millrace/internal/auth"
	"millrace/internal/dialect"
	"millrace/internal/turbo"
)

// access is what decides which streams may be opened. Its keys can be renewed while it
// decides. The zero value has no keys.
type access struct {
	verifier atomic.Pointer[turbo.Verifier] // of signed names; nil without a key for them
}

// set has the public port ask a, if there are keys: without any, everything is open.
func (a *access) set(o *Options) error {
	if err := a.renew(o); err != nil {
		return err
	}
	if a.verifier.Load() != nil {
		o.Public.Dialects = []dialect.Dialect{dialect.Turbo{}}
		o.Public.Authorizer = auth.Turbo{Verifier: a.verifier.Load}
	}
	return nil
}

// renew takes over the keys of o, or with an error none of them.
func (a *access) renew(o *Options) error {
	verifier, err := o.verifier()
	if err == nil && verifier != nil {
		a.verifier.Store(verifier)
	}
	return err
}

// verifier returns what tells which names the application has signed, nil if there is no
// key for it.
func (o *Options) verifier() (*turbo.Verifier, error) {
	switch {
	case o.TurboKey != "" && o.TurboSecretKeyBase != "":
		return nil, fmt.Errorf("%w: --turbo-key and --turbo-secret-key-base are both set: want the key, or that from which Rails derives it", ErrOptions)
	case o.TurboKey != "":
		return turbo.NewVerifier(o.TurboKey), nil
	case o.TurboSecretKeyBase != "":
		verifier, err := turbo.NewDerivedVerifier(o.TurboSecretKeyBase)
		if err != nil {
			return nil, fmt.Errorf("%w: --turbo-secret-key-base: %w", ErrOptions, err)
		}
		return verifier, nil
	}
	return nil, nil
}
