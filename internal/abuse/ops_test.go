package abuse

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// opsRoom is what a connection of the ops port may take, in bytes: what net/http has for
// it, its goroutines, an answer, and garbage of as much.
const opsRoom = 512 << 10

// Ensure that with connections of the ops port that do not send or do not read, health and
// everything else of the port is answered meanwhile.
func TestCrowdAtTheOpsPort(t *testing.T) {
	const crowd, most = 300, 512
	v := start(t, setup{flags: []string{"--drain", "0s"}})
	v.bears(most*opsRoom+logRoom, func() {
		for _, text := range []string{
			"",
			"GET /metrics HTTP/1.1\r\nHost: lo",
			"POST /publish?channel=/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\n",
			"POST /publish?channel=/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
			strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 20), // and nothing is read
			"GET /follow?channel=/watched HTTP/1.1\r\nHost: localhost\r\n\r\n",
		} {
			v.crowd(v.ops, crowd, text)
			testenv.Eventually(v.t, "something is answered", func() bool {
				answer, _ := request(v.ops, "POST /publish?channel=/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", patience)
				return strings.HasPrefix(answer, "HTTP/1.1 200 ")
			})
		}
		var text string
		testenv.Eventually(v.t, "metrics are answered", func() bool {
			text, _ = request(v.ops, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n", patience)
			return strings.HasPrefix(text, "HTTP/1.0 200 ")
		})
		for name, bounds := range map[string][2]float64{
			"millrace_ops_connections":                 {1, most},
			"millrace_ops_connections_displaced_total": {crowd, 1e9},
			"millrace_ops_streams":                     {1, 64},
		} {
			n := -1.0
			if value := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text); value != nil {
				n, _ = strconv.ParseFloat(value[1], 64)
			}
			if n < bounds[0] || n > bounds[1] {
				t.Errorf("%s is %v, want %v", name, n, bounds)
			}
		}
		v.await("ops port is full")
	})
	v.stop()
}

// Ensure that guessing tokens is slow, told and counted, and that requests without one get
// no place for long, however much they say is to come.
func TestGuessedTokens(t *testing.T) {
	v := start(t, setup{token: "secret", flags: []string{"--drain", "0s"}})
	const guessers, guesses = 100, 200
	ask := func(authorization string) string {
		answer, _ := request(v.ops, fmt.Sprintf("GET /metrics HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n%s\r\n\r\n", authorization), patience)
		return answer
	}
	began := time.Now()
	v.bears(512*opsRoom+logRoom, func() {
		v.crowd(v.ops, 600, "POST /publish?channel=/a HTTP/1.1\r\nHost: ops\r\nContent-Length: 50000\r\n\r\n")
		all(guessers, func(int) {
			wrong := "GET /metrics HTTP/1.1\r\nHost: ops\r\nAuthorization: Bearer wrong\r\n\r\n"
			answer, _ := request(v.ops, strings.Repeat(wrong, guesses), 2*time.Second)
			if n := strings.Count(answer, "HTTP/1.1 401 "); n > 1 {
				t.Errorf("%d guesses of a connection were answered, want 1 at most", n)
			}
		})
		answer := ask("Authorization: Bearer secret")
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || strings.Contains(answer, "\nmillrace_ops_wrong_tokens_total 0\n") {
			t.Errorf("with the right token: %.200q, want 200, and the guesses counted", answer)
		}
		if answer := ask("X: y"); !strings.HasPrefix(answer, "HTTP/1.1 401 ") {
			t.Errorf("without a token: %.200q, want 401", answer)
		}
	})
	if n, most := v.log.count("ops port got a wrong token"), int(time.Since(began)/time.Second)+2; n < 1 || n > most {
		t.Errorf("%d lines about wrong tokens, want 1 to %d", n, most)
	}
	v.stop()
}

// Ensure that pages of other sites begin no profile and no stream, and learn nothing,
// through a browser on the host.
func TestForeignPagesAtTheOpsPort(t *testing.T) {
	v := start(t, setup{flags: []string{"--drain", "0s"}})
	v.bears(64*opsRoom+logRoom, func() {
		for _, path := range []string{"/debug/pprof/profile", "/debug/pprof/trace", "/follow?channel=/watched", "/events", "/channels//watched", "/channels//nobody", "/metrics"} {
			answer, err := request(v.ops, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n", patience)
			if !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
				t.Errorf("GET %s from a page of another site: %.100q, %v, want 403", path, answer, err)
			}
		}
		if n := v.metric("millrace_ops_requests_refused_total"); n != 7 {
			t.Errorf("%v refused, want 7", n)
		}
	})
	v.stop()
}
