package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"millrace/internal/auth/signature"
)

// signCommand signs an address.
type signCommand struct {
	SignKey     []secret      `sep:"none" placeholder:"TEXT" help:"Key that signs, as for serve. [none]"`
	SignKeyFile []secretFile  `placeholder:"FILE" help:"File with the key, as for serve. [none]"`
	For         time.Duration `env:"-" default:"1h" min:"1s" max:"87600h" placeholder:"TIME" help:"Time from now until the address counts no more. [${default}]"`
	Base        string        `name:"url" env:"-" default:"/events" placeholder:"URL" help:"What stands before the query, such as https://events.example.org/events. [${default}]"`

	Channel []string `arg:"" help:"Channels that the address grants, all together."`
}

// Run prints the address.
func (c *signCommand) Run(w warnings) error {
	w.print(os.Stderr)
	return c.sign(os.Stdout, time.Now())
}

// sign is Run with a place for the address, and the time.
func (c *signCommand) sign(to io.Writer, now time.Time) error {
	keys := accessFlags{SignKey: c.SignKey, SignKeyFile: c.SignKeyFile}
	if err := keys.resolveKeys(); err != nil {
		return err
	}
	if len(keys.SignKey) == 0 {
		return fmt.Errorf("%w: no key, want --sign-key or --sign-key-file, as the server has", errUsage)
	}
	query, err := signature.Sign(string(keys.SignKey[0]), now.Add(c.For), c.Channel)
	if errors.Is(err, signature.ErrSign) {
		err = fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	separator := "?"
	if strings.Contains(c.Base, "?") {
		separator = "&"
	}
	_, err = fmt.Fprintln(to, c.Base+separator+query)
	return err
}
