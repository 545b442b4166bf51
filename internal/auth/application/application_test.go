package application

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/auth"
)

// Ensure that an answer is kept for as long as it says, refusals too, for its client and
// channel, and not beyond the end of the grant.
func TestKept(t *testing.T) {
	until := time.Now().Add(30 * time.Second)
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("X-Millrace-User", "u")
		switch r.Header.Get("X-Channel-Id") {
		case "/brief":
			w.Header().Set("X-Millrace-Expires", fmt.Sprint(until.Unix()))
		case "/no":
			w.WriteHeader(403)
		}
	})
	a := open(t, Config{URL: app.URL})
	for _, channel := range []string{"/a", "/b", "/no", "/brief"} {
		judge(t, a, from("1", channel))
	}
	judge(t, a, from("2", "/a"))
	if n := app.requests(); n != 5 {
		t.Fatalf("%d requests for five questions", n)
	}
	for _, tt := range []struct {
		channel string
		later   time.Duration
		asked   int
	}{{"/a", 0, 0}, {"/a", 58 * time.Second, 0}, {"/no", 58 * time.Second, 0}, {"/brief", 28 * time.Second, 0}, {"/a", -time.Hour, 1},
		{"/b", 61 * time.Second, 1}, {"/brief", 31 * time.Second, 1}} {
		before := app.requests()
		v := await(t, start(t, a, from("1", tt.channel), time.Now().Add(tt.later)))
		if got := app.requests() - before; got != tt.asked || (v.Status == auth.Granted) != (tt.channel != "/no") || v.Status == auth.Granted && v.User != "u" {
			t.Errorf("%s after %v: %d requests, %+v, want %d", tt.channel, tt.later, got, v, tt.asked)
		}
	}
	if a.Stats().Kept != 4 {
		t.Errorf("%+v, want 4 that were kept", a.Stats())
	}
}

// Ensure that of the answers about one stream the one that keeps it out counts, that it
// ends with the first of its grants, and that it has one user.
func TestSeveral(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch id := r.Header.Get("X-Channel-Id"); id {
		case "/401", "/403", "/503":
			var status int
			fmt.Sscanf(id, "/%d", &status)
			w.WriteHeader(status)
		case "/soon":
			w.Header().Set("X-Millrace-Expires", fmt.Sprint(soon.Unix()))
		case "/later":
			w.Header().Set("X-Millrace-Expires", fmt.Sprint(soon.Unix()+60))
		default:
			w.Header().Set("X-Millrace-User", id[1:])
		}
	})
	a := open(t, Config{URL: app.URL})
	for _, tt := range []struct {
		channels string
		status   auth.Status
		user     string
	}{
		{"/403 /401 /503 /u", auth.Unauthorized, ""}, {"/u /503 /403", auth.Forbidden, ""}, {"/u /503", auth.Later, ""},
		{"/u /v", auth.Forbidden, ""}, {"/later /u /soon", auth.Granted, "u"},
	} {
		v := judge(t, a, from("1", strings.Fields(tt.channels)...))
		if v.Status != tt.status || v.User != tt.user {
			t.Errorf("%s: %+v, want %v of %q", tt.channels, v, tt.status, tt.user)
		}
		if v.Status == auth.Granted && v.Expires.Unix() != soon.Unix() {
			t.Errorf("%s: it expires %v, want %v", tt.channels, v.Expires, soon)
		}
	}
}

