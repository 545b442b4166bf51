package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/admin"
	"millrace/internal/logs"
	"millrace/internal/ops"
	"millrace/internal/pattern"
	"millrace/internal/ports"
	"millrace/internal/turbo"
	"millrace/server"
)

// off is the value of --admin and --ops for no such port.
const off = "off"

// node is a whole server: its ports, and the broker between them.
type node struct {
	logs      *logs.Queue
	broker    *channels.Broker
	backplane backplane // nil for a node on its own
	public    *server.Server
	admin     *admin.Server                  // nil when it is off
	ops       *ops.Server                    // nil when it is off
	front     frontPort                      // nil but in a demo
	verifier  atomic.Pointer[turbo.Verifier] // of signed names, if there is a key for them
	stopping  atomic.Bool
}

// frontPort stands before the public port.
type frontPort interface {
	Addr() net.Addr
	Serve() error
	Close() error
}

// open opens the ports of a node. It opens none when something is wrong with
// the flags.
func (c *serveCommand) open(queue *logs.Queue) (*node, error) {
	log := queue.Logger()
	if err := c.checkContradictions(); err != nil {
		return nil, err
	}
	aliases, err := c.aliases()
	if err != nil {
		return nil, err
	}
	allowed, err := pattern.ParseList(c.Channel)
	if err != nil {
		return nil, fmt.Errorf("%w: --channel: %w", errUsage, err)
	}
	trusted, err := c.trustedProxies()
	if err != nil {
		return nil, err
	}
	link, err := c.openBackplane(log)
	if err != nil {
		return nil, err
	}
	n := &node{logs: queue, backplane: link}
	dialects, authorizer, err := c.signedNames(n)
	if err != nil {
		return nil, err
	}
	options := channels.Options{
		Backplane:     link,
		Numbered:      c.engineHistory(),
		History:       c.History,
		HistoryTTL:    c.HistoryTTL,
		MaxKept:       int(c.HistoryBytes),
		MaxEventBytes: int(c.MaxEventBytes),
	}
	if err := c.decoding(&options, log); err != nil {
		return nil, err
	}
	broker := channels.NewBroker(options)
	places := c.portPlaces(log)
	adminConfig := admin.Config{
		Broker:        broker,
		Password:      string(c.AdminPassword),
		MaxEventBytes: int(c.MaxEventBytes),
		MaxClients:    places.admin,
		Version:       version(),
		Logger:        log,
	}
	if c.Admin != off {
		if err := admin.Check(string(c.Admin), adminConfig); err != nil {
			return nil, startError(err, "--admin")
		}
	}
	if c.Ops != off {
		if err := ops.Check(string(c.Ops), string(c.OpsToken)); err != nil {
			return nil, startError(err, "--ops")
		}
	}

	n.broker = broker
	n.public, err = server.New(server.Config{
		Listen:               string(c.Listen),
		Loops:                c.Loops,
		MaxConnections:       c.MaxConnections,
		MaxConnectionsPerIP:  c.MaxConnectionsPerIP,
		MaxChannels:          c.MaxChannels,
		MaxChannelsPerStream: c.MaxChannelsPerStream,
		AcceptRate:           c.AcceptRate,
		AcceptRatePerIP:      c.AcceptRatePerIP,
		ProxyProtocol:        c.ProxyProtocol,
		TrustedProxies:       trusted,
		FDTables:             c.FDTables,
		Keepalive:            c.Keepalive,
		HeaderTimeout:        c.HeaderTimeout,
		SlowTimeout:          c.SlowTimeout,
		Drain:                c.Drain,
		MaxLifetime:          c.MaxLifetime,
		Retry:                c.Retry,
		AllowOrigins:         c.AllowOrigin,
		Hosts:                c.Host,
		Aliases:              aliases,
		Channels:             allowed,
		Dialects:             dialects,
		Authorizer:           authorizer,
		Head:                 httpparse.Limits{MaxBytes: int(c.MaxHeadBytes), MaxHeaders: c.MaxHeaders},
		LogConnections:       c.LogConnections,
		Logger:               log,
	}, broker)
	if err != nil {
		return nil, startError(err, "--listen")
	}
	if c.Admin != off {
		adminConfig.Info, adminConfig.SlowReaders = n.appendInfo, n.appendSlowReaders
		if n.admin, err = admin.Listen(string(c.Admin), adminConfig); err != nil {
			n.close()
			return nil, startError(err, "--admin")
		}
	}
	if c.Ops != off {
		opsConfig := ops.Config{
			Broker:         broker,
			Streams:        n.public,
			Token:          string(c.OpsToken),
			MaxEventBytes:  int(c.MaxEventBytes),
			MaxConnections: places.ops,
			Version:        version(),
			LogDropped:     queue.Dropped,
			Ready:          n.ready,
			Logger:         log,
		}
		if link != nil {
			opsConfig.Engine = link.State
		}
		if n.admin != nil {
			opsConfig.Admin = n.admin.Stats
		}
		n.ops, err = ops.Listen(string(c.Ops), opsConfig)
		if err != nil {
			n.close()
			return nil, startError(err, "--ops")
		}
	}
	return n, nil
}

