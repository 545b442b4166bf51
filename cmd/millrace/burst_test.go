package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that a burst of more than twice the backlog, from a publisher that pipelines,
// reaches all that read as fast as they can, on a busy host, too, and that a reader that
// never reads is lapped meanwhile. The readers are in a process of their own.
func TestBurst(t *testing.T) {
	streams, runs := 20, []int{0}
	if os.Getenv("MILLRACE_TEST_FULL") != "" {
		streams, runs = 200, []int{0, 0, 0, 3, 3, 3}
	}
	benchmark, binary := testenv.Need(t, "redis-benchmark"), testenv.Program(t, false)
	for _, busy := range runs {
		t.Run(fmt.Sprint(busy*runtime.NumCPU(), " burners"), func(t *testing.T) {
			testBurst(t, benchmark, binary, streams, busy*runtime.NumCPU())
		})
	}
}

func testBurst(t *testing.T, benchmark, binary string, streams, burners int) {
	const events = 100_000
	p := launch(t, binary, "--ops", "127.0.0.1:0")
	never := ssetest.Client{Target: "/x"}
	if err := never.Open(p.public, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	defer never.Close()
	var reading sync.WaitGroup
	var lacking atomic.Int32
	for range streams {
		conn, err := net.Dial("tcp", p.public)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(2 * patience))
		fmt.Fprint(conn, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
		b := make([]byte, 64<<10)
		if _, err := conn.Read(b); err != nil { // the response's head
			t.Fatal(err)
		}
		reading.Go(func() {
			for had := 0; had < events; {
				n, err := conn.Read(b)
				if had += bytes.Count(b[:n], []byte("~")); err != nil {
					lacking.Add(1)
					return
				}
			}
		})
	}
	burn(t, burners)
	host, port, _ := net.SplitHostPort(p.admin)
	began := time.Now()
	out, err := exec.Command(benchmark, "-h", host, "-p", port, "-c", "1", "-P", "1000", "-n", fmt.Sprint(events),
		"-q", "PUBLISH", "/x", "~"+strings.Repeat("x", 99)).CombinedOutput()
	t.Logf("published in %v", time.Since(began).Round(time.Millisecond))
	if err != nil || bytes.Contains(out, []byte("rror")) {
		t.Errorf("redis-benchmark: %v\n%s", err, out)
	}
	reading.Wait()
	if n := lacking.Load(); n > 0 {
		t.Errorf("%d of %d readers did not get everything", n, streams)
	}
	if n := lapped(t, p); n != 1 {
		t.Errorf("%d streams lapped, want the one that never reads", n)
	}
}

// burn keeps processors busy with n processes until the test ends.
func burn(t *testing.T, n int) {
	for range n {
		c := exec.Command("sh", "-c", "while :; do :; done")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Process.Kill()
			c.Wait()
		})
	}
}

// lapped returns how many streams a process has ended since they were lapped.
func lapped(t *testing.T, p *process) (n int) {
	response, err := http.Get("http://" + p.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	text.ReadFrom(response.Body)
	_, after, _ := strings.Cut(text.String(), `millrace_connections_closed_total{reason="too_far_behind"} `)
	fmt.Sscan(after, &n)
	return n
}
