package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"millrace/internal/demo"
	"millrace/internal/node"
)

// demoCommand is a server with an example page on its public port.
type demoCommand struct{ serveCommand }

// front is a server before the public port.
type front interface {
	Addr() net.Addr
	Close() error
}

// Run serves until ctx is done or the server fails. The page and its application
// take the public port, and pass on to the event streams as a proxy does.
func (c *demoCommand) Run(ctx context.Context, w warnings) error {
	if c.Control != "" {
		return fmt.Errorf("%w: --control: %q, but a demo cannot be upgraded", errUsage, c.Control)
	}
	public := cmp.Or(string(c.Listen), demoListen)
	c.Listen = "127.0.0.1:0"
	c.Drain = min(c.Drain, time.Second) // no other server needs time
	return c.serve(ctx, os.Stderr, w, func(n *node.Node, log *slog.Logger) (front, error) { return openDemo(public, n, log) })
}

// demoListen is the address of the demo if none is asked for.
const demoListen = "127.0.0.1:8080"

// openDemo opens the demo at an address.
func openDemo(public string, n *node.Node, log *slog.Logger) (front, error) {
	d, err := demo.Listen(public, demo.Config{
		Broker:  n.Broker(),
		Streams: n.PublicAddr(),
		Admin:   n.AdminAddr(),
		Ops:     n.OpsAddr(),
		Logger:  log,
	})
	if err != nil {
		return nil, err
	}
	go func() {
		if err := d.Serve(); err != nil {
			log.Error("the demo cannot go on", "error", err)
		}
	}()
	log.Info("open this in a browser", "demo", demoURL(d.Addr().(*net.TCPAddr)))
	return d, nil
}

// demoURL is where a browser of this host finds the demo.
func demoURL(addr *net.TCPAddr) string {
	host := addr.IP.String()
	if addr.IP.IsUnspecified() || addr.IP.IsLoopback() && addr.IP.To4() != nil {
		host = "localhost"
	}
	return fmt.Sprintf("http://%s/", net.JoinHostPort(host, strconv.Itoa(addr.Port)))
}
