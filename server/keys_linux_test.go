package server

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"millrace/channels"
	"millrace/internal/testenv"
)

const refusedKeysEnv = "MILLRACE_TEST_REFUSED_KEYS"

// Ensure that a kernel that cannot keep keys out of core dumps shows when the server starts: TLS
// is not served then, and the rest is.
func TestKeysRefused(t *testing.T) {
	if os.Getenv(refusedKeysEnv) != "" { // where every madvise fails
		if _, err := New(withTLS(t, Config{}), channels.NewBroker(channels.Options{})); err == nil || !strings.Contains(err.Error(), "madvise") {
			t.Errorf("a server with TLS: %v, want an error of madvise", err)
		}
		s, err := New(Config{Listen: "127.0.0.1:0"}, channels.NewBroker(channels.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		return
	}
	cmd := exec.Command(testenv.Need(t, "strace"), "-f", "-qq", "--seccomp-bpf", "-o", os.DevNull,
		"-e", "trace=madvise", "-e", "inject=madvise:error=EINVAL", os.Args[0], "-test.run", "^TestKeysRefused$", "-test.v")
	cmd.Env = append(os.Environ(), refusedKeysEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Ensure that keys are neither in a core dump nor in a child, by what the kernel says of their
// memory.
func TestKeysAreKeptOut(t *testing.T) {
	keys := newKeys(chunkSize)
	defer keys.close()
	state, err := keys.claim(1)
	if err != nil {
		t.Fatal(err)
	}
	state.Clear() // which touches it
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	if got := flagsOf(string(maps), uintptr(unsafe.Pointer(state))); !strings.Contains(got, " dd") || !strings.Contains(got, " wf") {
		t.Errorf("the memory of keys has the flags %q, want dd and wf: not in core dumps, wiped in children", got)
	}
}

// flagsOf returns what smaps has as the flags of the memory at an address.
func flagsOf(smaps string, at uintptr) (flags string) {
	within := false
	for line := range strings.Lines(smaps) {
		var begin, end uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &begin, &end); n == 2 {
			within = begin <= at && at < end
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && within {
			return flags
		}
	}
	return ""
}
