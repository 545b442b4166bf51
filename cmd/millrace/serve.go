package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"millrace/internal/doctor"
	"millrace/internal/handover"
	"millrace/internal/logs"
	"millrace/internal/node"
	"millrace/server"
)

// logPatience is how long the reader of the log may take for its last lines.
const logPatience = time.Second

// serveCommand is the server.
type serveCommand struct{ serverFlags }

// Run serves until ctx is done, the server fails, or a successor has everything.
func (c *serveCommand) Run(ctx context.Context, w warnings) error {
	return c.serve(ctx, os.Stderr, w, nil)
}

// serve is Run with a place for the log and, unless it is nil, open, which opens a server
// before the public port.
func (c *serveCommand) serve(ctx context.Context, stderr io.Writer, w warnings, open func(*node.Node, *slog.Logger) (front, error)) error {
	began := time.Now()
	// The log's reader may go before us. That is no reason to end.
	signal.Ignore(syscall.SIGPIPE)
	queue := logs.Open(stderr, c.handler)
	defer queue.Close(logPatience)
	log := queue.Logger()
	slog.SetDefault(log) // for libraries
	for _, warning := range w {
		log.Warn(warning)
	}
	hangups := onHangup()
	defer hangups.stop()
	current, err := c.resolved()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	u := newUpgrader(log, hangups)
	n, bye, err := c.begin(ctx, current, queue, u)
	if err != nil {
		return err
	}
	public, closeFront := n.PublicAddr(), func() error { return nil }
	if open != nil {
		port, err := open(n, log)
		if err != nil {
			n.Close()
			return node.PortError(err, "--listen")
		}
		public, closeFront = port.Addr().String(), port.Close
	}
	hangups.begin(func() { current = c.reload(n, current, log) })
	c.logStart(log, n, public)
	forgetStartup()
	if n.TLSAddr() != node.Off {
		quit := make(chan struct{})
		defer close(quit)
		go boundGarbage(func() int64 { return n.Streams().Stats().Streams }, quit)
	}
	u.systemd.ready(n.Streams().Probe)
	c.askedBefore(bye, hangups, stop)
	u.open()

	select {
	case <-ctx.Done():
	case err = <-n.Failed():
		stop(err)
	case <-u.ended:
	}
	if !u.close() {
		c.end(context.Cause(ctx), err, n, u, log)
	}
	closeFront()
	n.Close()
	u.closeSocket()
	stats := n.Streams().Stats()
	log.Info("millrace has stopped", "uptime", time.Since(began).Round(time.Millisecond).String(),
		"accepted", stats.Accepted, "deliveries", stats.Deliveries, "writes", stats.Writes,
		"bytes", stats.Bytes, "keepalives", stats.Pings)
	if err != nil || u.lost {
		return errReported
	}
	return nil
}

// begin starts a node, or takes over from another process, with what was asked of that. u
// gets orders from the control socket.
func (c *serveCommand) begin(ctx context.Context, current *serverFlags, queue *logs.Queue, u *upgrader) (*node.Node, handover.Bye, error) {
	path, predecessor := controlPath(c.Control), 0
	if c.Takeover {
		predecessor = pidOf(predecessorFD)
	}
	if err := checkControl(path, predecessor); err != nil {
		return nil, handover.Bye{}, err
	}
	if c.Takeover {
		return current.takeOver(queue, func(n *node.Node) {
			if err := u.listen(ctx, n, path); err != nil {
				queue.Logger().Error("there is no control socket: the next upgrade takes a restart", "path", path, "error", err)
			}
		})
	}
	n, err := current.start(queue)
	if err != nil {
		return nil, handover.Bye{}, err
	}
	if err := u.listen(ctx, n, path); err != nil {
		n.Close()
		return nil, handover.Bye{}, fmt.Errorf("--control: %s: %w", path, err)
	}
	return n, handover.Bye{}, nil
}

// askedBefore does what was asked of the process before this one.
func (c *serveCommand) askedBefore(bye handover.Bye, hangups *reloader, stop context.CancelCauseFunc) {
	if bye.Reload {
		hangups.again()
	}
	if bye.Stop {
		stop(errors.New("its predecessor was told to end"))
	}
}

// end tells everybody that the process ends, and drains n unless it has failed.
func (c *serveCommand) end(why, failed error, n *node.Node, u *upgrader, log *slog.Logger) {
	if failed == nil {
		log.Info("millrace is stopping, a second signal ends it at once", "why", why.Error())
	}
	u.systemd.stopping(c.stopTime())
	if failed != nil {
		log.Error("millrace has failed and is stopping", "error", failed)
		return
	}
	n.Drain()
}

// start starts a node whose flags are as resolved returns them.
func (f *serverFlags) start(queue *logs.Queue) (*node.Node, error) {
	options, err := f.nodeOptions(queue)
	if err != nil {
		return nil, err
	}
	return node.Start(options)
}

// nodeOptions returns the options of a node that logs to queue. The flags are as resolved
// returns them.
func (f *serverFlags) nodeOptions(queue *logs.Queue) (node.Options, error) {
	options, err := f.options()
	options.Logger, options.LogDropped = queue.Logger(), queue.Dropped
	return options, err
}

// logStart says where the server can be reached and what it may hold.
func (c *serveCommand) logStart(log *slog.Logger, n *node.Node, publicAddr string) {
	public := n.Streams()
	log.Info("millrace is ready", "public", publicAddr, "admin", n.AdminAddr(), "ops", n.OpsAddr(), "tls", n.TLSAddr(), "access", n.Access(),
		"loops", public.Loops(), "descriptor_limit", public.DescriptorLimit(), "fd_tables", string(public.FDTables()),
		"max_connections", public.MaxConnections(), "max_channels", public.MaxChannels(), "keepalive", c.Keepalive.String(), "history", c.History,
		"version", version())
	c.logVerdict(log, public)
}

// logVerdict says how many streams this host holds, as `millrace doctor` does, and warns if
// that is less than --max-connections.
func (c *serveCommand) logVerdict(log *slog.Logger, public *server.Server) {
	tables, room, most := public.FDTables(), public.Room(), public.MaxConnections()
	r := doctor.Examine(doctor.Local(), doctor.Plan{Target: c.MaxConnections, PerLoop: tables == server.FDTablesPerLoop})
	switch {
	case !r.Enough:
		log.Warn(r.Verdict(), "max_connections", most, "remedy", fmt.Sprintf("see millrace doctor --for %d --fd-tables %s", most, tables))
	case room < most:
		log.Warn("the loops' descriptor tables have no room for --max-connections: accepting will pause before",
			"max_connections", most, "room", room, "loops", public.Loops(), "remedy", "--loops 0, for as many as it takes")
	default:
		log.Info(r.Verdict())
	}
}
