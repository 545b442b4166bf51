package main

import (
	"fmt"

	"millrace/internal/node"
)

// adminPortFlags are about the port for publishers.
type adminPortFlags struct {
	Admin               portAddress `default:"127.0.0.1:7379" placeholder:"HOST:PORT" help:"Address for publishers, in the Redis protocol; off for none. [${default}]"`
	AdminTLS            bool        `name:"admin-tls" help:"The admin port takes TLS 1.3 only, with the certificates of --tls-cert. [off]"`
	AdminPassword       secret      `placeholder:"TEXT" help:"Password of publishers, required unless the address is a loopback one. Other users can read a command line: set the variable. [none]"`
	AdminPasswordFile   secretFile  `placeholder:"FILE" help:"File with the password; read again on SIGHUP. [none]"`
	MaxAdminConnections int         `default:"256" min:"1" max:"65536" placeholder:"N" help:"Connections of the admin port; a quarter of them may be without the password yet. [${default}]"`
}

func (f *adminPortFlags) set(o *node.Options) error {
	if f.Admin == node.Off && f.AdminPassword != "" {
		return fmt.Errorf("%w: --admin-password is set while --admin is %q: want an address, or no password", errUsage, node.Off)
	}
	if f.Admin == node.Off && f.AdminTLS {
		return fmt.Errorf("%w: --admin-tls is set while --admin is %q: want an address, or no TLS", errUsage, node.Off)
	}
	o.Admin = node.AdminPort{Listen: string(f.Admin), Password: string(f.AdminPassword), TLS: f.AdminTLS, MaxConnections: f.MaxAdminConnections}
	return nil
}

// opsPortFlags are about the port for health, metrics and the dashboard.
type opsPortFlags struct {
	Ops          portAddress `default:"127.0.0.1:8081" placeholder:"HOST:PORT" help:"Address for health, metrics, the dashboard and publishing by HTTP; off for none. [${default}]"`
	OpsTLS       bool        `name:"ops-tls" help:"The ops port takes TLS 1.3 only, with the certificates of --tls-cert. [off]"`
	OpsToken     secret      `placeholder:"TEXT" help:"Token that requests must bear, required unless the address is a loopback one. Other users can read a command line: set the variable. [none]"`
	OpsTokenFile secretFile  `placeholder:"FILE" help:"File with the token; read again on SIGHUP. [none]"`
}

func (f *opsPortFlags) set(o *node.Options) error {
	if f.Ops == node.Off && f.OpsToken != "" {
		return fmt.Errorf("%w: --ops-token is set while --ops is %q: want an address, or no token", errUsage, node.Off)
	}
	if f.Ops == node.Off && f.OpsTLS {
		return fmt.Errorf("%w: --ops-tls is set while --ops is %q: want an address, or no TLS", errUsage, node.Off)
	}
	o.Ops = node.OpsPort{Listen: string(f.Ops), Token: string(f.OpsToken), TLS: f.OpsTLS}
	return nil
}
