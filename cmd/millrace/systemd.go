package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	// stopMargin is the time that the end may take beyond its own on a busy host, before
	// systemd kills.
	stopMargin = 13 * time.Second
	// barrierTime is how long systemd may take to see what it was told.
	barrierTime = 5 * time.Second
)

// systemd is told how the process is (sd_notify(3)). Where systemd is not the parent,
// it does nothing.
type systemd struct {
	log     *slog.Logger
	cancel  context.CancelFunc
	feeding sync.WaitGroup
}

// ready tells systemd that millrace is ready and then, as often as its unit asks, that
// it is alive, until stopping or succeeded is called. An error of probe names event loops that
// do not turn.
func (s *systemd) ready(probe func(context.Context) error) {
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("systemd's watchdog gets no pings", "error", err)
	}
	s.tell(daemon.SdNotifyReady)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if timeout > 0 {
		s.feeding.Go(func() { feedWatchdog(ctx, timeout, probe, s.log, func() { s.tell(daemon.SdNotifyWatchdog) }) })
	}
}

func (s *systemd) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("systemd cannot be told", "state", state, "error", err)
	}
}

// stopping tells that the process ends, and how long that may take.
func (s *systemd) stopping(stopTime time.Duration) {
	s.tell(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, (stopTime + stopMargin).Microseconds()))
	s.cancel()
	s.feeding.Wait()
}

// succeeded tells that another process is the main one from here on, and returns when systemd
// knows: it would take the end of this one for that of the service.
func (s *systemd) succeeded(pid int) {
	s.cancel()
	s.feeding.Wait()
	s.tell(fmt.Sprintf("MAINPID=%d", pid))
	if err := barrier(os.Getenv("NOTIFY_SOCKET")); err != nil {
		s.log.Warn("systemd does not say that it knows the new process", "pid", pid, "error", err)
	}
}

// barrier returns when systemd has read what it was told before: it closes the descriptor that
// comes with BARRIER=1 (sd_notify_barrier(3)).
func barrier(address string) error {
	if address == "" {
		return nil
	}
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(socket)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = syscall.Sendmsg(socket, []byte("BARRIER=1"), syscall.UnixRights(int(w.Fd())), &syscall.SockaddrUnix{Name: address}, 0)
	w.Close()
	if err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	r.SetReadDeadline(time.Now().Add(barrierTime))
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil // the end of the pipe
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
