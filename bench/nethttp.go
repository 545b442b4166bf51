package bench

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// NetHTTP is the server of event streams that most people write in Go: package
// net/http, a goroutine and a channel for every connection, and a lock around
// the list of them. GET / is a stream, POST / publishes the body. It is a
// baseline, no more careful than the servers that it stands for.
type NetHTTP struct {
	server      http.Server
	addrs       NetHTTPAddrs
	mu          sync.RWMutex
	subscribers map[chan []byte]<-chan struct{} // closed when the client is gone
}

// subscriberBuffer is how many events may wait for a connection of NetHTTP before
// it holds up the publisher.
const subscriberBuffer = 16

// NewNetHTTP listens on free ports of 127.0.0.1: one for streams, which has TLS if there is
// a certificate, and one for publishing.
func NewNetHTTP(certificate *Certificate) (_ *NetHTTP, err error) {
	s := &NetHTTP{subscribers: make(map[chan []byte]<-chan struct{})}
	s.server.Handler = s
	if certificate != nil {
		if s.server.TLSConfig, err = certificate.serverTLS("h2", "http/1.1"); err != nil {
			return nil, err
		}
	}
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	publish, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		streams.Close()
		return nil, err
	}
	s.addrs = NetHTTPAddrs{streams.Addr().String(), publish.Addr().String()}
	go s.server.Serve(publish)
	if certificate == nil {
		go s.server.Serve(streams)
	} else {
		go s.server.ServeTLS(streams, "", "")
	}
	return s, nil
}

// Addrs are the addresses that the server listens on.
func (s *NetHTTP) Addrs() NetHTTPAddrs { return s.addrs }

// Close closes everything.
func (s *NetHTTP) Close() { s.server.Close() }

// ServeHTTP serves one request.
func (s *NetHTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, s.publish(fmt.Appendf(nil, "data: %s\n\n", data)))
		return
	}
	events := make(chan []byte, subscriberBuffer)
	s.mu.Lock()
	s.subscribers[events] = r.Context().Done()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.subscribers, events)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flusher := w.(http.Flusher)
	io.WriteString(w, ":\n\n")
	flusher.Flush()
	for {
		select {
		case e := <-events:
			if _, err := w.Write(e); err != nil {
				return
			}
			flusher.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// publish hands an event to every connection and returns how many there are.
func (s *NetHTTP) publish(wire []byte) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for events, gone := range s.subscribers {
		select {
		case events <- wire:
		case <-gone:
		}
	}
	return len(s.subscribers)
}
