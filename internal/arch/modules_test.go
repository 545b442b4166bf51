package arch

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is a direct requirement of go.mod.
type module struct {
	path   string
	users  []string // the packages that import it, as patterns; tests may always
	reason string
}

// modules are all that there are. Each is code that we answer for and users
// download: weigh what it saves before adding one.
var modules = []module{
	{"github.com/HdrHistogram/hdrhistogram-go", []string{"bench"}, "latencies of millions of deliveries in a fixed few kilobytes"},
	{"github.com/alecthomas/kong", []string{"cmd/*"}, "command line with environment and help"},
	{"github.com/caddyserver/certmagic", []string{"internal/acme"}, "orders, renews and stores certificates by ACME, with ARI and locks between nodes, as Caddy does; autocert orders within a handshake"},
	{"github.com/chromedp/cdproto", []string{"internal/testenv/browser"}, "what chromedp does not wrap"},
	{"github.com/chromedp/chromedp", []string{"internal/testenv/browser"}, "drives Chromium, in which the tests look at pages"},
	{"github.com/coreos/go-systemd/v22", []string{"cmd/millrace"}, "systemd's readiness and watchdog, with its rules of addresses and owners"},
	{"github.com/dchest/siphash", []string{"channels", "internal/auth/application"}, "a keyed hash that can be handed on and has 128 bits, which maphash's cannot and has not"},
	{"github.com/jackc/pgx/v5", []string{"internal/backplane/postgres"}, "the PostgreSQL client, with notifications and a pool"},
	{"github.com/klauspost/compress", []string{"internal/gzipwire"}, "deflate without a state, which NATS' client needs anyway: compress/flate takes 650 KB and clears it for each message"},
	{"github.com/letsencrypt/challtestsrv", []string{"internal/testenv/pebble"}, "the name server of pebble"},
	{"github.com/letsencrypt/pebble/v2", []string{"internal/testenv/pebble"}, "an authority that speaks ACME, for the tests"},
	{"github.com/nats-io/nats-server/v2", nil, "a NATS server for the tests to link nodes by"},
	{"github.com/nats-io/nats.go", []string{"internal/backplane/nats"}, "the NATS client"},
	{"github.com/panjf2000/gnet/v2", []string{"internal/netpoll"}, "pollers and sockets: epoll and kqueue, proven"},
	{"github.com/prometheus/client_golang", []string{"internal/ops"}, "metrics in the form that Prometheus scrapes"},
	{"github.com/prometheus/procfs", []string{"internal/ops"}, "what Linux tells in /proc; client_golang needs it anyway"},
	{"github.com/r3labs/sse/v2", nil, "another client for the tests to subscribe with, the one that most Go programs have"},
	{"github.com/redis/go-redis/v9", []string{"internal/backplane/redis"}, "the Redis client, with its sentinels and clusters"},
	{"github.com/schollz/progressbar/v3", []string{"cmd/millbench"}, "the line on a terminal that says what a long run is at"},
	{"github.com/summerwind/h2spec", nil, "cases of HTTP/2's standards for the tests to run"},
	{"github.com/tmaxmax/go-sse", nil, "an EventSource for the tests to subscribe with"},
	{"github.com/valyala/bytebufferpool", []string{"server"}, "buffers for what few connections need"},
	{"github.com/valyala/fasthttp", nil, "the parser that httpparse is measured beside"},
	{"go.uber.org/goleak", nil, "finds goroutines that a test has left"},
	{"go.uber.org/zap", []string{"internal/acme"}, "what certmagic logs to, handed on to the log's queue; gnet has it anyway"},
	{"golang.org/x/crypto", []string{"internal/auth/ticket", "internal/tlsrecord"}, "XChaCha20-Poly1305, which seals tickets: its nonces can be drawn at random; ChaCha20-Poly1305 for TLS records"},
	{"golang.org/x/net", []string{"internal/h2", "internal/ssetest", "bench"}, "HPACK of HTTP/2; its Framer is the other side of tests"},
	{"golang.org/x/sys", []string{"cmd/millrace", "server", "bench", "internal/fdtable", "internal/handover", "internal/netpoll"}, "system calls that package syscall does not have"},
	{"golang.org/x/term", []string{"cmd/millrace"}, "tells a terminal from other devices, on every platform"},
	{"gonum.org/v1/plot", []string{"bench/report"}, "plots as SVG, so that a report is one file"},
	{"pgregory.net/rapid", nil, "property tests against models, with shrinking"},
}

// Ensure that go.mod requires what the table has a reason for, and no more.
func TestRequirements(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace) > 0 {
		t.Errorf("go.mod replaces modules: %v", mod.Replace)
	}
	var required, reasoned []string
	for _, r := range mod.Require {
		if !r.Indirect {
			required = append(required, r.Path)
		}
	}
	for _, m := range modules {
		reasoned = append(reasoned, m.path)
		if m.reason == "" {
			t.Errorf("%s: no reason", m.path)
		}
	}
	slices.Sort(required)
	if !slices.Equal(required, reasoned) {
		t.Errorf("go.mod requires\n%q, want as in the sorted table\n%q", required, reasoned)
	}
}

// Ensure that only those packages import a module that the table names.
func TestModuleUsers(t *testing.T) {
	for _, f := range parse(t) {
		for _, imported := range f.imports() {
			host, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(host, ".") {
				continue // the standard library, or millrace
			}
			i := slices.IndexFunc(modules, func(m module) bool {
				return imported == m.path || strings.HasPrefix(imported, m.path+"/")
			})
			if i < 0 {
				t.Errorf("%s imports %s, of a module that is not in the table", f.name, imported)
			} else if !f.test && !matches(modules[i].users, f.pkg()) {
				t.Errorf("%s imports %s, which besides tests only %q may", f.name, imported, modules[i].users)
			}
		}
	}
}
