package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// stopMargin is the time that the end may take beyond its own on a busy host, before
// systemd kills.
const stopMargin = 13 * time.Second

// tellSystemd tells systemd that millrace is ready and then, as often as its
// unit asks, that it is alive, until stopping is called, which tells that too,
// and how long that may take (sd_notify(3)). Where systemd is not the parent,
// it does nothing. An error of probe names event loops that do not turn.
func tellSystemd(probe func(context.Context) error, log *slog.Logger) (stopping func(stopTime time.Duration)) {
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
		feeding.Go(func() { feedWatchdog(ctx, timeout, probe, log, func() { tell(daemon.SdNotifyWatchdog) }) })
	}
	return func(stopTime time.Duration) {
		tell(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, (stopTime + stopMargin).Microseconds()))
		cancel()
		feeding.Wait()
	}
}

// feedWatchdog calls ping, while the loops turn, twice in the time after
// which the watchdog bites.
func feedWatchdog(ctx context.Context, timeout time.Duration, probe func(context.Context) error, log *slog.Logger, ping func()) {
	ticker := time.NewTicker(timeout / 2)
	defer ticker.Stop()
	for {
		probing, cancel := context.WithTimeout(ctx, timeout/4)
		err := probe(probing)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("systemd will end millrace if that lasts", "error", err)
		default:
			ping()
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
