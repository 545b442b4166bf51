package deploy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// proxy is one of the shipped configurations and how to run it.
type proxy struct {
	tool, config string
	tls          bool
	edits        func(*site) []string // pairs of old and new
	args         func(s *site, config string) []string
}

// proxies are all, each without and with what its comments say about TLS.
var proxies = []proxy{
	{tool: "nginx", config: "nginx.conf", edits: nginxEdits, args: nginxArgs},
	{tool: "nginx", config: "nginx.conf", edits: nginxEdits, args: nginxArgs, tls: true},
	{tool: "haproxy", config: "haproxy.cfg", edits: haproxyEdits, args: haproxyArgs},
	{tool: "haproxy", config: "haproxy.cfg", edits: haproxyEdits, args: haproxyArgs, tls: true},
	{tool: "caddy", config: "Caddyfile", edits: caddyEdits, args: caddyArgs},
	{tool: "caddy", config: "Caddyfile", edits: caddyEdits, args: caddyArgs, tls: true},
}

func nginxEdits(s *site) []string {
	edits := []string{
		"127.0.0.1:8080", s.upstream,
		"/run/nginx.pid", s.dir + "/nginx.pid",
		"/var/log/nginx/error.log", "stderr",
		"/var/log/nginx", s.dir,
	}
	if s.tls {
		edits = append(edits, "#tls ", "", "listen 0.0.0.0:80", "listen "+s.listen+" ssl http2", "/etc/nginx", s.dir)
	} else {
		edits = append(edits, "listen 0.0.0.0:80", "listen "+s.listen)
	}
	var temp strings.Builder // of what is compiled in, for users but root
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "\n\t%s_temp_path %s/%s;", of, s.dir, of)
	}
	return append(edits, "http {", "http {"+temp.String())
}

func nginxArgs(s *site, config string) []string {
	return []string{"-p", s.dir, "-e", "stderr", "-c", config, "-g", "daemon off;"}
}

func haproxyEdits(s *site) []string {
	edits := []string{"127.0.0.1:8080", s.upstream}
	if s.tls {
		edits = append(edits, "0.0.0.0:80\n", s.listen+" ssl crt "+s.dir+"/millrace.pem alpn h2,http/1.1\n")
	} else {
		edits = append(edits, "0.0.0.0:80\n", s.listen+"\n")
	}
	if os.Geteuid() != 0 { // then it cannot change them, and need not
		edits = append(edits, "\tuser haproxy\n", "", "\tgroup haproxy\n", "", "\tchroot /var/lib/haproxy\n", "")
	}
	return edits
}

func haproxyArgs(_ *site, config string) []string { return []string{"-db", "-f", config} }

// caddyEdits bind Caddy to the site's address: to Caddy, the host in it is a name
// that it answers to, and it would listen on the port of every address. The other
// listeners that it opens by itself, port 80 and its admin port, stay closed.
func caddyEdits(s *site) []string {
	host, _, _ := net.SplitHostPort(s.listen)
	edits := []string{
		"127.0.0.1:8080", s.upstream,
		"\tservers {", "\tdefault_bind " + host + "\n\tauto_https disable_redirects\n\tadmin off\n\tservers {",
	}
	if s.tls {
		return append(edits, "http://:80", "https://"+s.listen, "#tls ", "", "/etc/caddy", s.dir)
	}
	return append(edits, "http://:80", "http://"+s.listen)
}

func caddyArgs(_ *site, config string) []string {
	return []string{"run", "--adapter", "caddyfile", "--config", config}
}

// eachProxy runs test for every proxy, all at once.
func eachProxy(t *testing.T, test func(*testing.T, proxy)) {
	for _, p := range proxies {
		name := p.tool
		if p.tls {
			name += " with TLS"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// Ensure that every event is passed on before the next one, or a keepalive,
// could push it.
func TestEventsArriveAtOnce(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		m := startMillrace(t, 0)
		stream := newSite(t, p, m.address).subscribe("/a")
		for i := range 20 {
			data := fmt.Sprintf(`{"event": %d}`, i)
			m.publish("/a", data, 1)
			stream.want("data: " + data + "\n\n")
		}
		long := strings.Repeat("long ", 10000)
		m.publish("/a", long, 1)
		stream.want("data: " + long + "\n\n")
	})
}

func TestResponseHead(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		s := newSite(t, p, startMillrace(t, 0).address)
		for _, tt := range []struct {
			path    string
			status  int
			headers map[string]string
		}{
			{"/a", 200, map[string]string{
				"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform",
				"Content-Length": "", "Content-Encoding": "",
			}},
			{"/favicon.ico", 404, map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		} {
			response, _ := s.get(tt.path)
			if response.StatusCode != tt.status {
				t.Errorf("GET %s: %s, want %d", tt.path, response.Status, tt.status)
			}
			for name, want := range tt.headers {
				if got := response.Header[name]; strings.Join(got, "; ") != want {
					t.Errorf("GET %s: %s: %q, want %q", tt.path, name, got, want)
				}
			}
		}
	})
}

