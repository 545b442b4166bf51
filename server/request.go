package server

import (
	"errors"
	"fmt"
	"slices"

	"millrace/httpparse"
)

// healthPath is answered by the loop itself; it is no channel.
const healthPath = "/healthz"

// notChannels are paths that browsers and crawlers ask for of their own accord.
// A stream there would never end, and no publisher would know of it.
var notChannels = map[string]bool{"/favicon.ico": true, "/robots.txt": true}

// unfinishedHead is the beginning of a request head whose rest is to come, in a
// buffer of its own: it has the size of that beginning. One of a pool that others use
// may have the size of a turn.
type unfinishedHead struct{ b []byte }

// readHead takes in a part of a client's request head, or of a proxy's header before
// it, and serves the request when the head is complete. It returns true when more of it is
// awaited.
func (l *loop) readHead(c *conn) (awaited bool) {
	n, did := l.read(c)
	if did == ended || n == 0 {
		return did != ended
	}
	head, seen := l.buf[:n], 0
	unfinished := l.unfinished.m[c.id()]
	if unfinished != nil {
		seen = len(unfinished.b)
		unfinished.b = append(unfinished.b, head...)
		head = unfinished.b
	}
	if c.state == stateProxy {
		length, awaited := l.readProxy(c, head)
		if length == 0 {
			return awaited
		}
		if head, seen = head[length:], 0; len(head) == 0 {
			l.dropHead(&c.stream)
			return true
		}
		if unfinished != nil {
			unfinished.b = unfinished.b[:copy(unfinished.b, head)]
			head = unfinished.b
		}
	}
	if c.state == stateHello {
		return l.readHello(c, head)
	}
	r := &l.request
	length, err := httpparse.Parse(r, head, seen, l.cfg.Head)
	switch {
	case err == nil:
		c.count(len(head) - length)
		l.serve(&c.stream, r)
	case errors.Is(err, httpparse.ErrNeedMore):
		l.keepHead(c, head)
		return true
	default:
		l.refuseError(&c.stream, l.askerOf(head), err)
	}
	return false
}

// askerOf returns the asker of a head that is no request, by the lines that are good.
func (l *loop) askerOf(head []byte) asker {
	origin, _ := httpparse.Salvage(head, "Origin", l.cfg.Head)
	return asker{origin: origin}
}

// keepHead keeps head until more of it comes, unless it is the kept one already.
func (l *loop) keepHead(c *conn, head []byte) {
	if l.unfinished.m[c.id()] == nil {
		l.unfinished.set(c.id(), &unfinishedHead{slices.Clone(head)})
	}
}

// dropHead forgets the beginning of a request head, if there is one.
func (l *loop) dropHead(s *stream) { l.unfinished.remove(s.id()) }

// serve answers one request: with an event stream, or briefly and for good.
func (l *loop) serve(s *stream, r *httpparse.Request) {
	origin, _ := r.Get("Origin")
	to := asker{origin: origin, onlyHead: string(r.Method) == "HEAD"}
	if len(l.cfg.Gzip) > 0 { // else nobody asks
		to.prefersGzip = (r.Minor > 0 || s.isShared()) && r.PrefersGzip() // proxies of HTTP/1.0 may know no codings
	}
	if err := r.CheckFetch(); err != nil {
		l.refuseError(s, to, err)
		return
	}
	if status, why := l.cfg.misaddressed(r, l.connOf(s).certificate()); status != 0 {
		l.refuse(s, to, status, why)
		return
	}
	if string(r.Method) == "OPTIONS" {
		l.answer(s, to, 204, l.server.heads.cors.appendPreflight(nil, r, origin), "")
		return
	}
	path, err := httpparse.AppendPathDecoded(l.path[:0], r.Path)
	l.path = path
	switch {
	case err != nil:
		l.refuseError(s, to, err)
		return
	case string(path) == healthPath:
		l.answer(s, to, 200, []byte("Cache-Control: no-store\r\n"), "ok\n")
		return
	case notChannels[string(path)]:
		l.refuse(s, to, 404, fmt.Sprintf("%s is not a channel", path))
		return
	}
	if !r.Accepts("text/event-stream") {
		l.refuse(s, to, 406, "this server sends text/event-stream only, and the Accept header excludes it")
		return
	}
	if err := l.target.Read(l.server.dialects, r, string(path), l.cfg.MaxChannelsPerStream); err != nil {
		l.refuseError(s, to, err)
		return
	}
	to.coding = l.codingOf(to, l.target.Channels)
	if !s.isShared() && l.holdsMuch(l.connOf(s)) { // which would be kept for as long as the stream is open
		l.refuse(s, to, 400, fmt.Sprintf("more than %d bytes of a TLS record came behind the request, want nothing there", maxPart))
		return
	}
	l.authorize(s, to, r)
}
