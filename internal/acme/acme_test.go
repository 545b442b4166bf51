package acme_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/acme"
	"millrace/internal/certs"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/internal/testenv/pebble"
	"millrace/server"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// certmagic looks every 5 s whether a lock is still held, and bounds orders for as long as the process runs.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		// What is never closed of pebble.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.(*VAImpl).processTasks"),
	)
}

// logged is a log that tests look into.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a node with domains until the test ends, or stop is called. Each test has its own
// domains: challenges under way are known by them, and to the whole process.
func start(t *testing.T, a *pebble.Authority, storage string, to *logged, domains ...string) (n *node.Node, stop func()) {
	t.Helper()
	n, err := node.Start(node.Options{
		Public: server.Config{TLSListen: "127.0.0.1:0", Loops: 1, HeaderTimeout: testenv.Patience},
		ACME: acme.Config{
			Domains: domains, Email: "ops@example.org", Directory: a.Directory, Storage: storage,
			Roots: a.Roots, Interval: 100 * time.Millisecond,
		},
		Ops:    node.OpsPort{Listen: "127.0.0.1:0"},
		Logger: slog.New(slog.NewTextHandler(to, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(n.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(to.String())
		}
	})
	t.Cleanup(stop)
	return n, stop
}

func port(t *testing.T, n *node.Node) int {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", n.TLSAddr())
	if err != nil {
		t.Fatal(err)
	}
	return addr.Port
}

// dial makes a handshake for a name, verified by what the authority issues.
func dial(a *pebble.Authority, n *node.Node, name string) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: testenv.Patience}, "tcp", n.TLSAddr(), &tls.Config{
		ServerName: name, RootCAs: a.Issuer, NextProtos: []string{"http/1.1"},
	})
}

