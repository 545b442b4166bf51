package interop

import (
	"bufio"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"millrace/internal/testenv"
)

// waived are cases of h2spec whose client goes on with a table of headers after it has
// acknowledged that there is none (SETTINGS_HEADER_TABLE_SIZE 0), which is an error.
var waived = []string{
	"generic/5/14: Sends a dynamic table size update",
	"generic/5/15: Sends multiple dynamic table size update",
	"http2/6.10/1: Sends multiple CONTINUATION frames preceded by a HEADERS frame",
}

// onStream are cases that look at what becomes of a request later: they need a path that is a
// stream. The others wait for the end of an answer.
var onStream = []string{
	"http2/5.1.2/1: Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
	"http2/6.9.1/3: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
	"http2/6.9.2/1: Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame",
	"http2/6.9.2/2: Sends a SETTINGS frame for window size to be negative",
}

// specCase is a case of h2spec.
type specCase struct {
	name string
	run  func(*config.Config, *spec.Conn) error
}

// specCases returns all cases of h2spec below groups.
func specCases(groups ...*spec.TestGroup) (cases []specCase) {
	for _, g := range groups {
		for i, c := range slices.Concat(g.Tests, g.StrictTests) {
			cases = append(cases, specCase{g.ID() + "/" + strconv.Itoa(i+1) + ": " + c.Desc, c.Run})
		}
		cases = append(cases, specCases(g.Groups...)...)
	}
	return cases
}

// Ensure that the program passes h2spec over TLS: its 145 cases, and the one that is only for
// the strict.
func TestH2Spec(t *testing.T) {
	cases := specCases(generic.Spec(), http2.Spec(), hpack.Spec())
	if len(cases) != 146 {
		t.Errorf("h2spec has %d cases, want 146", len(cases))
	}
	host, port := startProgram(t, "--max-lifetime", "1s") // so that streams end, for which h2spec waits
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := "/favicon.ico" // 404
			if slices.Contains(onStream, c.name) {
				path = "/stream"
			}
			err := c.runAt(host, port, path)
			switch isWaived := slices.Contains(waived, c.name); {
			case err != nil && !isWaived:
				t.Error(err)
			case err == nil && isWaived:
				t.Error("the case is waived, and passes")
			}
		})
	}
}

// runAt runs a case on a connection of its own, with requests for path.
func (c specCase) runAt(host string, port int, path string) error {
	cfg := &config.Config{Host: host, Port: port, Path: path, Timeout: patience, MaxHeaderLen: 4000, TLS: true, Insecure: true}
	conn, err := spec.Dial(cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	return c.run(cfg, conn)
}

// startProgram runs millrace with TLS until the test is over, and returns where it listens.
func startProgram(t *testing.T, flags ...string) (host string, port int) {
	t.Helper()
	cert, key := testenv.Certificate(t, "localhost", "127.0.0.1")
	cmd := exec.Command(testenv.Program(t, testenv.Race), append([]string{"serve", "--tls-listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key}, flags...)...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	addr := make(chan string, 1)
	go func() {
		for in := bufio.NewScanner(log); in.Scan(); {
			if found := regexp.MustCompile(`tls=(\S+)`).FindStringSubmatch(in.Text()); found != nil {
				addr <- found[1]
			}
		}
		close(addr)
	}()
	host, text, err := net.SplitHostPort(<-addr)
	if err != nil {
		t.Fatalf("millrace has not said where it listens: %v", err)
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
