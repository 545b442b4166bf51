package main

import (
	"fmt"
	"log/slog"
	"time"

	"millrace/channels"
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

// signedNames returns what finds the channel of a signed name, nil if there is no
// key for it.
func (c *serveCommand) signedNames() (func(name []byte) (string, error), error) {
	if c.TurboKey == "" && c.TurboSecretKeyBase == "" {
		return nil, nil
	}
	if c.TurboKey != "" && c.TurboSecretKeyBase != "" {
		return nil, fmt.Errorf("%w: --turbo-key and --turbo-secret-key-base are both set: want the key, or that from which Rails derives it", errUsage)
	}
	verifier := turbo.NewVerifier(c.TurboKey)
	if c.TurboSecretKeyBase != "" {
		var err error
		if verifier, err = turbo.NewDerivedVerifier(c.TurboSecretKeyBase); err != nil {
			return nil, fmt.Errorf("%w: --turbo-secret-key-base: %w", errUsage, err)
		}
	}
	return func(name []byte) (string, error) { return verifier.Verify(name, time.Now()) }, nil
}
