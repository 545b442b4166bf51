package ops

import (
	"context"
	"net/http"
	"sync"

	"millrace/internal/handover"
)

// passing are the answers that go on: event streams and profiles. They end when the server
// is released, and clients come back. Safe for concurrent use.
type passing struct {
	mu    sync.Mutex
	life  context.Context
	leave context.CancelFunc
}

// begin has answers go on until end.
func (p *passing) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life, p.leave = context.WithCancel(context.Background())
}

// end ends them.
func (p *passing) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave()
}

// until has the contexts of requests end by end, too.
func (p *passing) until(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		life := p.life
		p.mu.Unlock()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		next(w, r.WithContext(ctx))
	}
}

// Descriptor is that of the listener, for a successor.
func (s *Server) Descriptor() (fd int, err error) { return s.places.Descriptor() }

// Release has connections stop between two requests, until Resume or Close is called.
// Event streams and profiles end at once, other answers have until ctx is done, and it
// returns how many have not ended then: those go on until Close.
func (s *Server) Release(ctx context.Context) (busy int) {
	s.passing.end()
	return s.places.Release(ctx)
}

// Resume has all go on that Release has stopped.
func (s *Server) Resume() {
	s.passing.begin()
	s.places.Resume()
}

// HandOver sends the connections to the successor, which Adopt takes, in frames of
// handover.KindOps. Release has to have stopped them. Those with TLS, and those that are in
// the middle of a request, stay: Close ends them.
func (s *Server) HandOver(version int, send func(kind handover.Kind, payload []byte, fds ...int) error) error {
	return s.places.HandOver(version, send)
}

// Adopt takes a frame of HandOver. With the last it returns true. Call it before Serve.
func (s *Server) Adopt(version int, f handover.Frame) (complete bool, err error) {
	return s.places.Adopt(version, f)
}
