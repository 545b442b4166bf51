package doctor

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// Ensure that this host, whatever it is, has a limit that binds first, and that
// its descriptor limit is read as the system call gives it.
func TestLocal(t *testing.T) {
	h := Local()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if soft, _ := parse(fmt.Sprint(limit.Cur)); int64(h.Descriptors.Soft) != soft {
		t.Errorf("soft descriptor limit %d, want %d", h.Descriptors.Soft, soft)
	}
	for _, plan := range []Plan{{}, {PerLoop: true}, {Loopback: true}, {Target: 1}, {Target: MaxTarget}} {
		r := Examine(h, plan)
		if r.First == "" || r.Holds == Unlimited || !strings.Contains(r.Verdict(), r.First) {
			t.Errorf("%+v: %q holds %s, want a limit that binds first", plan, r.Verdict(), r.Holds)
		}
		if r.Enough != (int64(r.Holds) >= int64(plan.Target)) {
			t.Errorf("%+v: enough is %t with %s", plan, r.Enough, r.Holds)
		}
		var table bytes.Buffer
		if err := r.WriteTable(&table); err != nil {
			t.Fatal(err)
		}
		if plan == (Plan{}) {
			t.Logf("\n%s", table.String())
		}
	}
}
