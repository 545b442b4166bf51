package ops

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/handover"
	"millrace/internal/ports"
	"millrace/internal/testenv"
	"millrace/server"
)

// upgraded is an ops port that moves from server to server.
type upgraded struct {
	*node
	cfg  Config
	stop func()
}

func upgradable(t testing.TB, cfg Config) *upgraded {
	t.Helper()
	u := &upgraded{node: start(t, cfg, channels.Options{}, server.Config{Loops: 1}), cfg: cfg}
	u.cfg.Broker, u.cfg.Streams = u.broker, u.public
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(ln, u.cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := u.ops
	t.Cleanup(func() {
		u.client.CloseIdleConnections()
		u.stop()
		u.ops = first // which the node closes
	})
	u.serve(s)
	return u
}

func (u *upgraded) serve(s *Server) {
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	u.ops, u.stop = s, func() {
		if err := s.Close(); err != nil {
			u.t.Error("Close:", err)
		}
		if err := <-served; err != nil {
			u.t.Error("Serve:", err)
		}
	}
}

// release releases the port.
func (u *upgraded) release() {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if busy := u.ops.Release(ctx); busy != 0 {
		u.t.Fatalf("%d requests do not end", busy)
	}
}

// move has another server take over, after one that could not.
func (u *upgraded) move() {
	u.t.Helper()
	u.release()
	if err := u.ops.HandOver(handover.Version, func(handover.Kind, []byte, ...int) error { return nil }); err != nil {
		u.t.Fatal(err)
	}
	u.ops.Resume()

	u.release()
	a, b, err := handover.Pair()
	if err != nil {
		u.t.Fatal(err)
	}
	from, to, old, stop := handover.NewConn(a), handover.NewConn(b), u.ops, u.stop
	defer from.Close()
	defer to.Close()
	sent := make(chan error, 1)
	go func() {
		fd, err := old.Descriptor()
		if err == nil {
			err = from.Send(handover.KindListener, nil, fd)
		}
		if err == nil {
			err = old.HandOver(handover.Version, from.Send)
		}
		sent <- err
	}()
	f, err := to.Expect(handover.KindListener)
	if err != nil {
		u.t.Fatal(err)
	}
	ln, err := ports.Inherit(f.FDs[0])
	if err != nil {
		u.t.Fatal(err)
	}
	s, err := New(ln, u.cfg)
	if err != nil {
		u.t.Fatal(err)
	}
	for complete := false; !complete; {
		f, err := to.Expect(handover.KindOps)
		if err == nil {
			complete, err = s.Adopt(handover.Version, f)
		}
		if err != nil {
			u.t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		u.t.Fatal(err)
	}
	u.serve(s)
	stop()
}

func (u *upgraded) dial() net.Conn {
	u.t.Helper()
	nc, err := net.Dial("tcp", u.ops.Addr().String())
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { nc.Close() })
	return nc
}

// Ensure that a connection goes on in another server wherever it is between two requests, and
// that none of its requests is lost or answered twice.
func TestHandOver(t *testing.T) {
	const get = "GET /channels//nobody HTTP/1.1\r\nHost: localhost\r\n\r\n"
	post := func(data string) string {
		return fmt.Sprintf("POST /publish?channel=/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(data), data)
	}
	for _, tt := range []struct {
		name          string
		before, after string
		published     []string
	}{
		{"nothing", "", post("1"), []string{"1"}},
		{"one request", post("1"), post("2"), []string{"1", "2"}},
		{"no keep-alive", strings.Replace(post("1"), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), "", []string{"1"}},
		{"half a head", "POST /publish?channel=/a HTTP/1.1\r\nHo", "st: localhost\r\nContent-Length: 1\r\n\r\n1" + post("2"), []string{"1", "2"}},
		{"all but the last byte of a head", strings.TrimSuffix(get, "\n"), "\n" + post("1"), []string{"1"}},
		{"requests together", post("1") + post("2"), post("3"), []string{"1", "2", "3"}},
		{"half of the second", get + "GE", strings.TrimPrefix(get, "GE") + post("1"), []string{"1"}},
		{"a byte of the second", post("1") + "P", strings.TrimPrefix(post("2"), "P"), []string{"1", "2"}},
		{"most of the third", get + post("1") + "POST /publish?channel=/a HTTP/1.1\r\n", strings.TrimPrefix(post("2"), "POST /publish?channel=/a HTTP/1.1\r\n"), []string{"1", "2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := upgradable(t, Config{})
			var heard heardData
			u.broker.Ports().Observe(&heard, "/a")
			nc := u.dial()
			r := bufio.NewReader(nc)
			send := func(text string) {
				if _, err := io.WriteString(nc, text); err != nil {
					t.Fatal(err)
				}
			}
			answered := func(n int) {
				for range n {
					response, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(response.Body)
					if err != nil || response.StatusCode != 200 && response.StatusCode != 404 {
						t.Fatalf("%d %q, %v", response.StatusCode, body, err)
					}
				}
			}
			answers := func(text string) int { return strings.Count(text, "\r\n\r\n") }
			send(tt.before)
			answered(answers(tt.before))
			u.move()
			u.move()
			send(tt.after)
			answered(answers(tt.before+tt.after) - answers(tt.before))
			if got := heard.all(); fmt.Sprint(got) != fmt.Sprint(tt.published) {
				t.Errorf("published %q, want %q", got, tt.published)
			}
		})
	}
}

// heardData has what was published.
type heardData struct {
	mu   sync.Mutex
	data []string
}

func (h *heardData) Hear(_ channels.Glob, _ string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.data = append(h.data, string(data))
}

func (h *heardData) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.data
}

// Ensure that publishers on kept connections get an answer to every request over many
// handovers, that event streams and profiles end so that they come back, that health is never
// denied, and that no descriptor is left.
func TestManyHandOvers(t *testing.T) {
	const moves = 20
	u := upgradable(t, Config{})
	var heard heardData
	u.broker.Ports().Observe(&heard, "/a")
	address := u.ops.Addr().String()
	var clients sync.WaitGroup
	ctx, done := context.WithCancel(t.Context())
	over := func() bool { return ctx.Err() != nil }
	for i := range 3 {
		clients.Go(func() {
			transport := &http.Transport{MaxIdleConnsPerHost: 1}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			for n := 0; !over(); n++ {
				data := fmt.Sprintf("%d %d %s", i, n, strings.Repeat("x", 700*n%9000))
				response, err := client.Post("http://"+address+"/publish?channel=/a", "", strings.NewReader(data))
				if err != nil {
					t.Errorf("publisher %d: %v", i, err)
					return
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != 200 {
					t.Errorf("publisher %d: %s %q, %v", i, response.Status, body, err)
				}
				if response, err = client.Get("http://" + address + "/healthz"); err != nil || response.StatusCode != 200 {
					t.Errorf("health: %v, %v", response, err)
					return
				}
				response.Body.Close()
			}
		})
	}
	clients.Go(func() { // a follower that comes back
		for !over() {
			r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+address+"/follow?channel=/b", nil)
			response, err := http.DefaultClient.Do(r)
			switch {
			case err == nil:
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
			case !over():
				t.Errorf("follower: %v", err)
				return
			}
		}
	})
	descriptors := 0
	for i := range moves {
		testenv.Eventually(t, "the follower is there", func() bool { return u.ops.Stats().Streams > 0 })
		if i == 1 {
			descriptors = testenv.Descriptors(t)
		}
		u.move()
	}
	done()
	clients.Wait()
	http.DefaultClient.CloseIdleConnections()
	if n := testenv.Descriptors(t); n > descriptors+4 {
		t.Errorf("%d descriptors after %d handovers, %d before", n, moves, descriptors)
	}
	next := make(map[int]int)
	for _, data := range heard.all() {
		var who, n int
		if _, err := fmt.Sscanf(data, "%d %d", &who, &n); err != nil || n != next[who] {
			t.Fatalf("%.40q, want number %d of publisher %d", data, next[who], who)
		}
		next[who]++
	}
	t.Logf("%v events, %d handovers", next, moves)
}

// Ensure that a request that goes on holds the port up for no longer than it may, and ends
// there.
func TestReleaseOfBusyPort(t *testing.T) {
	u := upgradable(t, Config{})
	nc := u.dial()
	io.WriteString(nc, "POST /publish?channel=/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe")
	testenv.Eventually(t, "the request is being read", func() bool { return u.ops.Stats().Open == 1 && u.ops.places.Busy() == 1 })
	profile := u.dial()
	io.WriteString(profile, "GET /debug/pprof/trace?seconds=30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	testenv.Eventually(t, "a trace is made", func() bool { return u.ops.profiles.Open() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if busy := u.ops.Release(ctx); busy != 1 {
		t.Errorf("%d requests go on, want 1", busy)
	}
	if err := u.ops.HandOver(handover.Version, func(_ handover.Kind, payload []byte, fds ...int) error {
		if len(fds) > 1 {
			t.Errorf("%d connections are handed over, want at most that of the trace", len(fds))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	io.WriteString(nc, "llo")
	answer := make([]byte, 15)
	if _, err := io.ReadFull(nc, answer); err != nil || !bytes.Equal(answer, []byte("HTTP/1.1 200 OK")) {
		t.Errorf("%q, %v", answer, err)
	}
	u.ops.Resume()
}
