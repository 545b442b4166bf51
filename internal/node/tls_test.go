package node

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/certs"
	"millrace/internal/testenv"
	"millrace/server"
)

// Ensure that a client resumes its session at another node if both have a key in common, and
// after a rotation as long as the old key is there; and that a bad file keeps the keys.
func TestTicketKeysOfNodes(t *testing.T) {
	cert, key := testenv.Certificate(t, "localhost")
	file := filepath.Join(t.TempDir(), "keys")
	old, next := strings.Repeat("1a", 32), strings.Repeat("2b", 32)
	write := func(keys ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(keys, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options := func(keys string) Options {
		return Options{Public: server.Config{TLSListen: "127.0.0.1:0"}, Certificates: []certs.Files{{Cert: cert, Key: key}}, TicketKeys: keys}
	}
	write(old)
	a, b, stranger := startNode(t, options(file)), startNode(t, options(file)), startNode(t, options(""))
	session := tls.NewLRUClientSessionCache(1)
	visit := func(n *Node, resumed bool, why string) {
		t.Helper()
		conn, err := tls.Dial("tcp", n.TLSAddr(), &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: session})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasSuffix(line, " 200 OK\r\n") { // the ticket came before
			t.Fatalf("%s: %q, %v", why, line, err)
		}
		if got := conn.ConnectionState().DidResume; got != resumed {
			t.Errorf("%s: resumed is %t, want %t", why, got, resumed)
		}
	}
	renew := func(n *Node) {
		t.Helper()
		if err := n.Renew(n.opts); err != nil {
			t.Fatal(err)
		}
	}
	visit(a, false, "the first time")
	visit(b, true, "at another node")
	write(next, old)
	renew(a)
	visit(a, true, "after the first step of a rotation")
	visit(b, false, "at a node that does not have the new key")
	write("no key")
	renew(b)
	visit(b, true, "at a node that could not read its keys again")
	if n := b.tls.ticketKeys.Failures(); n != 1 {
		t.Errorf("%d failures, want 1", n)
	}
	visit(stranger, false, "at a node with keys of its own")

	o := options(file)
	o.Public.Listen = "127.0.0.1:0"
	if _, err := Start(o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "--tls-ticket-keys") {
		t.Errorf("a start with a bad file: %v, want %v that names the flag", err, ErrOptions)
	}
}

// Ensure that the ops port takes TLS only if it is asked to, as its own clients do, and keeps
// asking for its token and giving each connection a place.
func TestOpsTLS(t *testing.T) {
	curl := testenv.Need(t, "curl")
	cert, key := testenv.Certificate(t, "127.0.0.1")
	n := startNode(t, Options{
		Ops:          OpsPort{Listen: "127.0.0.1:0", Token: "secret", TLS: true},
		Certificates: []certs.Files{{Cert: cert, Key: key}},
	})
	for _, tt := range []struct {
		args []string
		want string // as status and body begin
		ok   bool
	}{
		{[]string{"--cacert", cert, "https://" + n.OpsAddr() + "/healthz"}, "200", true},
		{[]string{"--cacert", cert, "https://" + n.OpsAddr() + "/metrics"}, "401", true},
		{[]string{"--cacert", cert, "-H", "Authorization: Bearer secret", "https://" + n.OpsAddr() + "/metrics"}, "200", true},
		{[]string{"--http2", "--cacert", cert, "https://" + n.OpsAddr() + "/healthz"}, "200", true},
		{[]string{"https://" + n.OpsAddr() + "/healthz"}, "000", false}, // which does not trust it
		{[]string{"--tls-max", "1.2", "--cacert", cert, "https://" + n.OpsAddr() + "/healthz"}, "000", false},
		{[]string{"http://" + n.OpsAddr() + "/healthz"}, "400", true},
	} {
		args := append([]string{"-sS", "-m", "20", "-o", os.DevNull, "-w", "%{http_code}"}, tt.args...)
		out, err := exec.Command(curl, args...).Output()
		if got := string(out); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("curl %q: %s, %v; want %s, success %t", tt.args, got, err, tt.want, tt.ok)
		}
	}
	conn, err := tls.Dial("tcp", n.OpsAddr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer secret\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200 ") {
		t.Errorf("an event stream over TLS is answered by %q, %v", line, err)
	}
	if s := n.ops.Stats(); s.Streams != 1 {
		t.Errorf("%d event streams, want 1", s.Streams)
	}
}
