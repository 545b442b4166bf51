package interop

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"millrace/bench"
	"millrace/channels"
	"millrace/internal/pattern"
	"millrace/internal/testenv"
	"millrace/server"
)

// compressingNginx compresses each stream by itself, with what its manual says and at its
// level unless told otherwise.
const compressingNginx = `daemon off;
pid DIR/nginx.pid;
error_log stderr emerg;
events {}
http {
	access_log off;
	client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
	gzip on;
	gzip_types text/event-stream;
	gzip_proxied any;
	server {
		listen ADDRESS;
		location / {
			proxy_pass http://UPSTREAM;
			proxy_http_version 1.1;
			proxy_buffering off;
			proxy_set_header Accept-Encoding "";
		}
	}
}
`

// startNginx runs a compressing nginx in front of upstream until the test ends.
func startNginx(t *testing.T, upstream string) (address string) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	config := filepath.Join(dir, "nginx.conf")
	text := strings.NewReplacer("DIR", dir, "ADDRESS", address, "UPSTREAM", upstream).Replace(compressingNginx)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "nginx", "-p", dir, "-e", "stderr", "-c", config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("nginx: %s", said.String())
		}
	})
	testenv.Eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

// coded is a stream with the content coding gzip whose bytes are counted.
type coded struct {
	body  io.Reader
	bytes atomic.Int64 // of the body, without the chunks that it may have come in
	text  *gzip.Reader
}

func (c *coded) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// openCoded opens a stream with the content coding gzip.
func openCoded(t *testing.T, address string) *coded {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	transport := &http.Transport{DisableCompression: true}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close(); transport.CloseIdleConnections() })
	if got := response.Header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("GET http://%s/a: %s, Content-Encoding %q, want gzip", address, response.Status, got)
	}
	c := &coded{body: response.Body}
	if c.text, err = gzip.NewReader(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// want reads text that ends with end, and returns how long it is.
func (c *coded) want(t *testing.T, end string) int {
	t.Helper()
	var text []byte
	for buf := make([]byte, 4096); !bytes.HasSuffix(text, []byte(end)); {
		n, err := c.text.Read(buf)
		if text = append(text, buf[:n]...); err != nil {
			t.Fatalf("after %.200q: %v, want %.100q", text, err, end)
		}
	}
	return len(text)
}

// Ensure that a stream takes few more bytes than nginx sends, which compresses each by itself,
// with a window of 32 KiB and the work for every stream: at most 1.35 times as many, and 1.5
// for events below 200 bytes.
func TestGzipBytes(t *testing.T) {
	if testenv.Race {
		t.Skip("a loop that compresses for longer than 1 ms sends messages as they are: what is counted is another program's")
	}
	const attempts = 3 // a loop that does not get its processor sends some as they are, too
	for _, corpus := range bench.Corpora {
		t.Run(corpus.Name, func(t *testing.T) {
			for attempt := 1; ; attempt++ {
				plain, ours, nginx := gzipBytes(t, corpus)
				t.Logf("%.0f bytes an event; millrace %.1f (%.2f of them), nginx %.1f: %.2f times as many", plain, ours, ours/plain, nginx, ours/nginx)
				most, share := 1.35, 1.0
				if plain < 200 {
					most = 1.5
				}
				if corpus.Name == "turbo" {
					share = 0.25
				}
				if ours <= most*nginx && ours <= share*plain {
					return
				}
				if attempt == attempts {
					t.Fatalf("%.2f times the bytes that nginx sends, want %.2f at most; %.2f of the plain ones, want %.2f", ours/nginx, most, ours/plain, share)
				}
			}
		})
	}
}

// gzipBytes publishes events of a corpus, and returns how many bytes each is: plain, of a stream with
// gzip, and of one that nginx compresses.
func gzipBytes(t *testing.T, corpus bench.Corpus) (plainBytes, oursBytes, nginxBytes float64) {
	t.Helper()
	patterns, err := pattern.ParseList([]string{"/*"})
	if err != nil {
		t.Fatal(err)
	}
	const events, crowd = 400, 8
	ours := start(t, server.Config{Gzip: patterns}, 1)
	plain := start(t, server.Config{}, 1)
	streams := map[string]*coded{"millrace": openCoded(t, ours.public)}
	for range crowd - 1 {
		openCoded(t, ours.public)
	}
	streams["nginx"] = openCoded(t, startNginx(t, plain.public))
	for _, c := range streams {
		c.want(t, "id: e-0\n\n")
	}
	ours.awaitSubscribersOf("/a", crowd)
	plain.awaitSubscribersOf("/a", 1)
	begin := make(map[string]int64)
	for name, c := range streams {
		begin[name] = c.bytes.Load()
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := 0
	for n := range events {
		ev := channels.Event{Data: []byte(corpus.Next(random, n))}
		for _, node := range []*fixture{ours, plain} {
			if _, err := node.broker.Publish("/a", ev); err != nil {
				t.Fatal(err)
			}
		}
		size := 0
		for _, c := range streams {
			size = c.want(t, fmt.Sprintf("id: e-%d\n\n", n+1))
		}
		text += size
	}
	took := func(name string) float64 { return float64(streams[name].bytes.Load()-begin[name]) / events }
	return float64(text) / events, took("millrace"), took("nginx")
}
