package bench

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"millrace/bench/crowd"
	"millrace/bench/report"
)

const (
	// stopped is how long a stopped process stays so after the switch: the other one is to go on.
	stopped = 3 * time.Second
	// longStopped is how long a predecessor stays stopped before it, at most: the successor is
	// to end by itself.
	longStopped = 40 * time.Second
	// noticed is how long a process has to notice that the other has ended: what it does before
	// it has is another step.
	noticed = 100 * time.Millisecond
	// settled bounds the time until clients have seen what has become of a process.
	settled = 20 * time.Second
)

// kill has processes of an upgrade ended or stopped, each at one step of it.
func (l *Lab) kill(u Upgrades) error {
	points, err := ParseKills(u.Kills)
	if err != nil {
		return err
	}
	var h *handover
	defer func() {
		if h != nil {
			h.Close()
		}
	}()
	for _, p := range points {
		if h == nil {
			if h, err = l.handover(u); err != nil {
				return err
			}
			if err := h.Broadcast(); err != nil {
				return err
			}
		}
		k := killing{handover: h, point: p, old: h.succession.pid()}
		if err := k.run(); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		l.judgeKill(&k)
		if k.survivor != k.old || k.figures.Cut > 0 || k.figures.CrowdFaults > 0 {
			h.Close()
			h = nil
		}
	}
	if h == nil {
		return nil
	}
	return h.again(Upgrades{Streams: u.Streams, Times: 1}, 0)
}

// killing is one upgrade in which a process is ended or stopped.
type killing struct {
	*handover
	point    killPoint
	old      int // process ids
	new      int
	reached  bool // the point
	nth      int  // loops that have come to its step
	prepared int  // streams of loops that were prepared before
	began    bool // a loop had been committed
	survivor int  // 0 for none

	seen    crowd.Figures
	figures report.Upgrade
}

func (k *killing) run() error {
	k.say("%s: %s", k.server.Name, k.point)
	if err := k.crowd.Before(halves); err != nil {
		return err
	}
	k.crowd.Figures()
	began := Now()
	result, err := k.succession.upgrade("", k.cfg.Timeout, true, k.at)
	if err != nil {
		return err
	}
	k.figures = report.Upgrade{Kill: k.point.String(), Result: result.Result, Why: result.Why, Seconds: (Now() - began).Seconds()}
	if !k.reached {
		return fmt.Errorf("the upgrade did not come to this step: %s: %s", result.Result, result.Why)
	}
	k.new = max(k.new, result.PID)
	if err := k.outcome(); err != nil {
		return err
	}
	return k.look()
}

// at does what is to be done, at its step.
func (k *killing) at(step upgradeStep) {
	kind, _, _ := strings.Cut(step.Step, ":")
	k.new = max(k.new, step.PID)
	if !k.reached {
		// A loop is committed by a step before, if the other process seems to be there.
		k.began = k.began || kind == "committed" || k.point.stop && !k.point.old && (kind == "sent" || kind == "prepared")
		if kind == "prepared" {
			k.prepared += step.Streams
		}
	}
	if kind != k.point.step || k.reached {
		return
	}
	if k.nth++; k.nth < k.point.nth {
		return
	}
	k.reached = true
	pid := k.new
	if k.point.old {
		pid = k.old
	}
	syscall.Kill(pid, k.point.signal())
	if !k.point.stop {
		awaitEnd(pid)
		time.Sleep(noticed)
		return
	}
	if k.point.switched() {
		time.AfterFunc(stopped, func() { syscall.Kill(pid, syscall.SIGCONT) })
	} else if k.point.old {
		for deadline := time.Now().Add(longStopped); !hasEnded(k.new) && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		syscall.Kill(pid, syscall.SIGCONT)
	}
}

// outcome waits until there is one process, or none.
func (k *killing) outcome() error {
	for deadline := time.Now().Add(settled); ; time.Sleep(10 * time.Millisecond) {
		oldEnded, newEnded := hasEnded(k.old), hasEnded(k.new)
		switch {
		case oldEnded && newEnded:
			k.survivor = 0
		case oldEnded:
			k.survivor = k.new
		case newEnded:
			k.survivor = k.old
		}
		if newEnded && !oldEnded && k.figures.Result != resultTakenBack && k.point.switched() && time.Now().Before(deadline) {
			continue // the predecessor is about to end, too
		}
		if oldEnded || newEnded {
			// A successor that has not prepared a loop ends when it sees that it is alone.
			if k.survivor != k.new || k.prepared > 0 || k.point.switched() || time.Now().After(deadline) || k.listens() {
				break
			}
			continue
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("both processes go on, %d and %d", k.old, k.new)
		}
	}
	switch k.survivor {
	case k.old:
		reap(k.new)
	case k.new:
		return k.succession.succeed(k.new)
	}
	return nil
}

// listens tells whether publishers are let in.
func (k *killing) listens() bool {
	conn, err := net.DialTimeout("tcp", k.succession.admin, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// look has those streams that are left receive what was published, and one more event.
func (k *killing) look() error {
	if k.survivor == 0 {
		reap(k.new)
		k.seen = k.crowd.Figures()
		return k.awaitAllCut()
	}
	if k.survivor == k.new {
		for deadline := time.Now().Add(settled); !k.listens(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("the successor lets no publishers in: %w after %v", ErrTimeout, settled)
			}
		}
		if err := k.succession.redial(); err != nil {
			return err
		}
	}
	k.crowd.After()
	k.crowd.Quiet(true)
	k.seen = k.crowd.Figures()
	if err := k.Broadcast(); err != nil {
		return err
	}
	r, err := k.intact()
	if err != nil {
		return err
	}
	k.figures.Cut = r.Cut
	k.figures.Deliveries = k.Result.Broadcasts[len(k.Result.Broadcasts)-1].Deliveries
	k.figures.CrowdDeliveries = k.seen.Delivered
	k.figures.CrowdEndsOverTLS = k.seen.Ends(crowd.OverTLS...)
	k.figures.CrowdEnds = k.seen.Ends() - k.figures.CrowdEndsOverTLS
	k.figures.CrowdFaults = k.seen.Faults() - k.seen.Faults(crowd.Passing...)
	k.Result.Upgrades = append(k.Result.Upgrades, k.figures)
	return nil
}

// awaitAllCut returns when every stream has ended, which they do with the last process.
func (k *killing) awaitAllCut() error {
	for deadline := time.Now().Add(settled); ; time.Sleep(20 * time.Millisecond) {
		r, err := k.intact()
		if err != nil {
			return err
		}
		if k.figures.Cut = r.Cut; r.Open == 0 {
			k.Result.Upgrades = append(k.Result.Upgrades, k.figures)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no process is left, and %d streams are open: %w after %v", r.Open, ErrTimeout, settled)
		}
	}
}
