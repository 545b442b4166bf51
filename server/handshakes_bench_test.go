package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/testenv"
)

const handshakersEnv = "MILLRACE_TEST_HANDSHAKERS"

// TestHandshakers is no test but the clients of BenchmarkSecureHandshake, in a process of their
// own: for each line of stdin, an address and a number, they make so many handshakes there.
func TestHandshakers(t *testing.T) {
	group := os.Getenv(handshakersEnv)
	if group == "" {
		t.Skip("runs only as the clients of a benchmark")
	}
	cfg := &tls.Config{InsecureSkipVerify: true, SessionTicketsDisabled: true}
	if group == "X25519" {
		cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var addr string
		var n int
		fmt.Sscan(in.Text(), &addr, &n)
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for range n / 4 {
					if conn, err := tls.Dial("tcp", addr, cfg); err != nil {
						t.Error(err)
					} else {
						conn.NetConn().Close()
					}
				}
			})
		}
		clients.Wait()
		fmt.Println("done")
	}
	os.Exit(0) // without a word of package testing
}

// BenchmarkSecureHandshake is the processor time of a full handshake, beside one of net/http:
// the median of alternating rounds, with the clients in another process.
func BenchmarkSecureHandshake(b *testing.B) {
	const rounds, handshakes = 9, 400
	s, _ := start(b, withTLS(b, Config{Loops: 1}), channels.Options{})
	addrs := []string{s.TLSAddr().String(), serveNetHTTP(b)}
	for _, group := range []string{"X25519", "X25519MLKEM768"} {
		b.Run(group, func(b *testing.B) {
			in, answers := startClients(b, "TestHandshakers", handshakersEnv+"="+group)
			run := func(addr string) float64 {
				before := cpuTime(b)
				fmt.Fprintln(in, addr, handshakes)
				if line, err := answers.ReadString('\n'); err != nil || line != "done\n" {
					b.Fatalf("the clients' process says %q, %v", line, err)
				}
				return float64(cpuTime(b)-before) / handshakes
			}
			for range b.N {
				var ours, theirs, ratio []float64
				for range rounds {
					x, y := run(addrs[0]), run(addrs[1])
					ours, theirs, ratio = append(ours, x), append(theirs, y), append(ratio, x/y)
				}
				for name, values := range map[string][]float64{"loop-ns": ours, "nethttp-ns": theirs, "loop/nethttp": ratio} {
					slices.Sort(values)
					b.ReportMetric(values[rounds/2], name)
				}
			}
		})
	}
}

// startClients runs a test of this package as the clients of a benchmark, in a process of their
// own that ends with its input, and with a variable that says what they do.
func startClients(b *testing.B, test, variable string) (in io.Writer, answers *bufio.Reader) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^"+test+"$")
	cmd.Env = append(os.Environ(), variable)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		input.Close()
		cmd.Wait()
	})
	return input, bufio.NewReader(out)
}

// serveNetHTTP serves TLS by net/http until the benchmark ends, and returns the address.
func serveNetHTTP(b *testing.B) string {
	b.Helper()
	certFile, keyFile := testenv.Certificate(b, "localhost")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS13},
		Handler:           http.NotFoundHandler(),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	go func() { server.ServeTLS(ln, certFile, keyFile); close(served) }()
	b.Cleanup(func() { server.Close(); <-served })
	return ln.Addr().String()
}

// cpuTime is the processor time of this process so far.
func cpuTime(t testing.TB) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
