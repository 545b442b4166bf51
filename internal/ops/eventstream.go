package ops

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"millrace/internal/ports"
)

const (
	// maxStreams bounds the event streams of this port, which take a goroutine
	// each, and a quarter of its connections does. Those of the public port have no
	// part in it.
	maxStreams = 64
	// writeTimeout is how long the reader of such a stream may take for one
	// event.
	writeTimeout = 10 * time.Second
)

// eventStream is an answer that goes on. It is for the goroutine that answers.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error // the first
}

// beginStream begins an event stream, or refuses it, which returns nil. Its end has to
// be told to s.streams.
func (s *Server) beginStream(w http.ResponseWriter, r *http.Request) *eventStream {
	if !s.streams.Begin() {
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "%d event streams are open on this port, which is the most", s.streams.Most())
		return nil
	}
	ports.Patient(r)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	e := &eventStream{w: w, control: http.NewResponseController(w)}
	e.write([]byte(":\n\n"))
	return e
}

// send sends an event of a type with v as JSON.
func (e *eventStream) send(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is of our making
	}
	e.write(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data))
}

// write sends events as they stand in a stream.
func (e *eventStream) write(p []byte) {
	if e.err == nil {
		e.err = e.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	if e.err == nil {
		_, e.err = e.w.Write(p)
	}
	if e.err == nil {
		e.err = e.control.Flush()
	}
}
