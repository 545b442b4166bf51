package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/netpoll"
	"millrace/internal/testenv"
)

// authorizer decides by a function, at once.
type authorizer func(r *auth.Request, now time.Time) auth.Verdict

func (a authorizer) Authorize(r *auth.Request, now time.Time, _ func(auth.Verdict)) (auth.Verdict, bool) {
	return a(r, now), true
}

// late decides as another authorizer does, and answers when the test says so.
type late struct {
	auth.Authorizer
	mu    sync.Mutex
	ready []func()
}

func (a *late) Authorize(r *auth.Request, now time.Time, done func(auth.Verdict)) (auth.Verdict, bool) {
	v, _ := a.Authorizer.Authorize(r, now, nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = append(a.ready, func() { done(v) })
	return auth.Verdict{}, false
}

// questions returns how many have not been answered.
func (a *late) questions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ready)
}

// answer gives all answers, from a goroutine for each.
func (a *late) answer() {
	a.mu.Lock()
	defer a.mu.Unlock()
	var answering sync.WaitGroup
	for _, done := range a.ready {
		answering.Go(done)
	}
	answering.Wait()
	a.ready = nil
}

// byPath decides by the path of a request, as a test of statuses wants it.
var byPath = authorizer(func(r *auth.Request, _ time.Time) auth.Verdict {
	v := auth.Verdict{Means: "jwt", Channels: r.Channels}
	switch r.Path {
	case "/unauthorized":
		v.Status, v.Reason, v.Text = auth.Unauthorized, "expired", "the token has expired"
	case "/forbidden":
		v.Status, v.Reason, v.Text = auth.Forbidden, "no_grant", "the token grants others"
	case "/later":
		v.Status, v.Reason, v.Text = auth.Later, "keys", "the keys are not to be had"
	case "/broken":
		v.Status = 77
	case "/other":
		v.Channels = []string{"chosen", "chosen"}
	case "/none":
		v.Channels = nil
	case "/bad":
		v.Channels = []string{"\x00"}
	case "/reserved":
		v.Channels = []string{"__keyspace@0__:x"}
	case "/many":
		for i := range DefaultMaxChannelsPerStream + 1 {
			v.Channels = append(v.Channels, fmt.Sprint(i))
		}
	}
	return v
})

