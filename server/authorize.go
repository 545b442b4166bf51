package server

import (
	"fmt"
	"slices"

	"millrace/channels"
	"millrace/httpparse"
	"millrace/internal/auth"
	"millrace/internal/limits"
)

// authorize opens the stream that a request asks for, which is in l.target, if it may be
// opened: at once, or when its verdict comes. Without an authorizer everybody may open
// permitted channels.
func (l *loop) authorize(s *stream, to asker, r *httpparse.Request) {
	asked := &l.target
	if l.cfg.Authorizer == nil {
		l.decide(s, to, &auth.Verdict{Channels: asked.Channels}, asked.LastEventID)
		return
	}
	// A request that will be refused anyway costs the authorizer nothing.
	why := l.objection(s)
	if why == admitted && !l.hasPlace() {
		why = reasonOverload
	}
	if why != admitted { // HEAD, too: else it would be a way around the limits to the authorizer
		l.turnAway(s, to, why)
		return
	}
	if err := l.permit(asked.Channels); err != nil {
		l.refuseStream(s, to, err)
		return
	}
	request, err := l.authRequest(s, r)
	if err != nil {
		l.refuseError(s, to, err)
		return
	}
	l.askAuthorizer(s, undecided{request: request, to: to, lastID: asked.LastEventID, deadline: l.now + verdictTimeout})
}

// authRequest returns what an authorizer gets to see of a request.
func (l *loop) authRequest(s *stream, r *httpparse.Request) (*auth.Request, error) {
	asked := &l.target
	header := func(name string) string {
		value, _ := r.Get(name)
		return string(value)
	}
	request := &auth.Request{
		Channels: slices.Clone(asked.Channels), Aliased: asked.Aliased, Signed: slices.Clone(asked.Signed),
		Method: string(r.Method), Path: string(r.Path), Query: string(r.Query), Host: string(r.Host), Secure: l.connOf(s).flags.is(secure),
		Client: l.peerOf(l.connOf(s)).AddrPort().Addr(),
		Origin: header("Origin"), UserAgent: header("User-Agent"), FetchSite: header("Sec-Fetch-Site"),
	}
	for value := range r.Values("Authorization") {
		if request.Authorization != "" { // of which two readers could take either
			return nil, errManyAuthorizations
		}
		request.Authorization = string(value)
	}
	for value := range r.Values("Cookie") {
		if request.Cookie != "" {
			request.Cookie += "; "
		}
		request.Cookie += string(value)
	}
	request.OriginAllowed = l.server.heads.cors.allows([]byte(request.Origin))
	l.takeForwarded(request, r, request.Client)
	return request, nil
}

// errManyAuthorizations refuses a request before anybody is asked about it.
var errManyAuthorizations = fmt.Errorf("more than one Authorization header")

// decide opens the stream of a verdict, or answers why not.
func (l *loop) decide(s *stream, to asker, v *auth.Verdict, lastID []byte) {
	if l.cfg.Authorizer != nil {
		l.counters.verdicts.count(v)
	}
	if v.Status != auth.Granted {
		l.refuseVerdict(s, to, v)
		return
	}
	err := l.takeNames(v.Channels)
	if len(v.User) > maxUserName {
		err = fmt.Errorf("%w: the name of the user has %d bytes, want at most %d", errForbidden, len(v.User), maxUserName)
	}
	if err != nil {
		l.refuseStream(s, to, err)
		return
	}
	to.coding = l.codingOf(to, v.Channels[:len(l.names)])
	if to.onlyHead {
		l.finish(s, l.putHead(s, l.server.heads.streamHead(nil, to.origin, to.coding)), reasonAnswered)
		return
	}
	var user limits.UserRef
	why := l.objection(s)
	if why == admitted {
		user, why = l.takePlaces(s, v)
	}
	if why != admitted {
		l.turnAway(s, to, why)
		return
	}
	l.startStream(s, opening{names: l.names, lastID: lastID, origin: to.origin, user: user, expires: v.Expires, renewal: v.Renewal, coding: to.coding})
}

// maxUserName is how long the name of a user may be, in bytes.
const maxUserName = 255

// takeNames sets l.names to the channels of a grant, each once. A verdict may have named
// channels that the client has not, so they are looked at here.
func (l *loop) takeNames(granted []string) error {
	l.names, l.nameBytes = l.names[:0], l.nameBytes[:0]
	for i, channel := range granted {
		if slices.Contains(granted[:i], channel) {
			continue
		}
		from := len(l.nameBytes)
		l.nameBytes = append(l.nameBytes, channel...)
		name := l.nameBytes[from:len(l.nameBytes):len(l.nameBytes)]
		if err := channels.CheckName(name); err != nil {
			return err
		}
		l.names = append(l.names, name)
	}
	switch most := l.cfg.MaxChannelsPerStream; {
	case len(l.names) == 0:
		return fmt.Errorf("%w: the request names no channel, and neither does what it may have", errForbidden)
	case len(l.names) > most:
		return fmt.Errorf("%w: more than %d channels in one stream, ask for fewer or raise --max-channels-per-stream", errForbidden, most)
	}
	return l.permit(granted)
}
