package main

import (
	"fmt"
	"log/slog"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/dialect"
	"millrace/internal/throttle"
	"millrace/internal/turbo"
)

// decoding has the broker decode what is published by the forms of --decode.
func (c *serveCommand) decoding(opts *channels.Options, log *slog.Logger) error {
	forms, err := turbo.ParseForms(c.Decode)
	if err != nil {
		return fmt.Errorf("%w: --decode: %w", errUsage, err)
	}
	if len(forms) == 0 {
		return nil
	}
	opts.Decode, opts.Payload = forms.Decode, forms.Payload
	log = throttle.Logger(log)
	opts.Undecoded = func(channel string, err error) {
		log.Warn("an event of the backplane is passed on as it is", "channel", channel, "reason", err)
	}
	return nil
}

// signedNames returns how signed names are asked for and decided on: nothing, if there is no
// key for them.
func (c *serveCommand) signedNames(n *node) ([]dialect.Dialect, auth.Authorizer, error) {
	verifier, err := c.verifier()
	if err != nil || verifier == nil {
		return nil, nil, err
	}
	n.verifier.Store(verifier)
	return []dialect.Dialect{dialect.Turbo{}}, auth.Turbo{Verifier: n.verifier.Load}, nil
}

// verifier returns what tells which names the application has signed, nil if there is no
// key for it.
func (c *serveCommand) verifier() (*turbo.Verifier, error) {
	switch {
	case c.TurboKey != "" && c.TurboSecretKeyBase != "":
		return nil, fmt.Errorf("%w: --turbo-key and --turbo-secret-key-base are both set: want the key, or that from which Rails derives it", errUsage)
	case c.TurboKey != "":
		return turbo.NewVerifier(string(c.TurboKey)), nil
	case c.TurboSecretKeyBase != "":
		verifier, err := turbo.NewDerivedVerifier(string(c.TurboSecretKeyBase))
		if err != nil {
			return nil, fmt.Errorf("%w: --turbo-secret-key-base: %w", errUsage, err)
		}
		return verifier, nil
	}
	return nil, nil
}