// Ensure that each verdict gets its answer, whether it comes at once or later, and that
// pages elsewhere may read it.
func TestVerdicts(t *testing.T) {
	const retry = `^retry: [0-9]+\n\n$`
	for _, when := range []string{"at once", "later"} {
		t.Run(when, func(t *testing.T) {
			questions := &late{Authorizer: byPath}
			cfg := Config{Authorizer: byPath, AllowOrigins: []string{"https://app.example"}, Retry: time.Second}
			if when == "later" {
				cfg.Authorizer = questions
			}
			s, b := start(t, cfg, channels.Options{})
			for _, tt := range []struct {
				path   string
				status int
				body   string
			}{
				{"/granted", 200, `^:\nretry: 1000\n\n$`},
				{"/other", 200, `^:\nretry: 1000\n\n$`},
				{"/unauthorized", 401, "^unauthorized: the token has expired\n$"},
				{"/forbidden", 403, "^forbidden: the token grants others\n$"},
				{"/broken", 403, "^forbidden: \n$"},
				{"/later", 200, retry},
				{"/none", 403, "^forbidden: the request names no channel, and neither does what it may have\n$"},
				{"/bad", 400, "^bad channel name: "},
				{"/reserved", 403, "^forbidden: the channel \"__keyspace@0__:x\" is kept for engines and frameworks\n$"},
				{"/many", 403, "^forbidden: more than 64 channels in one stream"},
			} {
				request, err := http.NewRequest("GET", "http://"+s.Addr().String()+tt.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Origin", "https://app.example")
				if when == "later" {
					go func() {
						testenv.Eventually(t, "the question", func() bool { return questions.questions() == 1 })
						questions.answer()
					}()
				}
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Fatalf("%s: %v", tt.path, err)
				}
				body, err := io.ReadAll(io.LimitReader(response.Body, int64(len(":\nretry: 1000\n\n"))))
				if tt.status != 200 {
					var rest []byte
					rest, err = io.ReadAll(response.Body)
					body = append(body, rest...)
				}
				if err != nil || response.StatusCode != tt.status || !regexp.MustCompile(tt.body).Match(body) {
					t.Errorf("%s: %s %q, %v, want %d %s", tt.path, response.Status, body, err, tt.status, tt.body)
				}
				if tt.status == 200 && tt.body != retry {
					want := strings.TrimPrefix(strings.Replace(tt.path, "other", "chosen", 1), "/")
					if got := b.Ports().Channels(); len(got) != 1 || strings.TrimPrefix(got[0], "/") != want {
						t.Errorf("%s: the channels %q, want %s", tt.path, got, want)
					}
				}
				response.Body.Close()
				header := response.Header
				wanted := map[string]string{"Access-Control-Allow-Origin": "https://app.example", "WWW-Authenticate": "", "Cache-Control": ""}
				switch tt.status {
				case 200:
					wanted["Cache-Control"] = "private, no-cache, no-transform"
				case 401:
					wanted["WWW-Authenticate"] = "Bearer"
				}
				for name, want := range wanted {
					if got := header.Get(name); got != want {
						t.Errorf("%s: %s: %q, want %q", tt.path, name, got, want)
					}
				}
				testenv.Eventually(t, "the end of "+tt.path, func() bool { return len(b.Ports().Channels()) == 0 })
			}
			http.DefaultClient.CloseIdleConnections()
			n := s.Stats()
			for kind, want := range map[VerdictKind]uint64{
				{"jwt", "granted", ""}: 6, {"jwt", "unauthorized", "expired"}: 1, {"jwt", "forbidden", "no_grant"}: 1,
				{"jwt", "later", "keys"}: 1, {"jwt", "unknown", ""}: 1,
			} {
				if got := n.Verdicts[kind]; got != want {
					t.Errorf("%d verdicts %+v, want %d", got, kind, want)
				}
			}
			if n.Undecided != 0 || s.asked.Load() != 0 || s.undecided.Load() != 0 || n.LateVerdicts != 0 {
				t.Errorf("%d undecided, %d bytes asked, %d late", n.Undecided, s.asked.Load(), n.LateVerdicts)
			}
		})
	}
}

// Ensure that HEAD is decided on as GET is, and has no body.
func TestVerdictOfHead(t *testing.T) {
	questions := &late{Authorizer: byPath}
	h := turnByHand(t, Config{Authorizer: questions}, channels.Options{})
	for path, want := range map[string]string{
		"/granted": "HTTP/1.1 200 OK\r\n", "/unauthorized": "HTTP/1.1 401 Unauthorized\r\n", "/later": "HTTP/1.1 200 OK\r\n",
	} {
		fd, peer := h.connect()
		unixWrite(t, peer, "HEAD "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		h.on(fd, true, false)
		questions.answer()
		h.turnOver()
		if got := received(peer); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\r\n\r\nEOF") {
			t.Errorf("HEAD %s: %q, want %q and no body", path, got, want)
		}
	}
	for _, method := range []string{"GET", "HEAD"} { // of a client above its limits
		fd, peer := h.connect()
		h.conn(fd).why = reasonAddressLimit
		unixWrite(t, peer, method+" /unauthorized HTTP/1.1\r\nHost: h\r\n\r\n")
		h.on(fd, true, false)
		if got := received(peer); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "EOF") {
			t.Errorf("%s above a limit: %q, want 200 without a verdict", method, got)
		}
	}
}

// userOf grants the channel that the cookie names.
var userOf = authorizer(func(r *auth.Request, _ time.Time) auth.Verdict {
	return auth.Verdict{Means: "application", Channels: []string{"/" + r.Cookie}, User: r.Cookie}
})

