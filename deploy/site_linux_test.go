package deploy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/server"
)

// patience bounds every wait.
const patience = testenv.Patience

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		os.RemoveAll(built.dir)
		os.Exit(status)
	}))
}

// site is a host in small: a proxy as it is shipped here, in front of upstream.
type site struct {
	t        *testing.T
	dir      string // of the configuration, certificates and logs
	listen   string // address of the proxy
	upstream string // address of millrace
	tls      bool
	client   *http.Client
}

// newSite runs p in front of upstream until the test ends. edits are pairs of
// old and new to be replaced in the configuration beside addresses and paths.
func newSite(t *testing.T, p proxy, upstream string, edits ...string) *site {
	t.Helper()
	path := testenv.Need(t, p.tool)
	s := &site{t: t, dir: t.TempDir(), listen: freeAddress(t), upstream: upstream, tls: p.tls}
	s.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig:    &tls.Config{RootCAs: s.certify()},
		ForceAttemptHTTP2:  p.tls,
		DisableCompression: true,
	}}
	t.Cleanup(s.client.CloseIdleConnections)
	config := filepath.Join(s.dir, p.config)
	text := edited(t, p.config, append(p.edits(s), edits...))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(exec.CommandContext(t.Context(), path, p.args(s, config)...))
	return s
}

// edited returns the shipped file name with each old of the pairs replaced,
// which must be there: an edit that does nothing tests something else.
func edited(t *testing.T, name string, pairs []string) string {
	t.Helper()
	shipped, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(shipped)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s does not contain %q", name, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// run starts cmd, waits until it listens, and stops it when the test is over.
func (s *site) run(cmd *exec.Cmd) {
	s.t.Helper()
	logName := filepath.Join(s.dir, "output")
	output, err := os.Create(logName)
	if err != nil {
		s.t.Fatal(err)
	}
	defer output.Close()
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "XDG_DATA_HOME="+s.dir)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // nginx ends its workers then
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	s.t.Cleanup(func() {
		<-exited // the test's context is over
		if s.t.Failed() {
			text, _ := os.ReadFile(logName)
			s.t.Logf("%s wrote:\n%s", cmd.Path, text)
		}
	})
	testenv.Eventually(s.t, cmd.Path+" listens", func() bool {
		select {
		case <-exited:
			s.t.Fatalf("%s: %v", cmd.Path, cmd.ProcessState)
		default:
		}
		conn, err := net.Dial("tcp", s.listen)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// certify writes a certificate of the site's address in the forms that the
// proxies read, and returns what trusts it.
func (s *site) certify() *x509.CertPool {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(s.listen)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.ParseIP(host)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pkcs8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, content := range map[string]string{
		"millrace.crt": string(crt), "millrace.key": string(pkcs8), "millrace.pem": string(crt) + string(pkcs8),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	return pool
}

// get sends a request through the proxy; cancel is the client that leaves.
func (s *site) get(path string, headers ...string) (_ *http.Response, cancel func()) {
	s.t.Helper()
	return s.getBy(s.client, path, headers...)
}

// getBy is get from a client of its own.
func (s *site) getBy(client *http.Client, path string, headers ...string) (_ *http.Response, cancel func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(cancel)
	scheme := "http://"
	if s.tls {
		scheme = "https://"
	}
	request, err := http.NewRequestWithContext(ctx, "GET", scheme+s.listen+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	if major := response.ProtoMajor; s.tls != (major == 2) {
		s.t.Fatalf("HTTP/%d with TLS %v, want HTTP/2 with TLS and HTTP/1 without", major, s.tls)
	}
	return response, cancel
}

// stream is an event stream that came through a proxy.
type stream struct {
	t     *testing.T
	r     *bufio.Reader
	leave func()
}

// subscribe opens a stream and reads its first comment.
func (s *site) subscribe(path string) *stream {
	s.t.Helper()
	response, cancel := s.get(path, "Accept", "text/event-stream")
	if got := response.Header.Get("Content-Type"); response.StatusCode != 200 || got != "text/event-stream" {
		s.t.Fatalf("%s with %s, want 200 with text/event-stream", response.Status, got)
	}
	st := &stream{s.t, bufio.NewReader(response.Body), cancel}
	st.want(":\n\n")
	return st
}

// want reads from the stream what must come next.
func (st *stream) want(text string) {
	st.t.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(st.r, got); err != nil || string(got) != text {
		st.t.Fatalf("the stream carried %q, want %q (%v)", got[:n], text, err)
	}
}

// wantEnd waits for the end of the stream.
func (st *stream) wantEnd() {
	st.t.Helper()
	rest, err := io.ReadAll(st.r)
	if len(rest) > 0 || errors.Is(err, context.DeadlineExceeded) {
		st.t.Fatalf("the stream carried %q and then %v, want its end", rest, err)
	}
}

// millrace is a server within the test.
type millrace struct {
	t       *testing.T
	broker  *channels.Broker
	server  *server.Server
	address string
}

// startMillrace runs a server until the test ends.
func startMillrace(t *testing.T, keepalive time.Duration) *millrace {
	t.Helper()
	return startConfigured(t, server.Config{Keepalive: keepalive})
}

// startConfigured is startMillrace with more of its configuration.
func startConfigured(t *testing.T, cfg server.Config) *millrace {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	return startWith(t, cfg, channels.Options{})
}

// startWith is startMillrace with all of its configuration.
func startWith(t *testing.T, cfg server.Config, opts channels.Options) *millrace {
	t.Helper()
	cfg.HeaderTimeout = patience
	n, err := node.Start(node.Options{Public: cfg, Broker: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return &millrace{t, n.Broker(), n.Streams(), n.PublicAddr()}
}

// publish publishes data and wants that many receivers.
func (m *millrace) publish(channel, data string, receivers int) {
	m.t.Helper()
	if n, err := m.broker.Publish(channel, channels.Event{Data: []byte(data)}); n.Receivers != receivers || err != nil {
		m.t.Fatalf("Publish(%q, %q): %v receivers, %v, want %d", channel, data, n, err, receivers)
	}
}

// awaitSubscribers waits until the channel has n.
func (m *millrace) awaitSubscribers(channel string, n int) {
	m.t.Helper()
	testenv.Eventually(m.t, fmt.Sprintf("%d subscribers of %s", n, channel), func() bool { return m.broker.Ports().Subscribers(channel) == n })
}

// freeAddress returns an address that nobody listens on, of a loopback host
// that is drawn at random, so that nobody else will until it is used. What
// listens there must be bound to the host: its port may be taken on others.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+mathrand.IntN(250), mathrand.IntN(250), 1+mathrand.IntN(250)))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
