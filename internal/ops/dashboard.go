package ops

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"
	"time"
)

// web is the dashboard: a page with its styles and scripts. uPlot draws the plots
// (MIT licensed, see web/dashboard/uplot.LICENSE).
//
//go:embed web
var web embed.FS

// policy keeps the page to itself: it loads nothing from elsewhere, and nothing
// can be put into it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page answers GET / and the files of the dashboard. They tell nothing of the
// node; what they show comes from /events and needs the token.
func page() http.Handler {
	files, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // web is embedded
	}
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		if len(r.URL.Path) > 1 && strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r) // there are no listings
			return
		}
		serve.ServeHTTP(w, r)
	})
}

// slowShown is how many slow readers the dashboard shows.
const slowShown = 20

// about has the facts that the dashboard is told first.
type about struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Loops   int       `json:"loops"`
	Public  string    `json:"public"` // addresses
	Samples []sample  `json:"samples"`
}

// state is how the node is, apart from figures.
type state struct {
	Refuses string       `json:"refuses"` // why new clients should not come here, "" if they should
	Engine  *engineState `json:"engine"`  // nil if there is none
	TLS     *tlsState    `json:"tls"`     // nil if no port has it
	Gzip    *gzipState   `json:"gzip"`    // nil if no stream has had it
}

type engineState struct {
	Name  string    `json:"name"`
	Up    bool      `json:"up"`
	Since time.Time `json:"since"`
}

func (s *Server) state() (now state) {
	if err := s.cfg.Ready(); err != nil {
		now.Refuses = err.Error()
	}
	if s.cfg.Engine != nil {
		e := s.cfg.Engine()
		now.Engine = &engineState{e.Engine, e.Up, e.Since}
	}
	n := s.cfg.Streams.Stats()
	if s.cfg.Certificates != nil {
		now.TLS = s.cfg.tlsState(&n)
	}
	now.Gzip = newGzipState(&n)
	return now
}

// events answers GET /events with the event stream that feeds the dashboard: at
// first "about" with the samples of the last 15 minutes, then a "sample" and the "state" a
// second, and "slow" with the slow readers while there are any, and once when there are
// none any more.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	stream := s.beginStream(w, r)
	if stream == nil {
		return
	}
	defer s.streams.End()
	samples, next := s.sampler.since(0)
	stream.send("about", about{
		Version: s.cfg.Version, Started: s.started, Loops: s.cfg.Streams.Loops(),
		Public: s.cfg.publicAddresses(), Samples: samples,
	})
	stream.send("state", s.state())
	shown := true // the page may show figures of its last connection
	for at := newestTime(samples); stream.err == nil; {
		select {
		case <-r.Context().Done():
			return
		case <-next:
		}
		samples, next = s.sampler.since(at)
		at = max(at, newestTime(samples))
		behind := false
		for _, one := range samples {
			stream.send("sample", one)
			behind = one.Behind > 0
		}
		stream.send("state", s.state())
		if behind || shown {
			readers, err := s.slowReaders(r.Context(), slowShown)
			if err != nil {
				continue // a loop does not turn, which /healthz tells
			}
			stream.send("slow", readers)
			shown = len(readers) > 0
		}
	}
}

// publicAddresses are those of the public port, of which a node may have either.
func (cfg *Config) publicAddresses() string {
	var all []string
	if addr := cfg.Streams.Addr(); addr != nil {
		all = append(all, addr.String())
	}
	if addr := cfg.Streams.TLSAddr(); addr != nil {
		all = append(all, addr.String()+" (TLS)")
	}
	return strings.Join(all, " · ")
}

// newestTime returns the time of the last of samples, 0 if there is none.
func newestTime(samples []sample) int64 {
	if len(samples) == 0 {
		return 0
	}
	return samples[len(samples)-1].Time
}