// Ensure that a verdict never meets another client that has the same descriptor by then.
func TestVerdictForAnotherClient(t *testing.T) {
	questions := &late{Authorizer: userOf}
	h := turnByHand(t, Config{Authorizer: questions}, channels.Options{})
	ask := func(fd int32, peer int, cookie string) {
		t.Helper()
		unixWrite(t, peer, "GET /x HTTP/1.1\r\nHost: h\r\nCookie: "+cookie+"\r\n\r\n")
		h.on(fd, true, false)
	}
	fd, peer := h.connect()
	ask(fd, peer, "victim")
	unix.Shutdown(peer, unix.SHUT_WR)
	h.on(fd, true, false)
	if h.owns(fd) || h.counters.undecided.Load() != 0 {
		t.Fatal("the client has left, and its request is still there")
	}
	// The next client gets the very descriptor.
	ours, other := socketPair(t)
	t.Cleanup(func() { unix.Close(other) })
	if int32(ours) != fd {
		got, err := unix.FcntlInt(uintptr(ours), unix.F_DUPFD_CLOEXEC, int(fd)) // the first free one from fd on
		if err != nil || got != int(fd) {
			t.Fatalf("a duplicate at %d: %d, %v", fd, got, err)
		}
		unix.Close(ours)
	}
	if err := h.open(fd, netpoll.Peer{}, false); err != nil {
		t.Fatal(err)
	}
	ask(fd, other, "thief")
	victim := questions.ready[0]
	questions.ready = questions.ready[1:]
	victim()
	victim() // an authorizer that answers twice harms nobody
	h.turnOver()
	if got := received(other); got != "" || h.conn(fd).state != stateUndecided {
		t.Fatalf("the next client got %q by the verdict on another", got)
	}
	questions.answer()
	h.turnOver()
	if got := received(other); !strings.HasSuffix(got, "\r\n\r\n:\n\n") {
		t.Fatalf("the next client got %q", got)
	}
	if got := h.broker.Ports().Channels(); len(got) != 1 || got[0] != "/thief" {
		t.Errorf("streams are on %q, want /thief alone", got)
	}
	if n := h.server.Stats(); n.LateVerdicts != 1 || h.server.asked.Load() != 0 {
		t.Errorf("%d late verdicts and %d bytes asked, want 1 and 0", n.LateVerdicts, h.server.asked.Load())
	}
}

// Ensure that clients which come, leave and come again while their verdicts are under way
// get what was granted to them, and to nobody else.
func TestVerdictsUnderChurn(t *testing.T) {
	const clients = 40
	slow := &slowAuthorizer{Authorizer: userOf}
	defer slow.wait()
	s, b := start(t, Config{Authorizer: slow, Loops: 2}, channels.Options{})
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			name := fmt.Sprint("client", i)
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 20 {
				c := dial(t, s)
				fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: h\r\nCookie: %s\r\n\r\n", name)
				if random.IntN(2) == 0 {
					c.Close() // perhaps before its verdict, perhaps after
					continue
				}
				if status := c.line(); status != "HTTP/1.1 200 OK\r\n" {
					t.Errorf("%s: %q", name, status)
					return
				}
				c.skipTo("\r\n")
				c.want(":\n\n")
				if _, err := b.Publish("/"+name, channels.Event{Data: []byte(name)}); err != nil {
					t.Error(err)
				}
				c.want("data: " + name + "\n\n")
				c.Close()
			}
		})
	}
	running.Wait()
	testenv.Eventually(t, "all have left", func() bool { return s.Stats().Connections == 0 })
	slow.wait() // for what those who have left asked
	n := s.Stats()
	if n.Undecided != 0 || s.undecided.Load() != 0 || s.asked.Load() != 0 || s.streams.Load() != 0 {
		t.Errorf("%d undecided, %d bytes asked, %d places taken, want none", n.Undecided, s.asked.Load(), s.streams.Load())
	}
	t.Logf("%d verdicts came too late", n.LateVerdicts)
}

// slowAuthorizer decides as another does, after up to 2 ms.
type slowAuthorizer struct {
	auth.Authorizer
	deciding sync.WaitGroup
}

func (a *slowAuthorizer) Authorize(r *auth.Request, now time.Time, done func(auth.Verdict)) (auth.Verdict, bool) {
	v, _ := a.Authorizer.Authorize(r, now, nil)
	a.deciding.Add(1)
	time.AfterFunc(rand.N(2*time.Millisecond), func() {
		defer a.deciding.Done()
		done(v)
	})
	return auth.Verdict{}, false
}

func (a *slowAuthorizer) wait() { a.deciding.Wait() }

