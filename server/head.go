package server

import "fmt"

// heads holds the parts of a stream's response head that never change.
type heads struct {
	cors cors
	// fixed is the status line and the headers of every stream. The response
	// ends with the connection: no client needs chunks, and without them the
	// bytes of an event are the same for all. X-Accel-Buffering keeps nginx
	// from holding them back, no-transform middleware from compressing them:
	// most compressors wait for more before they pass an event on.
	fixed string
	// greeting is a comment that is written at once, so that intermediaries pass
	// the head on, and the first fields.
	greeting string
}

func newHeads(cfg *Config) heads {
	cacheControl := "no-cache, no-transform"
	if cfg.Authorizer != nil { // a stream of one client is for no other
		cacheControl = "private, " + cacheControl
	}
	h := heads{
		cors: newCORS(cfg.AllowOrigins),
		fixed: "HTTP/1.1 200 OK\r\n" +
			"Content-Type: text/event-stream\r\n" +
			"Cache-Control: " + cacheControl + "\r\n" +
			"X-Accel-Buffering: no\r\n" +
			"Connection: close\r\n",
		greeting: ":\n",
	}
	if cfg.Retry > 0 {
		h.greeting = fmt.Sprintf(":\nretry: %d\n", cfg.Retry.Milliseconds())
	}
	return h
}

// streamHead appends the response head of an event stream.
func (h *heads) streamHead(dst, origin []byte, c coding) []byte {
	dst = append(dst, h.fixed...)
	dst = append(dst, c.headers()...)
	dst, _ = h.cors.append(dst, origin)
	return append(dst, "\r\n"...)
}