// serial returns which certificate a name has at n, whether it is still valid or not; empty
// for none.
func serial(n *node.Node, name string) string {
	conn, err := tls.Dial("tcp", n.TLSAddr(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// Ensure that a node without any certificate turns clients away until it has been issued one
// for each name, keeps them so that nobody else reads the keys, and has them at once when it
// starts again, whether or not the authority is there then.
func TestTwoNames(t *testing.T) {
	t.Parallel()
	a := pebble.Start(t, 3600)
	storage := filepath.Join(t.TempDir(), "state", "acme")
	names := []string{"events.example.org", "live.example.net"}
	var log logged
	a.Hold() // it is slow
	n, stop := start(t, a, storage, &log, names...)
	a.Serve(port(t, n))
	if conn, err := dial(a, n, names[0]); err == nil || !strings.HasPrefix(err.Error(), "remote error: tls: ") {
		t.Errorf("a handshake without a certificate: %v, %v, want an alert", conn, err)
	}
	for _, want := range []string{
		`level=WARN msg="there is no certificate yet: clients that ask for these names by TLS are turned away until the authority has issued one" names="[events.example.org live.example.net]"`,
		`msg="a TLS handshake has failed: certificate"`,
	} {
		testenv.Eventually(t, "the log has "+want, func() bool { return strings.Contains(log.String(), want) })
	}
	if failed := n.Streams().Stats().HandshakeFailures["certificate"]; failed != 1 {
		t.Errorf("%d handshakes have failed for want of a certificate, want 1", failed)
	}
	a.Release()
	for _, name := range names {
		testenv.Eventually(t, name+" has a certificate", func() bool { return serial(n, name) != "" })
		conn, err := dial(a, n, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fmt.Fprintf(conn, "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n", name)
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		conn.Close()
	}
	checkModes(t, storage)

	first := serial(n, names[1])
	stop()
	a.Stop()
	again, _ := start(t, a, storage, &log, names...)
	if _, err := dial(a, again, names[1]); err != nil || serial(again, names[1]) != first {
		t.Errorf("a node that starts again has the certificate %s, %v; want %s, from its storage", serial(again, names[1]), err, first)
	}
}

// checkModes checks that nobody else can read what is in a storage.
func checkModes(t *testing.T, storage string) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(storage, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if strings.HasSuffix(path, ".key") {
			keys++
		}
		if info.Mode().Perm() != want && !strings.HasSuffix(path, ".lock") {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil || keys != 3 {
		t.Errorf("%d keys, %v; want those of two certificates and of the account", keys, err)
	}
}

// Ensure that a certificate is renewed while streams go on, and that it is used on when it
// cannot be.
func TestRenewal(t *testing.T) {
	t.Parallel()
	const name = "renewed.example.org"
	a := pebble.Start(t, 4)
	var log logged
	n, _ := start(t, a, t.TempDir(), &log, name)
	a.Serve(port(t, n))
	first := ""
	testenv.Eventually(t, "there is a certificate", func() bool { first = serial(n, name); return first != "" })
	conn, err := tls.Dial("tcp", n.TLSAddr(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testenv.Patience))
	fmt.Fprintf(conn, "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n", name)
	stream := bufio.NewReader(conn)
	for line := ""; line != ":\n"; {
		if line, err = stream.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "it has been renewed", func() bool { return serial(n, name) != first })
	a.Stop()
	metrics := func() string { return get(t, "http://"+n.OpsAddr()+"/metrics") }
	testenv.Eventually(t, "a renewal has failed", func() bool {
		return !strings.Contains(metrics(), `millrace_acme_orders_total{order="renewal",result="failed"} 0`)
	})
	last := serial(n, name)
	if last == "" || last == first {
		t.Errorf("without the authority the certificate is %q, want one, and not the first, %s", last, first)
	}
	for _, want := range []string{
		`millrace_acme_orders_total{order="first",result="done"} 1`, "millrace_acme_domains_without_certificate 0",
		`millrace_tls_certificate_expiry_timestamp_seconds{file="`,
	} {
		if text := metrics(); !strings.Contains(text, want) {
			t.Errorf("the metrics have no %s:\n%s", want, text)
		}
	}
	if _, err := n.Broker().Publish("/x", channels.Event{Data: []byte("still here")}); err != nil {
		t.Fatal(err)
	}
	for line := ""; line != "data: still here\n"; {
		if line, err = stream.ReadString('\n'); err != nil {
			t.Fatalf("the stream has not lasted: %v", err)
		}
	}
	for _, want := range []string{`msg="a certificate was issued" name=renewed.example.org renewal=true`, `level=ERROR msg="a certificate could not be had from the authority`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
}

// Ensure that a node which has found nobody at the directory asks again, and has a certificate
// then. certmagic waits a minute.
func TestAuthorityIsDown(t *testing.T) {
	if os.Getenv("MILLRACE_TEST_FULL") == "" {
		t.Skip("takes a minute: MILLRACE_TEST_FULL=1")
	}
	t.Parallel()
	const name = "late.example.org"
	a := pebble.Start(t, 3600) // which is down
	var log logged
	n, _ := start(t, a, t.TempDir(), &log, name)
	const failed = `level=ERROR msg="a certificate could not be had from the authority, it is asked again later" name=late.example.org renewal=false`
	testenv.Eventually(t, "the log tells of it", func() bool { return strings.Contains(log.String(), failed) })
	a.Serve(port(t, n))
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(3 * testenv.Patience); serial(n, name) == ""; <-poll.C {
		if time.Now().After(deadline) {
			t.Fatal("there is no certificate, though the authority is back")
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testenv.Patience}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Ensure that a stranger who asks for a name to be proved gets nothing, and no stream by that
// protocol, though the authority does.
func TestStrangersProveNothing(t *testing.T) {
	t.Parallel()
	a := pebble.Start(t, 3600)
	var log logged
	n, _ := start(t, a, t.TempDir(), &log, "proved.example.org")
	a.Serve(port(t, n))
	testenv.Eventually(t, "there is a certificate", func() bool { return serial(n, "proved.example.org") != "" })
	for _, tt := range []struct {
		name      string
		protocols []string
		protocol  string // agreed upon, if the handshake succeeds
		ok        bool
	}{
		{"proved.example.org", []string{certs.ChallengeProtocol}, "", false},
		{"../proved.example.org", []string{certs.ChallengeProtocol}, "", false},
		{"other.example.org", []string{certs.ChallengeProtocol}, "", false},
		{"", []string{certs.ChallengeProtocol}, "", false},
		{"proved.example.org", []string{certs.ChallengeProtocol, "http/1.1"}, "http/1.1", true},
		{"proved.example.org", nil, "", true},
	} {
		conn, err := tls.Dial("tcp", n.TLSAddr(), &tls.Config{ServerName: tt.name, NextProtos: tt.protocols, InsecureSkipVerify: true})
		if (err == nil) != tt.ok {
			t.Errorf("%q by %q: %v, want success %t", tt.name, tt.protocols, err, tt.ok)
		}
		if err == nil {
			if got := conn.ConnectionState().NegotiatedProtocol; got != tt.protocol {
				t.Errorf("%q by %q: %q was agreed upon, want %q", tt.name, tt.protocols, got, tt.protocol)
			}
			conn.Close()
		}
	}
	if text := log.String(); strings.Contains(text, "served key authentication") || strings.Count(text, "\n") > 12 {
		t.Errorf("strangers have written into the log:\n%s", text)
	}
}

// Ensure that a storage which cannot be used is refused in words, and so is what is stored
// there and would be of no use.
func TestStorageRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := node.Options{
		Public: server.Config{TLSListen: "127.0.0.1:0"},
		ACME:   acme.Config{Domains: []string{"a.example.org"}, Directory: "https://127.0.0.1:1/", Storage: filepath.Join(file, "acme")},
	}
	if n, err := node.Start(o); !errors.Is(err, node.ErrOptions) || !strings.Contains(err.Error(), "--acme-storage: ") || !strings.Contains(err.Error(), "want a directory") {
		t.Errorf("a start with a storage within a file: %v, %v", n, err)
	}
	o.ACME.Storage = t.TempDir()
	site := filepath.Join(o.ACME.Storage, "certificates", "127.0.0.1-1", "a.example.org", "a.example.org")
	if err := os.MkdirAll(filepath.Dir(site), 0o700); err != nil {
		t.Fatal(err)
	}
	for suffix, text := range map[string]string{".crt": "none", ".key": "none", ".json": "{}"} {
		if err := os.WriteFile(site+suffix, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := node.Start(o); err == nil || !strings.Contains(err.Error(), "a.example.org") || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a start with a stored certificate that is none: %v, %v", n, err)
	}
}