// Ensure that a storm asks no question twice: of 20,000 clients with 1,000 sessions, all
// are let in by 1,000 requests, of which the application has no more at a time than it is
// to have.
func TestStorm(t *testing.T) {
	const clients, sessions = 20000, 1000
	var now, most atomic.Int64
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for n := now.Add(1); n > most.Load(); {
			most.Store(n)
		}
		defer now.Add(-1)
		yes("Cache-Control", "max-age=60", "X-Millrace-User", r.Header.Get("Cookie"))(w, r)
	})
	a := open(t, Config{URL: app.URL})
	// This machine may be slow: a crowd that waits for longer than patience is told to
	// come back, and does, as an EventSource would.
	var in atomic.Int64
	var coming sync.WaitGroup
	for loop := range 4 {
		coming.Go(func() {
			var pending [](<-chan auth.Verdict)
			var of []*auth.Request
			for i := loop; i < clients; i += 4 {
				of = append(of, from(fmt.Sprint(i%sessions), "/all"))
			}
			for len(of) > 0 {
				pending = pending[:0]
				for _, r := range of {
					pending = append(pending, start(t, a, r, time.Now()))
				}
				var again []*auth.Request
				for i, verdicts := range pending {
					switch v := await(t, verdicts); {
					case v.Status == auth.Granted && v.User == of[i].Cookie:
						in.Add(1)
					case v.Reason == "late":
						again = append(again, of[i])
					default:
						t.Errorf("%+v", v)
					}
				}
				of = again
			}
		})
	}
	coming.Wait()
	if n := app.requests(); in.Load() != clients || n > sessions || most.Load() > DefaultConcurrency {
		t.Errorf("%d of %d are in, %d requests, %d at a time; want at most %d and %d", in.Load(), clients, n, most.Load(), sessions, DefaultConcurrency)
	}
	t.Logf("%+v", a.Stats())
}

// Ensure that a kick has what is kept of its user forgotten, and what is under way asked
// anew, and that nobody else is asked about again.
func TestKicks(t *testing.T) {
	var kicks auth.Kicks
	kick := func(user string) {
		at := time.Now()
		if err := kicks.Add(auth.Kick{User: user, At: at, Until: at.Add(time.Hour)}, at); err != nil {
			t.Error(err)
		}
	}
	var during atomic.Pointer[func(user string)]
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user := strings.TrimPrefix(r.Header.Get("Cookie"), "session=")
		if f := during.Load(); f != nil {
			(*f)(user)
		}
		yes("Cache-Control", "max-age=60", "X-Millrace-User", user)(w, r)
	})
	a := open(t, Config{URL: app.URL, Kicks: &kicks})
	asked := func(what, user string, want int, status auth.Status) {
		t.Helper()
		before := app.requests()
		v := judge(t, a, from(user, "/a"))
		if got := app.requests() - before; got != want || v.Status != status {
			t.Errorf("%s: %d requests, %+v, want %d and %v", what, got, v, want, status)
		}
	}
	asked("u", "u", 1, auth.Granted)
	asked("v", "v", 1, auth.Granted)
	asked("u, kept", "u", 0, auth.Granted)
	kick("u")
	asked("u after a kick", "u", 1, auth.Granted)
	asked("u, kept again", "u", 0, auth.Granted)
	asked("v after another's kick", "v", 0, auth.Granted)
	var once sync.Once
	f := func(user string) { once.Do(func() { kick(user) }) }
	during.Store(&f)
	asked("w, kicked while it is asked for", "w", 2, auth.Granted)
	f = func(user string) { kick(user) }
	during.Store(&f)
	asked("x, kicked all the time", "x", 2, auth.Later)
}

