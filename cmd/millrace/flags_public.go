package main

import (
	"fmt"
	"net/netip"
	"strings"

	"millrace/internal/certs"
	"millrace/internal/node"
	"millrace/internal/pattern"
)

// publicFlags are about the public port and whom it serves.
type publicFlags struct {
	Listen         address  `placeholder:"HOST:PORT" help:"Address for event streams in the clear; port 0 picks a free one. [${listen}, or none with --tls-listen]"`
	TLSListen      address  `name:"tls-listen" placeholder:"HOST:PORT" help:"Address for event streams with TLS 1.3; port 0 picks a free one. [none]"`
	TLSCert        []string `name:"tls-cert" placeholder:"FILE" help:"Certificate for --tls-listen, --admin-tls and --ops-tls, as PEM with those that it was signed by; repeatable. The name that a client asks for selects one, else the first is used. Read again when the file changes, and on SIGHUP. [none]"`
	TLSKey         []string `name:"tls-key" placeholder:"FILE" help:"Private key of the certificate at the same place, as PEM; repeatable. [none]"`
	TLSTicketKeys  string   `name:"tls-ticket-keys" placeholder:"FILE" help:"File of keys for session tickets, which nodes behind one name share so that clients resume at any of them: 32 bytes a line, as hexadecimal digits or in base64. The first seals, all open. Read again when the file changes, and on SIGHUP. [each node makes its own]"`
	TLSHandshakes  int      `name:"tls-handshakes" default:"4096" min:"1" max:"1000000" placeholder:"N" help:"TLS handshakes that may be under way; then the one that has waited longest for its client goes. [${default}]"`
	Alias          []string `placeholder:"PATH=CHANNEL" help:"Channel that a path stands for; repeatable. [none: a path is its channel]"`
	ProxyProtocol  bool     `help:"Every connection begins with a PROXY header, version 1 or 2, which names the client. [off]"`
	TrustedProxies []string `placeholder:"NETWORK" help:"Proxies that may say of clients by --proxy-protocol who they are or, without it, to --auth-url by X-Forwarded-Proto, -Host and -For, such as 10.0.0.0/8 or 192.0.2.1; repeatable. [none]"`
	Host           []string `placeholder:"NAME" help:"Host name that requests may be addressed to, such as events.example.org or *.example.org; repeatable. Others get 421, except for /healthz. [any name]"`
	Channel        []string `placeholder:"PATTERN" help:"Channels that clients may open: a name, a beginning with * after it, or {name} for one segment, as in /rooms/{id}; repeatable. [all]"`
	Gzip           []string `placeholder:"PATTERN" help:"Channels whose messages are compressed for clients that accept gzip, once for all of them, as patterns of --channel; repeatable. Not for channels on which a secret stands beside what others may publish. [none]"`
	AllowOrigin    []string `placeholder:"ORIGIN" help:"Origin whose pages may read streams, such as https://example.org, https://*.example.org for all subdomains, or * for all; repeatable. [none]"`
}

func (f *publicFlags) set(o *node.Options) (err error) {
	p := &o.Public
	p.Listen, p.TLSListen, p.TLSHandshakes = string(f.Listen), string(f.TLSListen), f.TLSHandshakes
	if f.Listen == "" && f.TLSListen == "" {
		p.Listen = defaultListen
	}
	o.TicketKeys = f.TLSTicketKeys
	if o.Certificates, err = pairs(f.TLSCert, f.TLSKey); err != nil {
		return err
	}
	p.ProxyProtocol = f.ProxyProtocol
	p.Hosts = f.Host
	p.AllowOrigins = f.AllowOrigin
	if p.Aliases, err = f.aliases(); err != nil {
		return err
	}
	if p.TrustedProxies, err = f.trustedProxies(); err != nil {
		return err
	}
	if p.Channels, err = pattern.ParseList(f.Channel); err != nil {
		return fmt.Errorf("%w: --channel: %w", errUsage, err)
	}
	if p.Gzip, err = pattern.ParseList(f.Gzip); err != nil {
		return fmt.Errorf("%w: --gzip: %w", errUsage, err)
	}
	if f.ProxyProtocol && len(f.TrustedProxies) == 0 {
		return fmt.Errorf("%w: --proxy-protocol takes --trusted-proxies: the proxies that may name clients", errUsage)
	}
	return nil
}

// defaultListen is the address for event streams if none is asked for.
const defaultListen = ":8080"

// pairs returns certificates with their keys.
func pairs(certificates, keys []string) (files []certs.Files, err error) {
	if len(certificates) != len(keys) {
		return nil, fmt.Errorf("%w: --tls-cert and --tls-key: %d certificates and %d keys, want a key for each certificate, in the same order", errUsage, len(certificates), len(keys))
	}
	for i := range certificates {
		files = append(files, certs.Files{Cert: certificates[i], Key: keys[i]})
	}
	return files, nil
}

// aliases returns the channel that each path of --alias stands for.
func (f *publicFlags) aliases() (map[string]string, error) {
	channelOf := make(map[string]string, len(f.Alias))
	for _, alias := range f.Alias {
		path, channel, ok := strings.Cut(alias, "=")
		if !ok {
			return nil, fmt.Errorf("%w: --alias: %q, want PATH=CHANNEL", errUsage, alias)
		}
		if other, twice := channelOf[path]; twice && other != channel {
			return nil, fmt.Errorf("%w: --alias: the path %q stands for %q and for %q, want one channel", errUsage, path, other, channel)
		}
		channelOf[path] = channel
	}
	return channelOf, nil
}

// trustedProxies returns the networks of --trusted-proxies. An address is a
// network of one.
func (f *publicFlags) trustedProxies() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range f.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			network, err = netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: --trusted-proxies: %q, want a network such as 10.0.0.0/8 or an address", errUsage, text)
		}
		networks = append(networks, network)
	}
	return networks, nil
}