// Ensure that a request reaches millrace with its target as it was, its cursor,
// and the client's address instead of what the client claims.
func TestRequestHead(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		requests := make(chan *http.Request, 1)
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" { // which HAProxy asks for
				requests <- r
			}
		}))
		t.Cleanup(upstream.Close)
		const target = "/rooms/caf%C3%A9%20a%2Fb?channel=/b&channel=%2Fc"
		s := newSite(t, p, upstream.Listener.Addr().String())
		s.get(target, "Last-Event-ID", "e-42", "Accept", "text/event-stream", "Authorization", "Bearer x", "X-Forwarded-For", "203.0.113.1")
		r := <-requests
		if r.RequestURI != target {
			t.Errorf("target %s, want %s", r.RequestURI, target)
		}
		proto := "http"
		if s.tls {
			proto = "https"
		}
		for name, want := range map[string]string{
			"Last-Event-Id": "e-42", "Accept": "text/event-stream", "Authorization": "Bearer x",
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": proto,
		} {
			if got := r.Header[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

// Ensure that keepalives are passed on, and keep a stream open for longer than
// the proxy bears silence.
func TestKeepalivesOutlastTimeouts(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		const keepalive, timeout = 100 * time.Millisecond, 2 * time.Second
		m := startMillrace(t, keepalive)
		stream := newSite(t, p, m.address, "60s", timeout.String()).subscribe("/a")
		for range timeout * 3 / 2 / keepalive {
			stream.want(":keepalive\n\n")
		}
	})
}

// Ensure that a millrace that has gone silent is left, or nobody would come
// back from a host that vanished.
func TestSilenceEndsStream(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		newSite(t, p, startMillrace(t, 0).address, "60s", "1s").subscribe("/a").wantEnd()
	})
}

// Ensure that millrace learns that a client has left without writing to it.
func TestClientLeaves(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		m := startMillrace(t, 0)
		s := newSite(t, p, m.address)
		for range 5 {
			stream := s.subscribe("/a")
			m.awaitSubscribers("/a", 1)
			stream.leave()
			m.awaitSubscribers("/a", 0)
		}
	})
}

func TestManyStreams(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		m := startMillrace(t, 0)
		s := newSite(t, p, m.address)
		streams := make([]*stream, 200)
		for i := range streams {
			streams[i] = s.subscribe("/a")
		}
		for _, data := range []string{"first", "second", "third"} {
			m.publish("/a", data, len(streams))
			for _, stream := range streams {
				stream.want("data: " + data + "\n\n")
			}
		}
		for _, stream := range streams {
			stream.leave()
		}
		m.awaitSubscribers("/a", 0)
	})
}

// Ensure that an EventSource that finds no millrace comes back, which it does
// only after a 200 that its page may read.
func TestMillraceAway(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		s := newSite(t, p, freeAddress(t))
		for _, origin := range []string{"", "https://app.example"} {
			headers := []string{"Accept", "text/event-stream"}
			want := map[string]string{
				"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "Vary": "Origin",
				"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": "", "Access-Control-Allow-Headers": "",
			}
			if origin != "" {
				headers = append(headers, "Origin", origin, "Access-Control-Request-Headers", "x-a,x-b")
				want["Access-Control-Allow-Origin"] = origin
				want["Access-Control-Allow-Credentials"] = "true"
				want["Access-Control-Allow-Headers"] = "x-a,x-b"
			}
			response, _ := s.get("/a", headers...)
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			retry := regexp.MustCompile(`\Aretry: [0-9]{4,5}\n\n\z`)
			if response.StatusCode != 200 || !retry.Match(body) {
				t.Errorf("origin %q: %s, %q; want 200 and a retry field", origin, response.Status, body)
			}
			for name, want := range want {
				if got := strings.Join(response.Header[name], "; "); got != want {
					t.Errorf("origin %q: %s: %q, want %q", origin, name, got, want)
				}
			}
		}
	})
}