// Ensure that a request for which there is no room is told to come back, and that one address leaves room
// for the next.
func TestFull(t *testing.T) {
	release := make(chan struct{})
	app := serve(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	a := open(t, Config{URL: app.URL, Concurrency: 1})
	a.timeout = aWhile
	var pending [](<-chan auth.Verdict)
	ask := func(address string, i int) (refused bool) {
		r := from(fmt.Sprint(address, i), "/a")
		r.Client = netip.MustParseAddr(address)
		verdicts := start(t, a, r, time.Now())
		select {
		case v := <-verdicts:
			if v.Status != auth.Later || v.Reason != "full" {
				t.Fatalf("%+v", v)
			}
			return true
		default:
			pending = append(pending, verdicts)
			return false
		}
	}
	fill := func(address string) (n int) {
		for !ask(address, n) {
			n++
		}
		return n
	}
	for _, tt := range []struct {
		address string
		least   int
	}{{"192.0.2.1", maxQueue / 2}, {"2001:db8::1", maxQueue / 4}, {"192.0.2.2", maxQueue / 8}, {"192.0.2.3", maxQueue / 16}} {
		if n := fill(tt.address); n < tt.least {
			t.Errorf("%d questions of %s, want at least %d", n, tt.address, tt.least)
		}
	}
	if !ask("2001:db8::2", 0) { // the same network
		t.Error("another address of a full network has room")
	}
	big := from(strings.Repeat("x", maxQueueBytes/2), "/a")
	big.Client = netip.MustParseAddr("192.0.2.9")
	if v := judge(t, a, big); v.Reason != "full" {
		t.Errorf("a request of %d bytes: %+v", maxQueueBytes/2, v)
	}
	if s := a.Stats(); s.Waiting > maxQueue || s.Asking != 1 || s.Overflow < 5 {
		t.Errorf("%+v", s)
	}
	close(release)
	a.Close() // has the rest come back
	granted := 0
	for _, verdicts := range pending {
		if v := await(t, verdicts); v.Status == auth.Granted {
			granted++
		} else if v.Status != auth.Later {
			t.Errorf("%+v", v)
		}
	}
	if v := judge(t, a, from("1", "/a")); v.Status != auth.Later || a.Stats().Waiting != 0 || a.queue.bytes != 0 || a.waiting != 0 {
		t.Errorf("when it is closed: %+v, %+v", v, a.Stats())
	}
}

// Ensure that addresses take turns, whatever one of them has put there before.
func TestTurns(t *testing.T) {
	var q queue
	one, two := networkOf(netip.MustParseAddr("192.0.2.1")), networkOf(netip.MustParseAddr("192.0.2.2"))
	push := func(network netip.Prefix, uri string) {
		q.push(network, &flight{question: question{uri: uri, request: new(auth.Request)}})
	}
	for i := range 4 {
		push(one, fmt.Sprint("a", i))
	}
	for i := range 2 {
		push(two, fmt.Sprint("b", i))
	}
	var got []string
	for f := q.pop(); f != nil; f = q.pop() {
		got = append(got, f.uri)
	}
	if want := "a0 b0 a1 b1 a2 a3"; strings.Join(got, " ") != want || q.n != 0 || q.bytes != 0 || len(q.lists) != 0 || len(q.turns) != 0 {
		t.Errorf("%q, left %+v, want %s", got, q, want)
	}
}

// Ensure that the cache keeps what is asked for, whatever comes beside it, within its
// bounds.
func TestCacheBounds(t *testing.T) {
	c := cache{most: 100}
	now := time.Now()
	until := now.Add(time.Hour)
	c.put(key{1}, answer{user: "u"}, until)
	for i := range uint64(10000) {
		c.put(key{2, i}, answer{}, until)
		if got, ok := c.get(key{1}, now); !ok || got.user != "u" {
			t.Fatalf("after %d others: %+v, %v", i, got, ok)
		}
		if c.len() > 100 {
			t.Fatalf("%d answers, want at most 100", c.len())
		}
	}
	c.put(key{4}, answer{issued: now}, until)
	if _, ok := c.get(key{4}, now.Add(-slack)); !ok {
		t.Error("an answer that came while a loop was busy is not kept")
	}
	if _, ok := c.get(key{4}, now.Add(-slack-1)); ok {
		t.Error("kept though the clock has been put back")
	}
	if _, ok := c.get(key{1}, until); ok {
		t.Error("kept beyond its end")
	}
	large := answer{text: strings.Repeat("x", maxKeptBytes/4)}
	for i := range uint64(10) {
		c.put(key{3, i}, large, until)
	}
	if n := c.len(); n > 5 {
		t.Errorf("%d large answers are kept", n)
	}
}
