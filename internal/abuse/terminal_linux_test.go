package abuse

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns the end of a new terminal that a program has as its stdin.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal
}

// Ensure that a terminal that goes away, and has SIGHUP sent, ends the server as SIGTERM
// does: its streams are told when to come back.
func TestTerminalGoes(t *testing.T) {
	v := start(t, setup{stdin: openTerminal(t), flags: []string{"--drain", "100ms"}})
	stream := v.open("/watched")
	v.cmd.Process.Signal(syscall.SIGHUP)
	for told := false; !told; {
		ev, err := stream.Next()
		if err != nil {
			t.Fatalf("a stream ends without being told when to come back: %v", err)
		}
		told = ev.Retry > 0
	}
	select {
	case <-v.exited:
		if status := v.cmd.ProcessState; !status.Success() {
			t.Errorf("the end after SIGHUP: %v, want exit status 0", status)
		}
	case <-time.After(patience):
		t.Error("with a terminal as stdin, SIGHUP does not end it")
	}
}
