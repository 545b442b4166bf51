package bench

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"millrace/bench/report"
)

// Lab has what all scenarios share: how servers are started and loaded,
// and the document that figures go into.
type Lab struct {
	Millrace      MillraceOptions
	External      *External // the only server, if there is one
	Protocol      Protocol  // of servers whose name has none
	PerConnection int       // streams of a connection with HTTP/2, where the name says nothing
	Load          Load
	Document      *report.Document

	certificate *Certificate // of all servers; nil until one needs it
	dir         string       // that the certificate is in
}

// Names of servers that a Lab can start. After each there may be a protocol: see Protocol.
const (
	NameMillrace = "millrace"
	NameFloor    = "floor"
	NameNetHTTP  = "net/http"
	NameNchan    = "nchan"
	NameHAProxy  = "haproxy" // before a millrace in the clear
	NameNginx    = "nginx"   // the same
)

// Close removes what the lab has made.
func (l *Lab) Close() error { return os.RemoveAll(l.dir) }

// session starts a server by name, with a session that has so many streams. Its
// result goes into the document.
func (l *Lab) session(name string, streams int) (*Session, error) {
	if l.External == nil {
		name = l.named(name)
	}
	server, err := l.start(name, streams)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	load := l.Load
	load.Streams = streams
	if server.pings {
		load.PingPeriod = l.Millrace.Keepalive
	}
	l.Load.Source += streams/sourcePorts + 1 // the next one's are others
	s, err := NewSession(server, load)
	if err != nil {
		return nil, err
	}
	l.Document.Results = append(l.Document.Results, s.Result)
	return s, nil
}

// named returns the full name of a server, as its result has it.
func (l *Lab) named(name string) string {
	if l.External != nil && name == NameMillrace {
		return l.External.URL
	}
	switch {
	case strings.Contains(name, "+") || l.Protocol == Plain:
		return name
	case l.Protocol == Gzip && !compresses(name):
		return name
	case l.Protocol == H2 && name == NameFloor: // which frames nothing
		return name + "+" + string(TLS)
	case l.Protocol == H2 && l.PerConnection > 1:
		return fmt.Sprintf("%s+%sx%d", name, H2, l.PerConnection)
	}
	return name + "+" + string(l.Protocol)
}

// compresses tells whether a kind of server has the content coding gzip.
func compresses(kind string) bool { return kind == NameMillrace || kind == NameNginx }

// start starts a server by its full name.
func (l *Lab) start(name string, streams int) (*Server, error) {
	if l.External != nil {
		return l.External.Server(l.Protocol, l.PerConnection)
	}
	kind, protocol, perConnection, err := splitName(name)
	if err != nil {
		return nil, err
	}
	if protocol.isSecure() && l.certificate == nil {
		if l.dir, err = os.MkdirTemp("", "millbench"); err != nil {
			return nil, err
		}
		if l.certificate, err = newCertificate(l.dir); err != nil {
			return nil, err
		}
	}
	certificate := l.certificate
	if !protocol.isSecure() {
		certificate = nil
	}
	if protocol == Gzip && !compresses(kind) {
		return nil, fmt.Errorf("%w: server %q, which does not compress: want %s or %s", ErrConfig, name, NameMillrace, NameNginx)
	}
	millrace := l.Millrace
	if protocol == Gzip && kind == NameMillrace {
		millrace.Flags = append([]string{"--gzip", "/*"}, millrace.Flags...)
	}
	millrace.Streams = streams
	var s *Server
	switch kind {
	case NameMillrace:
		s, err = StartMillrace(millrace, certificate)
	case NameFloor:
		s, err = StartFloor(streams, certificate)
	case NameNetHTTP:
		s, err = StartNetHTTP(certificate)
	case NameNchan:
		s, err = StartNchan(certificate)
	case NameHAProxy, NameNginx:
		s, err = StartProxied(kind, millrace, certificate)
	default:
		err = fmt.Errorf("%w: server %q, want %s, %s, %s, %s, %s or %s", ErrConfig, kind, NameMillrace, NameFloor, NameNetHTTP, NameNchan, NameHAProxy, NameNginx)
	}
	if err != nil {
		return nil, err
	}
	s.ownWindows = kind != NameMillrace
	s.Name, s.Protocol, s.PerConnection = name, protocol, perConnection
	if certificate != nil {
		s.Host, s.Certificate = certificateName, certificate.DER
	}
	return s, nil
}

// alone runs a scenario with one server after the other. Those are left out that are not
// installed.
func (l *Lab) alone(names []string, streams int, scenario func(*Session) error) error {
	for _, name := range names {
		s, err := l.session(name, streams)
		if errors.Is(err, ErrNotInstalled) {
			l.Document.Notes = append(l.Document.Notes, "left out: "+err.Error())
			continue
		}
		if err != nil {
			return err
		}
		err = s.Open()
		if err == nil {
			err = scenario(s)
		}
		s.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// together opens sessions with all servers, and runs a scenario of each in
// turn, for so many rounds: what disturbs one disturbs the others. Each round
// begins with another one, since what comes before leaves its traces in the caches.
func (l *Lab) together(names []string, streams, rounds int, scenario func(*Session) error) error {
	var sessions []*Session
	defer func() {
		for _, s := range sessions {
			s.Close()
		}
	}()
	for _, name := range names {
		s, err := l.session(name, streams)
		if errors.Is(err, ErrNotInstalled) {
			l.Document.Notes = append(l.Document.Notes, "left out: "+err.Error())
			continue
		}
		if err != nil {
			return err
		}
		sessions = append(sessions, s)
		if err := s.Open(); err != nil {
			return err
		}
	}
	for round := range rounds {
		for i := range sessions {
			if err := scenario(sessions[(round+i)%len(sessions)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Hold opens streams and lets them be idle for so long.
func (l *Lab) Hold(names []string, streams int, d time.Duration) error {
	return l.alone(names, streams, func(s *Session) error {
		if err := s.Idle(d); err != nil {
			return err
		}
		return s.CloseStreams()
	})
}

// FanOut publishes events one at a time, the servers taking turns.
func (l *Lab) FanOut(names []string, streams, events int) error {
	if err := l.together(names, streams, events, (*Session).Broadcast); err != nil {
		return err
	}
	l.judgeFanOut(streams)
	l.judgeProtocols(streams)
	return nil
}

// Flood publishes as fast as each server accepts.
func (l *Lab) Flood(names []string, streams int, d time.Duration) error {
	return l.alone(names, streams, func(s *Session) error { return s.Flood(d) })
}

// Churn replaces streams for so long.
func (l *Lab) Churn(names []string, streams int, d time.Duration) error {
	defer l.leaveRoom(streams)()
	return l.alone(names, streams, func(s *Session) error { return s.Churn(d) })
}

// Storm has everybody reconnect at once.
func (l *Lab) Storm(names []string, streams int) error {
	defer l.leaveRoom(streams)()
	return l.alone(names, streams, (*Session).Storm)
}

// leaveRoom has millrace take more streams than there will be, until undone: it may see
// one opened before it has seen that the one in whose place it comes is closed. What
// the command line says still wins.
func (l *Lab) leaveRoom(streams int) (undo func()) {
	flags := l.Millrace.Flags
	l.Millrace.Flags = append([]string{"--max-connections", strconv.Itoa(streams + streams/8 + 1024)}, flags...)
	return func() { l.Millrace.Flags = flags }
}
