package main

import (
	"fmt"

	"millrace/internal/acme"
	"millrace/internal/node"
)

// acmeFlags are about certificates that an authority issues.
type acmeFlags struct {
	ACMEDomain    []string `name:"acme-domain" placeholder:"NAME" help:"Host name for which --tls-listen gets a certificate from an authority by ACME, and renews it, such as events.example.org; repeatable, a certificate each. It has to lead to this port as port 443. By setting it you agree to the authority's terms. [none]"`
	ACMEEmail     string   `name:"acme-email" placeholder:"ADDRESS" help:"Address by which the authority may reach you. [none]"`
	ACMEDirectory string   `name:"acme-directory" default:"https://acme-v02.api.letsencrypt.org/directory" placeholder:"URL" help:"Directory of the authority, unless it is Let's Encrypt. [${default}]"`
	ACMEStorage   string   `name:"acme-storage" placeholder:"DIR" help:"Directory for certificates, their keys and the account, which nodes may share. [acme in systemd's STATE_DIRECTORY, else ~/.local/state/millrace/acme]"`
}

func (f *acmeFlags) set(o *node.Options) error {
	if len(f.ACMEDomain) == 0 {
		switch {
		case f.ACMEEmail != "":
			return fmt.Errorf("%w: --acme-email: %q without --acme-domain, the names to get certificates for", errUsage, f.ACMEEmail)
		case f.ACMEStorage != "":
			return fmt.Errorf("%w: --acme-storage: %q without --acme-domain, the names to get certificates for", errUsage, f.ACMEStorage)
		}
		return nil
	}
	o.ACME = acme.Config{Domains: f.ACMEDomain, Email: f.ACMEEmail, Directory: f.ACMEDirectory, Storage: f.ACMEStorage}
	if f.ACMEStorage == "" {
		dir, err := acme.DefaultStorage()
		if err != nil {
			return fmt.Errorf("%w: --acme-storage: %w", errUsage, err)
		}
		o.ACME.Storage = dir
	}
	return nil
}
