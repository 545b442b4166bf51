package ops

import (
	"bytes"
	"net/http"
)

// maxCostly is how many answers are made at a time that take a processor for long.
const maxCostly = 2

// turns bounds how many costly answers are made at a time: others wait. Any number at
// once would leave questions about health no processor.
type turns chan struct{}

// take has h answer in its turn. The answer is written afterwards, since a client may take
// its time.
func (t turns) take(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made := &answer{header: w.Header(), status: http.StatusOK}
		select {
		case t <- struct{}{}:
		case <-r.Context().Done(): // the client has left
			return
		}
		func() {
			defer func() { <-t }()
			h.ServeHTTP(made, r)
		}()
		w.WriteHeader(made.status)
		w.Write(made.body.Bytes()) // an error is the client's, which has gone
	})
}

// answer is one that is made before it is written.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