// start sets the ports to work.
func (n *node) start() {
	if n.backplane != nil {
		n.backplane.Start(n.broker)
	}
	n.public.Start()
	serve := func(port func() error) { // streams go on without it
		if err := port(); err != nil {
			n.logs.Logger().Error("a port cannot go on, streams are not affected", "error", err)
		}
	}
	if n.admin != nil {
		go serve(n.admin.Serve)
	}
	if n.ops != nil {
		go serve(n.ops.Serve)
	}
	if n.front != nil {
		go serve(n.front.Serve)
	}
}

// close closes the ports at once.
func (n *node) close() {
	if n.front != nil {
		n.front.Close()
	}
	if n.ops != nil {
		n.ops.Close()
	}
	if n.admin != nil {
		n.admin.Close()
	}
	n.public.Close()
	if n.backplane != nil {
		n.backplane.Close()
	}
}

// ready tells why the node should get no new clients, nil if it should. Until the engine
// has been reached for the first time it should not: the node would replace others that
// work. Later an engine that is away is away for all nodes, and taking all of them out
// would help nobody. Safe for concurrent use.
func (n *node) ready() error {
	switch {
	case n.stopping.Load():
		return errors.New("millrace is stopping")
	case n.backplane != nil && !n.backplane.EverUp():
		return n.broker.Health()
	}
	return nil
}

// publicAddr is the address at which streams are to be had.
func (n *node) publicAddr() string {
	if n.front != nil {
		return n.front.Addr().String()
	}
	return n.public.Addr().String()
}

// adminAddr is the address of the admin port, or that it is off.
func (n *node) adminAddr() string {
	if n.admin == nil {
		return off
	}
	return n.admin.Addr().String()
}

// opsAddr is the address of the ops port, or that it is off.
func (n *node) opsAddr() string {
	if n.ops == nil {
		return off
	}
	return n.ops.Addr().String()
}

// aliases returns the channel that each path of --alias stands for.
func (c *serveCommand) aliases() (map[string]string, error) {
	channelOf := make(map[string]string, len(c.Alias))
	for _, alias := range c.Alias {
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
func (c *serveCommand) trustedProxies() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range c.TrustedProxies {
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

// checkContradictions reports flags of which each is right, but not together.
func (c *serveCommand) checkContradictions() error {
	if c.Admin == off && c.AdminPassword != "" {
		return fmt.Errorf("%w: --admin-password is set while --admin is %q: want an address, or no password", errUsage, off)
	}
	if c.Ops == off && c.OpsToken != "" {
		return fmt.Errorf("%w: --ops-token is set while --ops is %q: want an address, or no token", errUsage, off)
	}
	if c.HistoryTTL < 0 {
		return fmt.Errorf("%w: --history-ttl: %v, want 0 (for as long as there is room) or more", errUsage, c.HistoryTTL)
	}
	if c.ProxyProtocol != (len(c.TrustedProxies) > 0) {
		return fmt.Errorf("%w: --proxy-protocol and --trusted-proxies go together: the proxies that may name clients, and that they do", errUsage)
	}
	if c.History > 0 && c.HistoryBytes < c.MaxEventBytes {
		return fmt.Errorf("%w: --history-bytes: %v is less than one event may have, want at least the %v of --max-event-bytes",
			errUsage, c.HistoryBytes, c.MaxEventBytes)
	}
	return nil
}

// startError says what to do about err, which opening the address of flag has
// returned.
func startError(err error, flag string) error {
	switch {
	case errors.Is(err, server.ErrConfig):
		return fmt.Errorf("%w: %w", errUsage, err)
	case errors.Is(err, ports.ErrAddress), errors.Is(err, admin.ErrNoPassword), errors.Is(err, ops.ErrNoToken):
		return fmt.Errorf("%w: %s: %w", errUsage, flag, err)
	case server.IsInUse(err):
		return fmt.Errorf("%w: end what has the port, or choose another with %s HOST:PORT", err, flag)
	}
	return err
}

// places are how many connections the ports beside the public one may have.
type places struct{ admin, ops int }

// portPlaces are within what the public port leaves of the descriptors. A quarter of
// that remains for engines, files and the loops' own.
func (c *serveCommand) portPlaces(log *slog.Logger) places {
	limit := server.DescriptorLimit()
	spare := server.Spare(limit)
	p := places{admin: min(c.MaxAdminConnections, spare/2), ops: min(ops.DefaultMaxConnections, spare/4)}
	if p.admin < c.MaxAdminConnections {
		log.Warn("the descriptor limit has no room for --max-admin-connections: the admin port takes fewer",
			"max_admin_connections", c.MaxAdminConnections, "takes", p.admin, "descriptor_limit", limit, "remedy", "raise ulimit -n")
	}
	return p
}
