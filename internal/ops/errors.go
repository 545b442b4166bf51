package ops

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// reply answers with v as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v) // an error is the client's, which has gone
}

// fail answers with an error and why.
func fail(w http.ResponseWriter, status int, format string, args ...any) {
	reply(w, status, struct {
		Error string `json:"error"`
	}{fmt.Sprintf(format, args...)})
}

// errorWriter makes JSON, as fail has it, of the errors that others write as text: those
// of ServeMux, of pprof, and of the file server.
type errorWriter struct {
	http.ResponseWriter
	request *http.Request
	begun   bool
	status  int // of an error whose text is to come; 0: none is
	after   bool
}

// Unwrap is for http.ResponseController.
func (w *errorWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *errorWriter) WriteHeader(status int) {
	isText := strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain")
	switch {
	case w.begun || w.after:
	case status >= 400 && isText:
		w.status = status
	default:
		w.begun = status >= 200
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (w *errorWriter) Write(p []byte) (int, error) {
	if w.status == 0 && !w.after {
		w.begun = true
		return w.ResponseWriter.Write(p)
	}
	w.finish(strings.TrimSpace(string(p)))
	return len(p), nil
}

// finish answers with the error whose status has come, if there is one.
func (w *errorWriter) finish(text string) {
	status := w.status
	if status == 0 || w.after {
		return
	}
	w.status, w.after = 0, true
	allowed := w.Header().Get("Allow")
	switch {
	case status == http.StatusNotFound && strings.HasPrefix(text, "404"):
		text = fmt.Sprintf("nothing is at %.255q, want one of the paths in docs/operations.md, such as /metrics", w.request.URL.Path)
	case status == http.StatusMethodNotAllowed && allowed != "":
		text = fmt.Sprintf("%s of %.255q, want %s", w.request.Method, w.request.URL.Path, allowed)
	case text == "":
		text = http.StatusText(status)
	}
	w.Header().Del("Content-Length")
	fail(w.ResponseWriter, status, "%s", text)
}

// lingerTimeout is how long the rest of a body may take, once it is known not to be
// needed.
const lingerTimeout = time.Second

// plain gives all answers the same habits: errors are JSON, and an answer does not wait
// for a body that it does not need. An unread rest of a body ends the connection, or it
// would be taken for the next request.
func plain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			control := http.NewResponseController(w)
			control.EnableFullDuplex()
			w.Header().Set("Connection", "close")
			defer func() { control.SetReadDeadline(time.Now().Add(lingerTimeout)) }()
		}
		errors := &errorWriter{ResponseWriter: w, request: r}
		next.ServeHTTP(errors, r)
		errors.finish("")
	})
}
