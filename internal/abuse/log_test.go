package abuse

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// logRoom is what the log of a process may hold, in bytes, with what it takes to get
// there: lines that wait, lines that are being written, and garbage of as much.
const logRoom = 16 << 20

// startUnread starts a victim whose log nobody reads any more once it is ready, and
// returns the end of the log that would be read.
func startUnread(t *testing.T, flags ...string) (*victim, *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	v := start(t, setup{flags: flags, stderr: writer})
	writer.Close()
	kept := new(journal)
	lines := bufio.NewReaderSize(reader, 1)
	for !strings.Contains(kept.text(), "millrace is ready") {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, kept.text())
		}
		kept.keep(strings.NewReader(line))
	}
	v.log = kept
	v.find()
	return v, reader
}

// fillLog causes more lines than the log has room for: of streams that come and go.
func (v *victim) fillLog() {
	long := "/logged?"
	for i := range 4 {
		long += fmt.Sprintf("channel=%d%s&", i, strings.Repeat("long", 50))
	}
	const streams = 1600 // of 2 lines of some 800 bytes
	all(8, func(int) {
		for range streams / 8 {
			c := ssetest.Client{Target: long}
			if err := c.Open(v.public, time.Now().Add(patience)); err != nil {
				v.t.Error(err)
				return
			}
			c.Close()
		}
	})
}

// Ensure that a log whose reader has stopped reading costs nothing but lines: all ports
// go on, and SIGTERM ends it.
func TestLogReaderStops(t *testing.T) {
	v, _ := startUnread(t, "--log-connections", "--drain", "0s")
	v.bears(logRoom, func() {
		v.fillLog()
		all(300, func(i int) { // more than the admin port has places for
			if answer, err := request(v.admin, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", patience); answer != "" && !strings.HasPrefix(answer, "-ERR max number of clients") {
				t.Errorf("an HTTP request to the admin port: %q, %v, want nothing", answer, err)
			}
		})
		testenv.Eventually(v.t, "lines are dropped", func() bool { return v.metric("millrace_log_lines_dropped_total") > 0 })
	})
	v.stop()
}

// Ensure that a log whose reader is gone, so that writing raises SIGPIPE, ends nothing.
func TestLogReaderGoes(t *testing.T) {
	v, reader := startUnread(t, "--log-connections", "--drain", "0s")
	reader.Close()
	v.bears(logRoom, func() {
		v.open("/logged").Close()
		testenv.Eventually(v.t, "lines are dropped", func() bool { return v.metric("millrace_log_lines_dropped_total") >= 2 })
	})
	v.stop()
}

// Ensure that a line that strangers can cause is logged once a second, with how many more
// there were, and not each time.
func TestStrangersInTheLog(t *testing.T) {
	v := start(t, setup{})
	const times = 200
	began := time.Now()
	v.bears(logRoom, func() {
		all(8, func(int) {
			for range times / 8 {
				request(v.admin, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", patience)
			}
		})
	})
	most := int(time.Since(began)/time.Second) + 2
	if n := v.log.count("aborted an HTTP request"); n < 1 || n > most {
		t.Errorf("%d lines about %d HTTP requests to the admin port, want 1 to %d", n, times, most)
	}
}
