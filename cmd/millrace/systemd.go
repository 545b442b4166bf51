package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// probesPerLoop is how often /healthz is asked for each loop before a ping of
// the watchdog. The kernel chooses which loop a connection comes to: with four
// tries each, one that hangs is passed over once in fifty rounds.
const probesPerLoop = 4

// tellSystemd tells systemd that the node is ready and then, as often as its
// unit asks, that it is alive, until stopping is called, which tells that too
// (sd_notify(3)). Where systemd is not the parent, it does nothing.
func (n *node) tellSystemd(log *slog.Logger) (stopping func()) {
	tell := func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			log.Warn("systemd cannot be told", "state", state, "error", err)
		}
	}
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog gets no pings", "error", err)
	}
	tell(daemon.SdNotifyReady)
	ctx, cancel := context.WithCancel(context.Background())
	var feeding sync.WaitGroup
	if timeout > 0 {
		feeding.Go(func() { n.feedWatchdog(ctx, timeout, log, func() { tell(daemon.SdNotifyWatchdog) }) })
	}
	return func() {
		tell(daemon.SdNotifyStopping)
		cancel()
		feeding.Wait()
	}
}

// feedWatchdog calls ping, while the loops answer, twice in the time after
// which the watchdog bites.
func (n *node) feedWatchdog(ctx context.Context, timeout time.Duration, log *slog.Logger, ping func()) {
	ticker := time.NewTicker(timeout / 2)
	defer ticker.Stop()
	for {
		err := n.probe(ctx, timeout/4)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("an event loop does not answer: systemd will end millrace if that lasts", "error", err)
		default:
			ping()
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// probe reports whether the loops answer within timeout.
func (n *node) probe(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	pauses := n.public.Stats().AcceptPauses
	for range n.public.Loops() * probesPerLoop {
		err := getHealth(ctx, n.public.Addr().String())
		if err == nil {
			continue
		}
		if n.public.Stats().AcceptPauses > pauses {
			return nil // there is no room for a connection, but loops that count it
		}
		return err
	}
	return nil
}

// direct makes every request over a connection of its own, and never through
// the proxy that the environment may name.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// getHealth returns an error unless /healthz at address says that all is well.
func getHealth(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := direct.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /healthz: %s, want 200", response.Status)
	}
	return nil
}
