package server

import (
	"fmt"
	"slices"
	"time"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/auth"
	"millrace/internal/dialect"
)

// authorize opens the stream that a request asks for, if it may be opened. Without an
// authorizer everybody may have what is permitted.
func (l *loop) authorize(c *conn, to asker, r *httpparse.Request, asked dialect.Asked) {
	a := l.cfg.Authorizer
	if a == nil {
		l.decide(c, to, &auth.Verdict{Channels: asked.Channels}, asked.LastEventID)
		return
	}
	if err := l.permit(asked.Channels); err != nil { // before somebody is asked about them
		l.refuseStream(c, to, err)
		return
	}
	v, _ := a.Authorize(l.authRequest(c, r, &asked), time.Now(), nil)
	l.decide(c, to, &v, asked.LastEventID)
}

// authRequest returns what an authorizer gets to see of a request.
func (l *loop) authRequest(c *conn, r *httpparse.Request, asked *dialect.Asked) *auth.Request {
	header := func(name string) string {
		value, _ := r.Get(name)
		return string(value)
	}
	request := &auth.Request{
		Channels: asked.Channels, Aliased: asked.Aliased, Signed: asked.Signed,
		Method: string(r.Method), Path: string(r.Path), Query: string(r.Query), Host: string(r.Host),
		Client:        l.peerOf(c).AddrPort().Addr(),
		Authorization: header("Authorization"), Origin: header("Origin"), UserAgent: header("User-Agent"), FetchSite: header("Sec-Fetch-Site"),
	}
	for value := range r.Values("Cookie") {
		if request.Cookie != "" {
			request.Cookie += "; "
		}
		request.Cookie += string(value)
	}
	request.OriginAllowed = l.server.heads.cors.allows([]byte(request.Origin))
	return request
}

// decide opens the stream of a verdict, or answers why not.
func (l *loop) decide(c *conn, to asker, v *auth.Verdict, lastID []byte) {
	err := l.name(v.Channels)
	if v.Status != auth.Granted {
		err = fmt.Errorf("%w: %s", errForbidden, v.Text)
	}
	if err != nil {
		l.refuseStream(c, to, err)
		return
	}
	switch {
	case to.onlyHead:
		l.finish(c, l.server.heads.streamHead(nil, to.origin), reasonAnswered)
	case c.why != admitted:
		l.turnAway(c, to.origin, c.why)
	case l.drain.begun:
		l.turnAway(c, to.origin, reasonDrained)
	case !l.broker.HasRoom(l.server.capacity.channels, l.names...):
		l.turnAway(c, to.origin, reasonChannels)
	case !l.takeStream():
		l.turnAway(c, to.origin, reasonOverload)
	default:
		l.startStream(c, to.origin, l.names, lastID)
	}
}

// name sets l.names to the channels of a verdict, each once. Those that the client has
// not named itself have not been looked at before.
func (l *loop) name(granted []string) error {
	l.names = l.names[:0]
	for i, channel := range granted {
		if slices.Contains(granted[:i], channel) {
			continue
		}
		name := []byte(channel)
		if err := channels.CheckName(name); err != nil {
			return err
		}
		l.names = append(l.names, name)
	}
	return l.permit(granted)
}
