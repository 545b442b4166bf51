package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that a server which is killed and started again never gives an id twice,
// and tells every client that comes back what it may have missed.
func TestKilled(t *testing.T) {
	const runs, events = 20, 5
	binary, listen := testenv.Program(t, false), "127.0.0.1:0"
	c := ssetest.Client{Target: "/x"}
	given := make(map[string]string) // by id, what had it
	for run := range runs {
		p := launch(t, binary, "--listen", listen)
		listen = p.public
		before := c.LastID
		if err := c.Open(listen, time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		next := func() ssetest.Event {
			t.Helper()
			ev, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			return ev
		}
		if greeting := next(); run > 0 {
			var gap struct{ Reason, Head string }
			if ev := greeting; ev.Type != "millrace.gap" || json.Unmarshal([]byte(ev.Data), &gap) != nil || gap.Reason != "restart" {
				t.Fatalf("run %d, resumed after %q: %+v, want a gap for a restart", run, before, ev)
			}
		}
		for i := range events {
			data := fmt.Sprintf("%d of run %d", i, run)
			p.publish(data)
			ev := next()
			if ev.Data != data || given[ev.ID] != "" {
				t.Fatalf("%+v, want data %q and an id that is new; that of this one had %q", ev, data, given[ev.ID])
			}
			given[ev.ID] = data
		}
		epoch, _, _ := strings.Cut(c.LastID, "-")
		if strings.HasPrefix(before, epoch+"-") {
			t.Fatalf("run %d has the epoch of the one before, %q", run, epoch)
		}
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}