// Ensure that a request waits for its verdict only so long, and that a drain ends the wait:
// the client is told to come back.
func TestVerdictTooLate(t *testing.T) {
	for _, tt := range []struct {
		name string
		why  reason
		end  func(h handLoop)
	}{
		{"timeout", reasonVerdictLate, func(h handLoop) { h.pass(verdictTimeout + tick) }},
		{"drain", reasonDrained, func(h handLoop) { h.startDrain() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			questions := &late{Authorizer: userOf}
			h := turnByHand(t, Config{Authorizer: questions, Drain: 10 * time.Second, AllowOrigins: []string{"https://app.example"}}, channels.Options{})
			fd, peer := h.connect()
			unixWrite(t, peer, "GET /x HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\nCookie: a\r\n\r\n")
			h.on(fd, true, false)
			h.pass(verdictTimeout - 2*tick)
			if got := received(peer); got != "" {
				t.Fatalf("before that it got %q", got)
			}
			tt.end(h)
			got := received(peer)
			if !regexp.MustCompile(`(?s)^HTTP/1.1 200 OK\r\n.*Access-Control-Allow-Origin: https://app.example\r\n.*\r\n\r\nretry: [0-9]+\n\nEOF$`).MatchString(got) {
				t.Errorf("it got %q", got)
			}
			questions.answer() // nobody waits for it
			h.turnOver()
			unix.Shutdown(peer, unix.SHUT_WR)
			h.on(fd, true, false)
			n := h.server.Stats()
			if n.Closed[tt.why.String()] != 1 || n.LateVerdicts != 1 || n.Undecided != 0 || n.Streams != 0 {
				t.Errorf("%+v, want one ended by %q, one late verdict", n, tt.why)
			}
		})
	}
}

// Ensure that what authorizers have and do not answer is bounded, also by clients that
// leave again, and that the bound is given back.
func TestFloodOfQuestions(t *testing.T) {
	questions := &late{Authorizer: userOf}
	h := turnByHand(t, Config{Authorizer: questions}, channels.Options{})
	head := "GET /x HTTP/1.1\r\nHost: h\r\nCookie: " + strings.Repeat("x", 15<<10) + "\r\n\r\n"
	asked := func() (answer string) {
		t.Helper()
		ours, peer := socketPair(t)
		defer unix.Close(peer)
		if err := h.open(int32(ours), netpoll.Peer{}, false); err != nil {
			t.Fatal(err)
		}
		unixWrite(t, peer, head)
		h.on(int32(ours), true, false)
		answer = received(peer)
		unix.Shutdown(peer, unix.SHUT_WR)
		h.on(int32(ours), true, false)
		return answer
	}
	const most = maxAsked / (15 << 10)
	n := 0
	for ; n <= most && asked() == ""; n++ {
	}
	if n < most*8/10 || n > most || n != questions.questions() {
		t.Errorf("%d requests are asked about, of which %d are open, want some %d", n, questions.questions(), most)
	}
	if got := asked(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "\r\n\r\nretry: ") {
		t.Errorf("one more got %q", got)
	}
	stats := h.server.Stats()
	if stats.Undecided != 0 || stats.Closed[reasonVerdicts.String()] == 0 {
		t.Errorf("%d undecided, ended: %v", stats.Undecided, stats.Closed)
	}
	questions.answer()
	h.turnOver()
	if left := h.server.asked.Load(); left != 0 || asked() != "" {
		t.Errorf("with all answered, %d bytes are asked, and the next is not", left)
	}
}

// Ensure that requests which wait take the places of streams.
func TestUndecidedTakePlaces(t *testing.T) {
	questions := &late{Authorizer: userOf}
	h := turnByHand(t, Config{Authorizer: questions, MaxConnections: 3}, channels.Options{})
	var got []string
	for i := range 4 {
		fd, peer := h.connect()
		unixWrite(t, peer, fmt.Sprintf("GET /x HTTP/1.1\r\nHost: h\r\nCookie: %d\r\n\r\n", i))
		h.on(fd, true, false)
		got = append(got, received(peer))
	}
	if got[0]+got[1]+got[2] != "" || !strings.Contains(got[3], "\r\n\r\nretry: ") {
		t.Errorf("the answers are %q, want the fourth told to come back", got)
	}
	questions.answer()
	h.turnOver()
	if n := h.server.Stats(); n.Streams != 3 || n.Undecided != 0 || n.Closed[reasonOverload.String()] != 0 {
		t.Errorf("%+v, want 3 streams", n)
	}
}
