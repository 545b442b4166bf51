package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/testenv"
)

// Ensure that a successor which has been told to take over and dies before it serves anybody costs
// nothing; that one which is dead afterwards is lost; and that neither process is ended which serves,
// however long the other one has stood still.
func TestUpgradeSwitch(t *testing.T) {
	stands := time.Duration(0)
	if testenv.Full() {
		stands = 35 * time.Second // longer than anything waits
	}
	for _, tt := range []struct {
		name   string
		at     func(s *service, p *publisher, at step)
		result string
		ended  bool // the connection of which the rest comes late
	}{
		{"dies before it has read the order", func(s *service, p *publisher, at step) {
			switch at.Step {
			case "frozen":
				halt(s.t, at.PID)
			case "switch":
				unix.Kill(at.PID, unix.SIGKILL)
			}
		}, resultTakenBack, false},
		{"dies when it has served publishers", func(s *service, p *publisher, at step) {
			if at.Step == "switch" {
				p.publish(2)
				unix.Kill(at.PID, unix.SIGKILL)
				reap(at.PID)
			}
		}, resultLost, false},
		{"serves while its predecessor stands still", func(s *service, p *publisher, at step) {
			switch at.Step {
			case "frozen":
				halt(s.t, at.PID)
			case "switch":
				halt(s.t, s.main)
				unix.Kill(at.PID, unix.SIGCONT)
				go func() {
					<-time.After(stands)
					unix.Kill(s.main, unix.SIGCONT)
				}()
				p.publish(2)
			}
		}, resultDone, testenv.Full()}, // by then the successor waits for nothing any more
		{"stands still when it has served publishers", func(s *service, p *publisher, at step) {
			if at.Step == "switch" {
				p.publish(2)
				halt(s.t, at.PID)
				go func() {
					<-time.After(stands / 2)
					unix.Kill(at.PID, unix.SIGCONT)
				}()
			}
		}, resultDone, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			streams, p := []*follower{s.listen(), s.listen()}, s.publisher()
			// A command of which more has come than is handed over before publishers go on.
			late := s.publisher()
			fmt.Fprintf(late.conn, "*3\r\n$7\r\nPUBLISH\r\n$2\r\n/y\r\n$%d\r\n%s", 40<<10, strings.Repeat("1", 30<<10))
			result := s.upgrade(order{}, func(at step) { tt.at(s, p, at) })
			if result.Result != tt.result {
				t.Fatalf("%+v, want %q", result, tt.result)
			}
			if tt.result == resultLost {
				return
			}
			fmt.Fprint(late.conn, strings.Repeat("1", 10<<10)+"\r\n")
			late.conn.SetReadDeadline(time.Now().Add(patience))
			if reply, err := late.r.ReadString('\n'); !tt.ended && (err != nil || reply != ":0\r\n") {
				t.Errorf("to a command of which a part had come before: %q, %v", reply, err)
			}
			n := p.publish(len(streams))
			for _, l := range streams {
				for i := range n {
					l.hears(i + 1)
				}
			}
		})
	}
}
