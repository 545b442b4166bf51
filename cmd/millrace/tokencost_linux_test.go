package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// Ensure that a stream which bears a token of HS256 costs little more processor time to
// open than one without: at most 1.25 times as much, by the median of pairs in one run.
// The small form allows for the noise of few streams on a busy machine.
func TestTokenCost(t *testing.T) {
	const secret, rounds = "0123456789abcdef0123456789abcdef", 9
	streams, most := 1_800, 1.75
	if os.Getenv("MILLRACE_TEST_FULL") != "" {
		streams, most = 15_003, 1.25
	}
	binary := testenv.Program(t, false)
	open := launch(t, binary, "--loops", "1", "--admin", "off", "--ops", "off")
	guarded := launch(t, binary, "--loops", "1", "--admin", "off", "--ops", "off", "--jwt-key", secret)
	opened := 0
	connect := func(p *process, headers string) time.Duration {
		t.Helper()
		before, conns := processorTime(t, p.cmd.Process.Pid), make([]net.Conn, 0, streams/rounds)
		for range streams / rounds {
			conn, err := net.Dial("tcp", p.public)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			conn.SetDeadline(time.Now().Add(patience))
			bears := strings.ReplaceAll(headers, "TOKEN", tokenOf(secret, fmt.Sprintf(`{"sub":"user-%d","iat":1700000000,"exp":4000000000,"channels":["/rooms/1"]}`, opened)))
			opened++
			fmt.Fprint(conn, "GET /rooms/1 HTTP/1.1\r\nHost: events.example.org\r\nUser-Agent: test\r\nOrigin: https://app.example.org\r\n"+bears+"\r\n")
			head := make([]byte, 1024)
			if n, err := conn.Read(head); err != nil || !strings.HasPrefix(string(head[:n]), "HTTP/1.1 200 ") {
				t.Fatalf("%q, %v", head[:n], err)
			}
		}
		took := processorTime(t, p.cmd.Process.Pid) - before
		for _, conn := range conns {
			conn.Close()
		}
		return took
	}
	var ratios []float64
	var plain, token time.Duration
	for range rounds {
		without, with := connect(open, ""), connect(guarded, "Authorization: Bearer TOKEN\r\n")
		plain, token = plain+without, token+with
		ratios = append(ratios, float64(with)/float64(without))
	}
	slices.Sort(ratios)
	median := ratios[rounds/2]
	t.Logf("%v a stream without, %v with a token; ratios %.2f", plain/time.Duration(streams), token/time.Duration(streams), ratios)
	if median > most {
		t.Errorf("a token makes opening a stream cost %.2f times as much, want at most %.2f", median, most)
	}
}

// tokenOf returns a token of HS256.
func tokenOf(secret, claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// processorTime is what the threads of a process have used.
func processorTime(t *testing.T, pid int) (used time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads of %d: %v", pid, err)
	}
	for _, thread := range threads {
		text, _ := os.ReadFile(thread) // it may have ended
		first, _, _ := strings.Cut(string(text), " ")
		nanoseconds, _ := strconv.ParseInt(first, 10, 64)
		used += time.Duration(nanoseconds)
	}
	return used
}
