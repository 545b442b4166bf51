package interop

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"millrace/channels"
	"millrace/server"
)

// http2Clients open as many streams of one url as they are told, on one connection, and print
// the lines that they hear.
var http2Clients = []struct {
	name    string
	streams int
	listen  func(t *testing.T, url, trusted string, streams int) *bufio.Scanner
}{
	{"curl", 1, func(t *testing.T, url, trusted string, _ int) *bufio.Scanner {
		return lines(t, command(t, "curl", "-sSN", "--http2", "--cacert", trusted, url))
	}},
	{"Node", 20, func(t *testing.T, url, trusted string, streams int) *bufio.Scanner {
		const program = `const [url, trusted, streams] = process.argv.slice(1)
			const session = require('http2').connect(url, { ca: require('fs').readFileSync(trusted) })
			for (let i = 0; i < streams; i++) {
				const input = session.request({ ':path': new URL(url).pathname })
				require('readline').createInterface({ input }).on('line', (line) => console.log(line))
			}`
		return lines(t, command(t, "node", "-e", program, url, trusted, fmt.Sprint(streams)))
	}},
	{"Go", 20, goHTTP2},
}

func goHTTP2(t *testing.T, url, trusted string, streams int) *bufio.Scanner {
	text, err := os.ReadFile(trusted)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s: no certificate, %v", trusted, err)
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	r, w := io.Pipe()
	for range streams {
		answer, err := client.Get(url)
		if err != nil || answer.ProtoMajor != 2 {
			t.Fatalf("%+v, %v, want HTTP/2", answer, err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		go func() {
			in := bufio.NewScanner(answer.Body)
			for in.Buffer(nil, 1<<20); in.Scan(); {
				fmt.Fprintln(w, in.Text())
			}
		}()
	}
	t.Cleanup(func() { r.Close() })
	return bufio.NewScanner(r)
}

// Ensure that clients of HTTP/2 that others have written hear everything on many streams of one
// connection, also events that are larger than a frame, and together than a window.
func TestHTTP2Clients(t *testing.T) {
	for _, c := range http2Clients {
		t.Run(c.name, func(t *testing.T) {
			f, trusted := startTLS(t, server.Config{})
			in := c.listen(t, "https://"+f.public+channel, trusted, c.streams)
			in.Buffer(nil, 1<<20)
			f.awaitSubscribers(c.streams)
			if n := f.server.Stats(); n.Connections != 1 || n.H2 != 1 {
				t.Errorf("%d streams have %d connections, %d of HTTP/2, want 1", c.streams, n.Connections, n.H2)
			}
			for _, text := range []string{"one", strings.Repeat("long ", 10_000), strings.Repeat("more ", 10_000), "last"} {
				if _, err := f.broker.Publish(channel, channels.Event{Data: []byte(text)}); err != nil {
					t.Fatal(err)
				}
				for range c.streams {
					wantLine(t, in, "data: "+text)
				}
			}
		})
	}
}
