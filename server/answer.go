package server

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"millrace/httpparse"
	"millrace/internal/auth"
)

// lingerTimeout is how long an answered client may take to close.
const lingerTimeout = 2 * time.Second

// allowedMethods are those that the server answers; any other is a 405.
const allowedMethods = "GET, HEAD, OPTIONS"

// asker has the facts of a client on which every answer depends, as far as the request
// could be read. The zero value is of a client that said nothing.
type asker struct {
	origin   []byte // of the page that asks
	onlyHead bool   // it wants no body
	// prefersGzip tells that it would have a stream with the content coding gzip, and coding
	// whether that makes a difference here.
	prefersGzip bool
	coding      coding
}

// answer writes a short plain answer and ends the exchange. headers are whole lines.
func (l *loop) answer(s *stream, to asker, status int, headers []byte, body string) {
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
	if to.coding != codingFixed {
		b = append(b, codingNone.headers()...)
	}
	b, _ = l.server.heads.cors.append(b, to.origin)
	b = l.putHead(s, append(b, "Connection: close\r\n\r\n"...))
	if !to.onlyHead {
		b = append(b, body...)
	}
	l.out = b
	l.finish(s, b, reasonAnswered)
}

// refuse answers with an error status and says why.
func (l *loop) refuse(s *stream, to asker, status int, why string) {
	l.counters.refuse(status)
	var headers []byte
	switch status {
	case http.StatusMethodNotAllowed:
		headers = []byte("Allow: " + allowedMethods + "\r\n")
	case http.StatusUnauthorized:
		headers = []byte("WWW-Authenticate: Bearer\r\n")
	}
	l.answer(s, to, status, headers, why+"\n")
}

// refuseError refuses with the status that a parser's error carries.
func (l *loop) refuseError(s *stream, to asker, err error) {
	status := http.StatusBadRequest
	if e := (*httpparse.Error)(nil); errors.As(err, &e) {
		status = e.Status
	}
	l.refuse(s, to, status, err.Error())
}

// refuseVerdict answers a verdict that is no grant, and logs it, once a second at most.
func (l *loop) refuseVerdict(s *stream, to asker, v *auth.Verdict) {
	msg, status, text := "a stream was refused", http.StatusForbidden, errForbidden.Error()+": "+v.Text
	switch v.Status {
	case auth.Unauthorized:
		status, text = http.StatusUnauthorized, "unauthorized: "+v.Text
	case auth.Later:
		msg, text = "a stream could not be decided on", v.Text
	}
	if l.mayNotice(msg) {
		l.server.log(slog.LevelWarn, msg, "peer", l.peerOf(l.connOf(s)).String(), "reason", text, "means", v.Means)
	}
	if v.Status == auth.Later {
		l.turnAway(s, to, reasonVerdictLater)
		return
	}
	l.refuse(s, to, status, text)
}

// refuseStream refuses a stream. That it is forbidden is logged, once a second at most.
func (l *loop) refuseStream(s *stream, to asker, err error) {
	if !errors.Is(err, errForbidden) {
		l.refuseError(s, to, err)
		return
	}
	const msg = "a stream was refused"
	if l.mayNotice(msg) {
		l.server.log(slog.LevelWarn, msg, "peer", l.peerOf(l.connOf(s)).String(), "reason", err.Error())
	}
	l.refuse(s, to, http.StatusForbidden, err.Error())
}

// finish writes the last bytes of a stream and ends it. With HTTP/1.1 it waits for the client
// to close: were the socket closed with something unread in it, the reset could overtake the
// answer (RFC 9112, 9.6).
func (l *loop) finish(s *stream, last []byte, why reason) result {
	if s.isShared() {
		return l.finishShared(s, last, why)
	}
	c := l.connOf(s)
	if l.writeLast(c, last) == ended {
		return ended
	}
	return l.linger(c, why)
}

// linger tells the client of a connection that nothing more will be written, and waits for
// it to close.
func (l *loop) linger(c *conn, why reason) result {
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
