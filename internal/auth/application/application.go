// Package application has the application decide who may listen: it is asked about each
// channel by a request of its own, in the form that nginx's auth_request, Traefik, Caddy
// and nchan have, so that an endpoint written for one of them will do.
//
// An [Application] asks each question once at a time, for all requests that wait for the
// answer, and keeps answers that say for how long. Waiting questions are bounded, and client
// addresses take turns.
package application

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"millrace/internal/auth"
	"millrace/internal/redact"
	"millrace/internal/throttle"
)

const (
	// DefaultConcurrency is how many requests the application gets at a time.
	DefaultConcurrency = 32
	// timeout is how long the application may take to answer, patience how long a
	// question waits to be asked.
	timeout, patience = 2 * time.Second, 6 * time.Second
	// maxChannels is how many channels of one stream are asked about.
	maxChannels = 8
	// maxHead bounds the head of an answer. Of its body, which says nothing, maxBody
	// bytes are read, so that the connection can be used again.
	maxHead, maxBody = 16 << 10, 16 << 10
	// maxWaiting is how many streams wait for answers.
	maxWaiting = 1 << 16
	// idleTimeout is how long a connection waits for the next question: less than what
	// servers of applications allow.
	idleTimeout = 15 * time.Second
)

// ErrConfig is wrapped by every refusal of a Config.
var ErrConfig = errors.New("bad configuration of the application's word")

// Config of an Application. URL is required.
type Config struct {
	// URL is asked, http or https, as it is.
	URL string
	// Cookie is the name of the only cookie that is passed on; empty: all are.
	Cookie string
	// Concurrency is how many requests are made at a time; 0: DefaultConcurrency.
	Concurrency int
	// Kicks have verdicts void that were given before them; nil: there are none.
	Kicks  *auth.Kicks
	Logger *slog.Logger // nil: nothing is logged
}

// Application is the auth.Means that asks. Safe for concurrent use.
type Application struct {
	url         *url.URL
	cookie      string
	concurrency int
	kicks       *auth.Kicks
	log         *slog.Logger
	client      http.Client
	keys        keys
	timeout     time.Duration
	life        context.Context // ends with Close
	end         context.CancelFunc
	running     sync.WaitGroup
	results     results

	mu       sync.Mutex
	closed   bool
	answers  cache
	flights  map[key]*flight // questions that wait, or are being asked
	queue    queue           // those that wait
	asking   int             // goroutines that ask
	waiting  int             // places of gatherings that have no answer yet
	hits     int64           // answers that were kept
	joined   int64           // places that wait for a question of somebody else
	overflow int64           // streams that were told to come back, for want of room
}

// flight is one question with those that wait for its answer.
type flight struct {
	question
	since   time.Time
	waiting []place
}

// place is where in a gathering an answer belongs.
type place struct {
	gathering *gathering
	at        int
}

// gathering is a stream that waits for the answers about all of its channels.
type gathering struct {
	answers []answer // in the order of the questions
	missing int      // answers
	done    func(auth.Verdict)
}

