package main

import (
	"fmt"

	"millrace/internal/node"
	"millrace/internal/turbo"
)

// railsFlags are about applications in Rails.
type railsFlags struct {
	Decode                 []string   `placeholder:"PATTERN=FORM" help:"Form of the payloads on channels that fit a pattern: raw text, json-string, turbo for a JSON string of HTML with a <turbo-stream>, base64 for any bytes that streams get as base64, or none for any bytes and no streams; repeatable, the first that fits counts. [raw]"`
	TurboKey               secret     `placeholder:"TEXT" help:"Key of the signed stream names that /turbo?signed_stream_name= takes (config.turbo.signed_stream_verifier_key). Other users can read a command line: set the variable. [none]"`
	TurboKeyFile           secretFile `placeholder:"FILE" help:"File with the key; read again on SIGHUP. [none]"`
	TurboSecretKeyBase     secret     `placeholder:"TEXT" help:"The secret_key_base from which Rails derives that key. Other users can read a command line: set the variable. [none]"`
	TurboSecretKeyBaseFile secretFile `placeholder:"FILE" help:"File with the secret_key_base; read again on SIGHUP. [none]"`
}

func (f *railsFlags) set(o *node.Options) (err error) {
	o.TurboKey, o.TurboSecretKeyBase = string(f.TurboKey), string(f.TurboSecretKeyBase)
	if o.Forms, err = turbo.ParseForms(f.Decode); err != nil {
		return fmt.Errorf("%w: --decode: %w", errUsage, err)
	}
	return nil
}
