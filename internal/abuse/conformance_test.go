package abuse

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/internal/testenv"
)

// tlsfuzzer is the variable that names a working tree of tlsfuzzer.
const tlsfuzzer = "MILLRACE_TEST_TLSFUZZER"

// Ensure that the program passes those scripts of tlsfuzzer that are about what follows a
// handshake.
func TestTLSFuzzer(t *testing.T) {
	dir := os.Getenv(tlsfuzzer)
	if dir == "" {
		t.Skipf("%s names no working tree of tlsfuzzer (https://github.com/tlsfuzzer/tlsfuzzer), whose modules Python has to find", tlsfuzzer)
	}
	const python = "/usr/bin/python3"
	testenv.NeedFile(t, python, "install python3")
	const all = "0" // of a script's conversations, in place of some of them
	v := start(t, setup{rsa: true})
	_, port, _ := net.SplitHostPort(v.secure)
	for _, script := range []string{"keyupdate", "zero_content_type", "record_padding", "ccs"} {
		t.Run(script, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, "-m", "tlsfuzzer._apps.test_tls13_"+script, "-h", "127.0.0.1", "-p", port, "-n", all)
			if script == "keyupdate" { // of many that come at once it wants all answered, or one; ours get one for those of a read
				cmd.Args = append(cmd.Args, "-e", "multiple KeyUpdate messages")
			}
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			passed := regexp.MustCompile(`(?m)^PASS: (\d+)$`).FindSubmatch(out)
			if err != nil || passed == nil || string(passed[1]) == "0" {
				t.Fatalf("%v: %s", err, out)
			}
			t.Logf("%s pass", passed[1])
		})
	}
}

// testssl is the variable that names the program testssl.sh, which takes a minute and a half.
const testssl = "MILLRACE_TEST_TESTSSL"

// notProtocol are findings about the test's certificate and the machine, and one that is about
// nothing: tickets are valid for a week, and their keys are changed every day.
var notProtocol = regexp.MustCompile("^(cert_.*|DNS_CAArecord|engine_problem|TLS_session_ticket)$")

// Ensure that testssl.sh has nothing to say against the protocol, what the server chooses of it,
// and what it knows of attacks.
func TestTestssl(t *testing.T) {
	program := os.Getenv(testssl)
	if program == "" {
		t.Skipf("%s names no testssl.sh (https://testssl.sh, or Debian's package of that name)", testssl)
	}
	v := start(t, setup{})
	file := filepath.Join(t.TempDir(), "findings.json")
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, program, "-p", "-S", "-U", "--warnings", "off", "--color", "0", "--quiet", "--jsonfile", file, v.secure)
	out, failed := cmd.CombinedOutput() // it fails by the number of its findings
	var findings []struct{ ID, Severity, Finding string }
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &findings)
	}
	if err != nil {
		t.Fatalf("testssl: %v, %v: %s", failed, err, out)
	}
	for _, f := range findings {
		if f.Severity != "OK" && f.Severity != "INFO" && !notProtocol.MatchString(f.ID) {
			t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
	t.Logf("%d findings in %v", len(findings), time.Since(began).Round(time.Second))
	if !strings.Contains(string(text), "TLS1_3") {
		t.Errorf("no word about TLS 1.3: %s", text)
	}
}
