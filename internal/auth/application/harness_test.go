package application

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience of tests; none waits that long unless something is broken.
const aWhile = time.Minute

// site is an application that runs until the test ends, and what it was asked.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*http.Request
}

// serve runs an application.
func serve(t testing.TB, handler http.HandlerFunc) *site {
	s := new(site)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r)
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// requests returns how often it was asked.
func (s *site) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// last returns what it was asked last.
func (s *site) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// open returns an Application that asks a URL until the test ends.
func open(t testing.TB, cfg Config) *Application {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// from is a request of a client with a session.
func from(session string, channels ...string) *auth.Request {
	r := &auth.Request{Channels: channels, Method: "GET", Path: "/events", Host: "events.example.org", Client: netip.MustParseAddr("192.0.2.7")}
	if session != "" {
		r.Cookie = "session=" + session
	}
	return r
}

// start has a request judged, and returns where its verdict comes.
func start(t testing.TB, a *Application, r *auth.Request, now time.Time) <-chan auth.Verdict {
	t.Helper()
	verdicts := make(chan auth.Verdict, 2)
	credential, ok := a.Find(r)
	if !ok {
		t.Fatal("Find has found nothing")
	}
	v, ok := a.Judge(r, credential, r.Channels, now, func(v auth.Verdict) { verdicts <- v })
	if ok {
		verdicts <- v
	}
	return verdicts
}

// judge is start, and waits.
func judge(t testing.TB, a *Application, r *auth.Request) auth.Verdict {
	t.Helper()
	return await(t, start(t, a, r, time.Now()))
}

func await(t testing.TB, verdicts <-chan auth.Verdict) auth.Verdict {
	t.Helper()
	select {
	case v := <-verdicts:
		if v.Means != auth.MeansApplication || (v.Status == auth.Granted) != (v.Reason == "") || (v.Status == auth.Granted) != (v.Text == "") {
			t.Errorf("a verdict that is none: %+v", v)
		}
		return v
	case <-time.After(aWhile):
		t.Fatal("no verdict came")
		panic("unreachable")
	}
}

// yes grants, with headers as name and value in turn.
func yes(headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
