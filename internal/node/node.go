// Package node is a whole server within a process: the ports, the broker between them and
// the backplane, wired as cmd/millrace runs them.
//
// [Start] takes [Options] and returns a running [Node]. It ends by Close, or in order by
// Drain and then Close.
package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/admin"
	"millrace/internal/auth/ticket"
	"millrace/internal/backplane/link"
	"millrace/internal/control"
	"millrace/internal/handover"
	"millrace/internal/ops"
	"millrace/internal/ports"
	"millrace/server"
)

// Node is a running server. Its methods are safe for concurrent use.
type Node struct {
	opts      Options
	broker    *channels.Broker
	backplane Backplane // nil for a node on its own
	public    *server.Server
	admin     *admin.Server // nil when it is off
	ops       *ops.Server   // nil when it is off
	access    access
	control   *control.Control
	tls       tlsFiles
	unwatch   func() // ends looking for files of TLS that have changed
	upgrades  upgrades
	beside    beside // of a successor
	stopping  atomic.Bool
	running   sync.WaitGroup // the ports beside the public one
}

// Start opens the ports of a node and sets it to work. It opens none if the options are
// wrong, which is an ErrOptions.
func Start(o Options) (*Node, error) {
	n, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		n.Close()
		return nil, err
	}
	n.begin()
	return n, nil
}

