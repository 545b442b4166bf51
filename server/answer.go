package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"millrace/httpparse"
)

const (
	// lingerTimeout is how long an answered client may take to close.
	lingerTimeout = 2 * time.Second
	// turnAwayDelay is the least that a client is told to wait that is not let
	// in. The most is three times as long where nothing is known of how many
	// wait, and longestDelay where it is.
	turnAwayDelay = 5 * time.Second
	longestDelay  = time.Minute
)

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
	h := heads{
		cors: newCORS(cfg.AllowOrigins),
		fixed: "HTTP/1.1 200 OK\r\n" +
			"Content-Type: text/event-stream\r\n" +
			"Cache-Control: no-cache, no-transform\r\n" +
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
func (h *heads) streamHead(dst, origin []byte) []byte {
	dst = append(dst, h.fixed...)
	dst, _ = h.cors.append(dst, origin)
	return append(dst, "\r\n"...)
}

// opening appends the response head of an event stream and its first fields,
// without the blank line behind them.
func (h *heads) opening(dst, origin []byte) []byte {
	return append(h.streamHead(dst, origin), h.greeting...)
}

// allowedMethods is what the server answers; anything else is a 405.
const allowedMethods = "GET, HEAD, OPTIONS"

// asker is what an answer depends on beside what is asked for, as far as the request
// could be read. The zero value is of one that said nothing.
type asker struct {
	origin   []byte // of the page that asks
	onlyHead bool   // it wants no body
}

// answer writes a short plain answer and ends the exchange. headers are whole lines.
func (l *loop) answer(c *conn, to asker, status int, headers []byte, body string) {
	b := l.out[:0]
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	if status != http.StatusNoContent {
		b = append(b, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, headers...)
	b, _ = l.server.heads.cors.append(b, to.origin)
	b = append(b, "Connection: close\r\n\r\n"...)
	if !to.onlyHead {
		b = append(b, body...)
	}
	l.out = b
	l.finish(c, b, reasonAnswered)
}

// refuse answers with an error status and says why.
func (l *loop) refuse(c *conn, to asker, status int, why string) {
	l.counters.refuse(status)
	var headers []byte
	if status == http.StatusMethodNotAllowed {
		headers = []byte("Allow: " + allowedMethods + "\r\n")
	}
	l.answer(c, to, status, headers, why+"\n")
}

// refuseError refuses with the status that a parser's error carries.
func (l *loop) refuseError(c *conn, to asker, err error) {
	status := http.StatusBadRequest
	if e := (*httpparse.Error)(nil); errors.As(err, &e) {
		status = e.Status
	}
	l.refuse(c, to, status, err.Error())
}

// turnAway answers a stream request that comes when there is no room, too soon,
// or too late. An EventSource takes any status but 200 as final, so it gets a
// stream that says when to come back, each client a time of its own, and ends.
func (l *loop) turnAway(c *conn, origin []byte, why reason) {
	if l.mayNotice(why.String()) {
		l.server.log(slog.LevelWarn, "a client is told to come back later", "reason", why.String(), "peer", l.peerOf(c).String())
	}
	b := l.server.heads.streamHead(l.out[:0], origin)
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, l.retryDelay(why).Milliseconds(), 10)
	b = append(b, "\n\n"...)
	l.out = b
	l.finish(c, b, why)
}

// retryDelay draws the time after which a client that is turned away is to come
// back. A crowd above the accept rate returns at that rate, one after the other;
// were it told a time out of a fixed span, a large one would come again and
// again, and in vain.
func (l *loop) retryDelay(why reason) time.Duration {
	if why != reasonRate {
		return turnAwayDelay + rand.N(2*turnAwayDelay)
	}
	if wait, ok := l.server.arrivals.book(l.now, turnAwayDelay, longestDelay); ok {
		return wait
	}
	return turnAwayDelay + rand.N(longestDelay-turnAwayDelay)
}

// finish writes the last bytes of a connection and waits for the client to
// close: were the socket closed with something unread in it, the reset could
// overtake the answer (RFC 9112, 9.6).
func (l *loop) finish(c *conn, last []byte, why reason) result {
	if _, did := l.write(c, last); did == ended {
		return ended
	}
	if l.shut(c) != nil {
		l.end(c, why)
		return ended
	}
	l.forget(c, why)
	c.state, c.why = stateLinger, why
	l.counters.lingering.Add(1)
	l.schedule(c, l.now+lingerTimeout)
	l.giveRoom()
	return sent
}
