package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"millrace/internal/demo"
)

// demoCommand is a server with an example page on its public port.
type demoCommand struct{ serveCommand }

// Run serves until ctx is done or the server fails. The page and its application
// take the public port, and the event streams stand behind them as behind a proxy.
func (c *demoCommand) Run(ctx context.Context) error {
	public := c.Listen
	c.Listen = "127.0.0.1:0"
	c.Drain = min(c.Drain, time.Second) // nobody else needs time
	return c.serve(ctx, os.Stderr, func(n *node, log *slog.Logger) (frontPort, error) {
		front, err := demo.Listen(public, demo.Config{
			Broker:  n.broker,
			Streams: n.public.Addr().String(),
			Admin:   n.adminAddr(),
			Ops:     n.opsAddr(),
			Logger:  log,
		})
		if err != nil {
			return nil, err
		}
		log.Info("open this in a browser", "demo", fmt.Sprintf("http://localhost:%d/", front.Addr().(*net.TCPAddr).Port))
		return front, nil
	})
}
