package main

import (
	"fmt"

	"millrace/internal/node"
)

// serverFlags are the flags of a server. Each is a field of its group, which is a struct
// in a file of its own: the field's tags are the flag's default, bounds and help, its
// variable follows from its name, and the group's method set hands it to a node.
// docs/configuration.md and --help are made of the tags.
type serverFlags struct {
	publicFlags    `group:"Public port"`
	acmeFlags      `group:"Certificates by ACME"`
	accessFlags    `group:"Who may listen"`
	adminPortFlags `group:"Admin port"`
	opsPortFlags   `group:"Ops port"`
	nodesFlags     `group:"Several nodes"`
	railsFlags     `group:"Rails"`
	streamFlags    `group:"Streams"`
	limitFlags     `group:"Limits"`
	logFlags       `group:"Logging"`
	upgradeFlags   `group:"Upgrades"`
}

// options returns the options of a node. The flags are as resolved returns them.
func (f *serverFlags) options() (o node.Options, err error) {
	for _, set := range []func(*node.Options) error{
		f.publicFlags.set, f.acmeFlags.set, f.accessFlags.set, f.adminPortFlags.set, f.opsPortFlags.set, f.nodesFlags.set,
		f.railsFlags.set, f.streamFlags.set, f.limitFlags.set, f.logFlags.set,
	} {
		if err := set(&o); err != nil {
			return o, err
		}
	}
	if f.History > 0 && f.HistoryBytes < f.MaxEventBytes { // of two groups
		return o, fmt.Errorf("%w: --history-bytes: %v is less than one event may have, want at least the %v of --max-event-bytes",
			errUsage, f.HistoryBytes, f.MaxEventBytes)
	}
	if err := f.checkTLS(); err != nil {
		return o, err
	}
	o.Version = version()
	return o, nil
}

// checkTLS reports what is missing among the flags of TLS, which are of several groups.
func (f *serverFlags) checkTLS() error {
	port := ""
	for _, p := range []struct {
		flag string
		set  bool
	}{{"--admin-tls", f.AdminTLS}, {"--ops-tls", f.OpsTLS}, {"--tls-listen", f.TLSListen != ""}} {
		if p.set {
			port = p.flag
		}
	}
	const ports = "a port that it is for: --tls-listen, --admin-tls or --ops-tls"
	none := len(f.TLSCert) == 0 && len(f.ACMEDomain) == 0
	switch {
	case len(f.ACMEDomain) > 0 && f.TLSListen == "":
		return fmt.Errorf("%w: --acme-domain: %q without --tls-listen, the address at which the authority has it proved", errUsage, f.ACMEDomain[0])
	case none && port != "":
		return fmt.Errorf("%w: %s without a certificate, want --tls-cert and --tls-key, or --acme-domain", errUsage, port)
	case !none && port == "":
		return fmt.Errorf("%w: --tls-cert: %q without %s", errUsage, f.TLSCert[0], ports)
	case f.TLSTicketKeys != "" && port == "":
		return fmt.Errorf("%w: --tls-ticket-keys: %q without %s", errUsage, f.TLSTicketKeys, ports)
	}
	return nil
}

// secretSources are those of all secrets of a server.
func (f *serverFlags) secretSources() []secretSource {
	return []secretSource{
		{flag: "admin-password", value: &f.AdminPassword, file: f.AdminPasswordFile},
		{flag: "ops-token", value: &f.OpsToken, file: f.OpsTokenFile},
		{flag: "backplane", value: &f.Backplane, file: f.BackplaneFile, fixed: true},
		{flag: "sign-key", value: f.signKeys()}, // resolveKeys has read its files
		{flag: "ticket-key", value: &f.TicketKey, file: f.TicketKeyFile},
		{flag: "turbo-key", value: &f.TurboKey, file: f.TurboKeyFile},
		{flag: "turbo-secret-key-base", value: &f.TurboSecretKeyBase, file: f.TurboSecretKeyBaseFile},
	}
}

// resolved returns f with the secrets that are in files. It can be asked again: files
// may have changed.
func (f *serverFlags) resolved() (*serverFlags, error) {
	r := *f
	if err := resolve(r.secretSources()); err != nil {
		return nil, err
	}
	if err := r.resolveKeys(); err != nil {
		return nil, err
	}
	return &r, nil
}
