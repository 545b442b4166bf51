package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"millrace/internal/testenv"
	"millrace/internal/testenv/pebble"
)

// acmeNode is millrace itself, with a domain.
type acmeNode struct{ tls string } // address

// launchACME runs millrace until the test ends, and then checks that nothing but the log's
// lines went to stderr.
func launchACME(t *testing.T, a *pebble.Authority, storage, domain string) acmeNode {
	t.Helper()
	cmd := exec.Command(testenv.Program(t, false), "serve", "--admin", "off", "--ops", "off", "--loops", "1", "--drain", "0",
		"--tls-listen", "127.0.0.1:0", "--acme-domain", domain, "--acme-directory", a.Directory, "--acme-storage", storage)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+a.RootsFile)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, log := bufio.NewReader(stderr), ""
	ready := regexp.MustCompile(` msg="millrace is ready" .* tls=(\S+) `)
	var address string
	for address == "" {
		line, err := lines.ReadString('\n')
		if log += line; err != nil {
			t.Fatalf("millrace is not ready: %v\n%s", err, log)
		}
		if found := ready.FindStringSubmatch(line); found != nil {
			address = found[1]
		}
	}
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(lines)
		rest <- string(text)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		log += <-rest
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
		for line := range strings.Lines(log) {
			if !strings.HasPrefix(line, "time=") {
				t.Errorf("stderr has %q, want lines of the log only", line)
			}
		}
	})
	return acmeNode{address}
}

// serial is that of the certificate for a name, empty for none.
func (n acmeNode) serial(name string) string {
	conn, err := tls.Dial("tcp", n.tls, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// Ensure that nodes which share a storage have one certificate between them: one orders, the
// authority comes to the other to have the name proved, and both use it.
func TestNodesShareStorage(t *testing.T) {
	t.Parallel()
	const domain = "events.example.org"
	a := pebble.Start(t, 3600)
	storage := t.TempDir()
	a.Hold()
	orders := launchACME(t, a, storage, domain)
	testenv.Eventually(t, "the first node holds the lock", func() bool {
		locks, _ := filepath.Glob(filepath.Join(storage, "locks", "issue_cert_*.lock"))
		return len(locks) == 1
	})
	proves := launchACME(t, a, storage, domain)
	addr, err := net.ResolveTCPAddr("tcp", proves.tls)
	if err != nil {
		t.Fatal(err)
	}
	a.Serve(addr.Port)
	a.Release()
	for _, p := range []acmeNode{orders, proves} {
		testenv.Eventually(t, "a node has a certificate", func() bool { return p.serial(domain) != "" })
	}
	if one, other := orders.serial(domain), proves.serial(domain); one != other || a.Issued.Load() != 1 {
		t.Errorf("the nodes have the certificates %s and %s, of %d issued; want one", one, other, a.Issued.Load())
	}
}
