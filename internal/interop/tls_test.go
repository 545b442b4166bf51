package interop

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/internal/certs"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/server"
)

// startTLS is start of a node that serves TLS only. It returns the file of the certificate
// that clients are to trust.
func startTLS(t *testing.T, cfg server.Config) (f *fixture, trusted string) {
	t.Helper()
	cert, key := testenv.Certificate(t, "localhost", "127.0.0.1")
	cfg.TLSListen = "127.0.0.1:0"
	n, err := node.Start(node.Options{
		Public:       cfg,
		Broker:       channels.Options{History: 100, Epoch: "e"},
		Certificates: []certs.Files{{Cert: cert, Key: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return &fixture{t: t, server: n.Streams(), broker: n.Broker(), public: n.TLSAddr()}, cert
}

// lines returns what a command prints, as it comes.
func lines(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return bufio.NewScanner(out)
}

// wantLine reads up to a line.
func wantLine(t *testing.T, in *bufio.Scanner, want string) {
	t.Helper()
	for in.Scan() {
		if strings.TrimRight(in.Text(), "\r") == want {
			return
		}
	}
	t.Fatalf("the output ends without %q: %v", want, in.Err())
}

// Ensure that curl and Node read a stream over TLS, in each suite, and check the certificate.
func TestTLSClients(t *testing.T) {
	f, trusted := startTLS(t, server.Config{})
	url := "https://" + f.public + channel
	const program = `require('https').get(process.argv[1], {ca: require('fs').readFileSync(process.argv[2])}, r => r.pipe(process.stdout))`
	clients := map[string]func() *exec.Cmd{"node": func() *exec.Cmd { return command(t, "node", "-e", program, url, trusted) }}
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		clients["curl, "+suite] = func() *exec.Cmd {
			return command(t, "curl", "-sSN", "--cacert", trusted, "--tls13-ciphers", suite, url)
		}
	}
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			cmd := client()
			in := lines(t, cmd)
			f.awaitSubscribers(1)
			for _, text := range []string{"one", strings.Repeat("long ", 8000)} {
				f.publish(channels.Event{Data: []byte(text)})
				wantLine(t, in, "data: "+text)
			}
			cmd.Process.Kill()
			f.awaitSubscribers(0)
		})
	}
	if out, err := command(t, "curl", "-sS", url).CombinedOutput(); err == nil || !strings.Contains(string(out), "certificate") {
		t.Errorf("a certificate that is not trusted: %v, %q", err, out)
	}
	if out, err := command(t, "curl", "-sS", "--tls-max", "1.2", "--cacert", trusted, url).CombinedOutput(); err == nil || !strings.Contains(string(out), "protocol version") {
		t.Errorf("TLS 1.2: %v, %q, want the alert", err, out)
	}
}

// Ensure that a stream goes on when OpenSSL updates its key, and when it asks for that of the
// server, too.
func TestTLSKeyUpdate(t *testing.T) {
	f, trusted := startTLS(t, server.Config{})
	cmd := command(t, "openssl", "s_client", "-connect", f.public, "-CAfile", trusted)
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	in := lines(t, cmd)
	fmt.Fprintf(commands, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", channel)
	f.awaitSubscribers(1)
	for i, update := range []string{"", "k\n", "K\n", "K\n"} {
		io.WriteString(commands, update)
		if update != "" {
			wantLine(t, in, "KEYUPDATE")
		}
		f.publish(channels.Event{Data: fmt.Append(nil, i)})
		wantLine(t, in, fmt.Sprintf("data: %d", i))
	}
	io.WriteString(commands, "Q\n")
	f.awaitSubscribers(0)
}