// New returns an Application, which is to be closed. Errors wrap ErrConfig.
func New(cfg Config) (*Application, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: URL %q, want one such as http://127.0.0.1:3000/may-listen", ErrConfig, redact.Text(cfg.URL))
	case u.User != nil:
		return nil, fmt.Errorf("%w: URL %q names a user: the header Authorization is the client's", ErrConfig, redact.URL(u))
	case cfg.Concurrency < 0:
		return nil, fmt.Errorf("%w: %d requests at a time, want 1 or more", ErrConfig, cfg.Concurrency)
	case cfg.Cookie != "" && !isToken(cfg.Cookie):
		return nil, fmt.Errorf("%w: cookie %q, want the name of one", ErrConfig, cfg.Cookie)
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = DefaultConcurrency
	}
	if cfg.Kicks == nil {
		cfg.Kicks = new(auth.Kicks)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Application{
		url: u, cookie: cfg.Cookie, concurrency: cfg.Concurrency, kicks: cfg.Kicks, log: throttle.Logger(cfg.Logger),
		keys:    keys{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()},
		timeout: timeout,
		flights: make(map[key]*flight),
	}
	a.client = http.Client{
		Transport: &http.Transport{ // no proxy: this is the operator's own
			DialContext:            new(net.Dialer).DialContext,
			MaxIdleConns:           cfg.Concurrency,
			MaxIdleConnsPerHost:    cfg.Concurrency,
			MaxResponseHeaderBytes: maxHead,
			DisableCompression:     true,
			IdleConnTimeout:        idleTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a.life, a.end = context.WithCancel(context.Background())
	return a, nil
}

// Close ends what is under way, whose streams are told to come back.
func (a *Application) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.end()
	a.running.Wait()
	a.client.CloseIdleConnections()
}

// Find implements auth.Means: whatever a request bears, the application has a word on it.
func (a *Application) Find(*auth.Request) (string, bool) { return "", true }

// Judge implements auth.Means. It answers at once when all answers are kept, or there is
// nothing to ask.
func (a *Application) Judge(r *auth.Request, _ string, need []string, now time.Time, done func(auth.Verdict)) (auth.Verdict, bool) {
	questions, v := a.questions(r, need)
	if v.Status != auth.Granted {
		return v, true
	}
	g := &gathering{answers: make([]answer, len(questions)), missing: len(questions), done: done}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, q := range questions {
		if kept, ok := a.kept(q.key, now); ok {
			g.answers[i] = kept
			g.missing--
		} else {
			g.answers[i].missing = true
		}
	}
	if v := g.verdict(); g.missing == 0 || v.Status == auth.Unauthorized || v.Status == auth.Forbidden {
		return v, true
	}
	if !a.hasRoom(questions, g, r) {
		a.overflow++
		return refuse(auth.Later, "full", "too many streams wait for the application's word"), true
	}
	for i, q := range questions {
		if g.answers[i].missing {
			a.await(q, place{g, i})
		}
	}
	return auth.Verdict{}, false
}

// kept returns the answer that is kept for a question, unless it is void. Called with mu
// held.
func (a *Application) kept(k key, now time.Time) (answer, bool) {
	kept, ok := a.answers.get(k, now)
	if !ok {
		return answer{}, false
	}
	if a.kicks.Judge(kept.user, kept.issued, now) == auth.Void {
		a.answers.forget(k)
		return answer{}, false
	}
	a.hits++
	return kept, true
}

// hasRoom tells whether all that a gathering is missing can wait. Called with mu held.
func (a *Application) hasRoom(questions []question, g *gathering, r *auth.Request) bool {
	fresh, size := 0, 0
	for i, q := range questions {
		if g.answers[i].missing && a.flights[q.key] == nil {
			fresh++
			size += q.size()
		}
	}
	return !a.closed && a.waiting+g.missing <= maxWaiting && (fresh == 0 || a.queue.hasRoom(networkOf(r.Client), fresh, size))
}

// await has a place wait for the answer to a question, and sees to it that it is asked.
// Called with mu held.
func (a *Application) await(q question, p place) {
	a.waiting++
	if f := a.flights[q.key]; f != nil {
		f.waiting = append(f.waiting, p)
		a.joined++
		return
	}
	f := &flight{question: q, since: time.Now(), waiting: []place{p}}
	a.flights[q.key] = f
	a.queue.push(networkOf(q.request.Client), f)
	if a.asking < a.concurrency {
		a.asking++
		a.running.Go(a.work)
	}
}

// work asks what waits, until nothing does.
func (a *Application) work() {
	for {
		f := a.next()
		if f == nil {
			return
		}
		if time.Since(f.since) > patience {
			a.land(f, trouble("late", "the application takes too long to answer what was asked before"))
			continue
		}
		got, rest := a.answer(&f.question)
		a.land(f, got)
		rest.drop()
	}
}

// next takes the next question. Nil says that there is none, and that one goroutine less
// asks.
func (a *Application) next() *flight {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.queue.pop()
	if f == nil {
		a.asking--
	}
	return f
}

// answer asks a question, and once more if its user has been kicked meanwhile.
func (a *Application) answer(q *question) (got answer, rest rest) {
	for range 2 {
		got, rest = a.ask(q)
		if a.kicks.Judge(got.user, got.issued, time.Now()) != auth.Void {
			return got, rest
		}
		rest.drop()
	}
	return trouble("kicked", "streams of this user were ended while the application was asked"), nothing
}

// land hands an answer to those that wait for it, and keeps it if it says so.
func (a *Application) land(f *flight, got answer) {
	a.results.count(got.reason)
	var ready []*gathering
	a.mu.Lock()
	delete(a.flights, f.key)
	if got.keep > 0 {
		a.answers.put(f.key, got, got.issued.Add(got.keep))
	}
	a.waiting -= len(f.waiting)
	for _, p := range f.waiting {
		g := p.gathering
		g.answers[p.at] = got
		if g.missing--; g.missing == 0 {
			ready = append(ready, g)
		}
	}
	a.mu.Unlock()
	for _, g := range ready {
		g.done(g.verdict())
	}
}
