package redis

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"millrace/internal/backplane/enginetest"
)

// startSecure runs a server with a port for TLS, and returns that port's address.
func startSecure(t *testing.T, a enginetest.Authority, lines ...string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	startProcess(t, append(lines, fmt.Sprint("tls-port ", port), "tls-cert-file "+a.ServerCert, "tls-key-file "+a.ServerKey, "tls-ca-cert-file "+a.CA)...)
	return fmt.Sprint("127.0.0.1:", port)
}

// exchange has a node publish, and hear it.
func exchange(t *testing.T, address string) {
	t.Helper()
	n := startNode(t, address)
	c := n.Open("", "/a")
	c.WantNothing()
	n.Publish("/a", "x")
	c.Want("x")
}

// Ensure that a node speaks TLS with a Redis of a private authority, and shows the
// certificate that it asks for.
func TestTLS(t *testing.T) {
	if address := enginetest.Again(); address != "" {
		exchange(t, address)
		return
	}
	a := enginetest.NewAuthority(t)
	for _, verify := range []string{"no", "yes"} {
		client := verify == "yes"
		address := "rediss://" + startSecure(t, a, "tls-auth-clients "+verify)
		exchange(t, address+"?"+a.Options(client))
		exchange(t, address+"?history=streams&"+a.Options(client))
		startLocal(t, address, Options{}).AwaitRefusal("certificate")
		if client {
			startLocal(t, address+"?"+a.Options(false), Options{}).AwaitRefusal("certificate")
		} else {
			a.RunAgain(t, address)
		}
	}
	for _, address := range []string{"rediss://h?cert=" + a.ClientCert, "redis://h?ca=" + a.CA, "rediss://h?ca=" + a.ServerKey, "rediss://h?ca=/absent"} {
		u, _ := url.Parse(address)
		if _, err := Open(u, Options{}); err == nil {
			t.Errorf("%s: no error", address)
		}
	}
}

// Ensure that sentinels and their master may each ask for a password.
func TestSentinelPasswords(t *testing.T) {
	master := startProcess(t)
	master.do("ACL", "SETUSER", "default", "resetpass", ">ofMaster")
	sentinel := startSentinel(t, fmt.Sprint("sentinel monitor m 127.0.0.1 ", master.port, " 1"), "sentinel auth-pass m ofMaster")
	sentinel.do("ACL", "SETUSER", "default", "resetpass", ">ofSentinels")
	address := sentinel.address() + "/0?master_name=m&password="
	exchange(t, "redis+sentinel://:ofSentinels@"+address+"ofMaster")
	startLocal(t, "redis+sentinel://:wrong@"+address+"ofMaster", Options{}).AwaitRefusal("sentinels")
	startLocal(t, "redis+sentinel://:ofSentinels@"+address+"wrong", Options{}).AwaitRefusal("WRONGPASS")
}

// Ensure that the permissions of docs/scaling.md are enough.
func TestLeastPermissions(t *testing.T) {
	page, err := os.ReadFile("../../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^ACL SETUSER (\w+) (.*)$`).FindAllStringSubmatch(string(page), -1)
	if len(lines) != 2 {
		t.Fatalf("docs/scaling.md has %d users of Redis, want 2", len(lines))
	}
	for i, query := range []string{"", "?history=streams"} {
		user, rules := lines[i][1], strings.Fields(lines[i][2])
		s := startProcess(t)
		args := []any{"ACL", "SETUSER", user}
		for _, rule := range rules {
			args = append(args, rule)
		}
		s.do(args...)
		n := openNode(t, "redis://"+user+":secret@"+s.address()+query, Options{Prefix: "app", History: 100})
		c := n.Open("", "/a")
		c.WantNothing()
		n.Publish("/a", "x")
		c.Want("x")
		c.Close()
		denied, err := s.Do(t.Context(), "ACL", "LOG").Slice()
		if err != nil || len(denied) > 0 {
			t.Errorf("%s: Redis has denied %v, %v, want nothing", user, denied, err)
		}
	}
}