// prepare returns a node that has opened and begun nothing yet, or an ErrOptions.
func prepare(o Options) (*Node, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LogDropped == nil {
		o.LogDropped = func() int64 { return 0 }
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	n := new(Node)
	if err := n.access.open(&o); err != nil {
		n.access.close()
		return nil, err
	}
	var err error
	if n.backplane, err = OpenBackplane(&o); err != nil {
		n.access.close()
		return nil, err
	}
	if n.tls, err = o.setTLS(); err != nil {
		n.Close()
		return nil, err
	}
	o.setDecoding()
	n.opts, n.broker = o, channels.NewBroker(o.Broker)
	return n, nil
}

// open opens the ports.
func (n *Node) open() error {
	if err := n.openPublic(); err != nil {
		return err
	}
	if err := n.tls.begin(n.public.TLSAddr()); err != nil {
		return err
	}
	return n.openPorts(nil)
}

// openPublic opens the public port.
func (n *Node) openPublic() (err error) {
	o := &n.opts
	o.Public.Logger = o.Logger
	if n.public, err = server.New(o.Public, n.broker); err != nil {
		return PortError(err, o.flagOf(err))
	}
	n.control = control.Start(control.Config{
		Broker: n.broker, Streams: n.public, Kicks: &n.access.kicks, Tickets: n.access.tickets, Logger: o.Logger,
		Successor: o.Broker.Successor,
	})
	return nil
}

// openPorts opens the other ports: those that are inherited, and listeners of its own else.
func (n *Node) openPorts(inherited map[handover.Port]net.Listener) (err error) {
	o, places := &n.opts, n.opts.portPlaces()
	if !isOff(o.Admin.Listen) {
		if ln := inherited[handover.PortAdmin]; ln != nil {
			n.admin, err = admin.New(ln, n.adminConfig(places))
		} else {
			n.admin, err = admin.Listen(o.Admin.Listen, n.adminConfig(places))
		}
		if err != nil {
			return PortError(err, "--admin")
		}
	}
	if !isOff(o.Ops.Listen) {
		if ln := inherited[handover.PortOps]; ln != nil {
			n.ops, err = ops.New(ln, n.opsConfig(places))
		} else {
			n.ops, err = ops.Listen(o.Ops.Listen, n.opsConfig(places))
		}
		if err != nil {
			return PortError(err, "--ops")
		}
	}
	return nil
}

func (n *Node) adminConfig(p places) admin.Config {
	o := &n.opts
	cfg := admin.Config{
		Broker:        n.broker.Ports(),
		Streams:       n.public,
		Control:       n.control,
		Password:      o.Admin.Password,
		TLS:           n.tls.admin,
		MaxEventBytes: o.Broker.MaxEventBytes,
		MaxClients:    p.admin,
		Version:       o.Version,
		Engine:        n.engine(),
		Upgrades:      n.upgrades.get,
		LogDropped:    o.LogDropped,
		Logger:        o.Logger,
	}
	if !isOff(o.Ops.Listen) {
		cfg.Ops = func() ports.OpsStats { return n.ops.Stats() } // it is opened next
	}
	return cfg
}

func (n *Node) opsConfig(p places) ops.Config {
	o := &n.opts
	cfg := ops.Config{
		Broker:         n.broker,
		Streams:        n.public,
		Control:        n.control,
		Tickets:        n.access.tickets,
		Application:    n.access.application,
		Tokens:         n.access.tokens,
		Token:          o.Ops.Token,
		MaxEventBytes:  o.Broker.MaxEventBytes,
		MaxConnections: p.ops,
		Version:        o.Version,
		Engine:         n.engine(),
		Upgrades:       n.upgrades.get,
		LogDropped:     o.LogDropped,
		Ready:          n.Ready,
		Certificates:   n.tls.certificates,
		TLS:            n.tls.ops,
		TicketKeys:     n.tls.ticketKeys,
		Issued:         n.tls.issued,
		Logger:         o.Logger,
	}
	if n.admin != nil {
		cfg.Admin = n.admin.Stats
	}
	return cfg
}

// engine returns a function that tells the state of the engine, nil if there is none.
func (n *Node) engine() func() link.State {
	if n.backplane == nil {
		return nil
	}
	return n.backplane.State
}

// begin sets all to work.
func (n *Node) begin() {
	if n.backplane != nil {
		n.backplane.Start(n.broker.Feed())
	}
	n.public.Start()
	n.watchTLS()
	n.servePorts()
}

// watchTLS has files of TLS that change read again.
func (n *Node) watchTLS() {
	if n.tls.certificates != nil {
		ctx, cancel := context.WithCancel(context.Background())
		n.unwatch = cancel
		n.running.Go(func() { n.tls.watch(ctx) })
	}
}

// servePorts has the ports beside the public one serve. Streams go on without them.
func (n *Node) servePorts() {
	serve := func(port func() error) {
		if err := port(); err != nil {
			n.opts.Logger.Error("a port cannot go on, streams are not affected", "error", err)
		}
	}
	if n.admin != nil {
		n.running.Go(func() { serve(n.admin.Serve) })
	}
	if n.ops != nil {
		n.running.Go(func() { serve(n.ops.Serve) })
	}
}

// Ready tells why the node should get no new clients, nil if it should. Until the engine
// has been reached for the first time it should not: the node would replace others that
// work. Later an engine that is away is away for all nodes, and taking all of them out
// would not help.
func (n *Node) Ready() error {
	switch {
	case n.stopping.Load():
		return errors.New("millrace is stopping")
	case n.backplane != nil && !n.backplane.EverUp():
		return n.broker.Health()
	}
	return nil
}

// Failed returns a channel that receives an error for every loop that has stopped.
func (n *Node) Failed() <-chan error { return n.public.Failed() }

// Renew has the node go on with the secrets of o: passwords, tokens, and the keys
// of grants. Certificates and keys of session tickets are read again, too. All else of o is
// for the next start. With an error, an ErrOptions, all stays as it is.
func (n *Node) Renew(o Options) error {
	o.Logger = n.opts.Logger
	if err := n.access.renew(&o); err != nil {
		return err
	}
	if n.admin != nil {
		n.admin.SetPassword(o.Admin.Password)
	}
	if n.ops != nil {
		n.ops.SetToken(o.Ops.Token)
	}
	n.tls.reload()
	return nil
}

// Drain has Ready say no, and closes the streams after Options.DrainDelay, over the time
// of Options.Public.Drain. Publishers may go on meanwhile. Call it once.
func (n *Node) Drain() {
	n.stopping.Store(true)
	if delay := n.opts.DrainDelay; delay > 0 {
		n.opts.Logger.Info("balancers have time to notice, everything goes on meanwhile", "drain_delay", delay.String())
		time.Sleep(delay)
	}
	n.public.Drain()
}

// Close closes the ports at once, and returns when all is quiet. Call it once.
func (n *Node) Close() {
	n.stopping.Store(true)
	if n.ops != nil {
		n.ops.Close()
	}
	if n.admin != nil {
		n.admin.Close()
	}
	if n.unwatch != nil {
		n.unwatch()
	}
	n.running.Wait()
	n.tls.close()
	if n.control != nil {
		n.control.Close()
	}
	if n.public != nil {
		n.public.Close()
	}
	if n.backplane != nil {
		n.backplane.Close()
	}
	n.access.close()
}

// Broker returns the broker of the node.
func (n *Node) Broker() *channels.Broker { return n.broker }

// Streams returns the public port.
func (n *Node) Streams() *server.Server { return n.public }

// Tickets returns the figures of tickets; none are issued where everybody may listen.
func (n *Node) Tickets() (s ticket.Stats) {
	if n.access.tickets != nil {
		s = n.access.tickets.Stats()
	}
	return s
}

// Access says in a line who may listen.
func (n *Node) Access() string {
	if n.access.verifier.Load() != nil && n.opts.Access.IsOpen() {
		return "anybody may listen to channels that begin with /, others take a signed name"
	}
	return n.opts.Access.String()
}

// PublicAddr returns the address of the public port in the clear, or Off.
func (n *Node) PublicAddr() string { return orOff(n.public.Addr()) }

// TLSAddr returns the address of the public port with TLS, or Off.
func (n *Node) TLSAddr() string { return orOff(n.public.TLSAddr()) }

func orOff(addr net.Addr) string {
	if addr == nil {
		return Off
	}
	return addr.String()
}

// AdminAddr returns the address of the admin port, or Off.
func (n *Node) AdminAddr() string {
	if n.admin == nil {
		return Off
	}
	return n.admin.Addr().String()
}

// OpsAddr returns the address of the ops port, or Off.
func (n *Node) OpsAddr() string {
	if n.ops == nil {
		return Off
	}
	return n.ops.Addr().String()
}
