package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"millrace/internal/demo"
)

// demoCommand is a server with an example page on its public port.
type demoCommand struct{ serveCommand }

// Run serves until ctx is done or the server fails. The page and its application
// take the public port, and the event streams stand behind them as behind a proxy.
func (c *demoCommand) Run(ctx context.Context, w warnings) error {
	public := c.Listen
	c.Listen = "127.0.0.1:0"
	c.Drain = min(c.Drain, time.Second) // nobody else needs time
	return c.serve(ctx, os.Stderr, w, func(n *node, log *slog.Logger) (frontPort, error) {
		front, err := demo.Listen(string(public), demo.Config{
			Broker:  n.broker,
			Streams: n.public.Addr().String(),
			Admin:   n.adminAddr(),
			Ops:     n.opsAddr(),
			Logger:  log,
		})
		if err != nil {
			return nil, err
		}
		log.Info("open this in a browser", "demo", demoURL(front.Addr().(*net.TCPAddr)))
		return front, nil
	})
}

// demoURL is where a browser of this host finds the demo.
func demoURL(addr *net.TCPAddr) string {
	host := addr.IP.String()
	if addr.IP.IsUnspecified() || addr.IP.IsLoopback() && addr.IP.To4() != nil {
		host = "localhost"
	}
	return fmt.Sprintf("http://%s/", net.JoinHostPort(host, strconv.Itoa(addr.Port)))
}
