package bench

import (
	"fmt"
	"strconv"
	"time"

	"millrace/bench/report"
)

// Lab has what all scenarios share: how servers are started and loaded,
// and the document that figures go into.
type Lab struct {
	Millrace MillraceOptions
	External *External // the only server, if there is one
	Load     Load
	Document *report.Document
}

// Names of servers that a Lab can start.
const (
	NameMillrace = "millrace"
	NameFloor    = "floor"
	NameNetHTTP  = "net/http"
	NameNchan    = "nchan"
)

// session starts a server by name, with a session that has so many streams. Its
// result goes into the document.
func (l *Lab) session(name string, streams int) (*Session, error) {
	server, err := l.start(name, streams)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	load := l.Load
	load.Streams = streams
	if server.Name == NameMillrace {
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

func (l *Lab) start(name string, streams int) (*Server, error) {
	if l.External != nil {
		return l.External.Server()
	}
	switch name {
	case NameMillrace:
		o := l.Millrace
		o.Streams = streams
		return StartMillrace(o)
	case NameFloor:
		return StartFloor(streams)
	case NameNetHTTP:
		return StartNetHTTP()
	case NameNchan:
		return StartNchan()
	}
	return nil, fmt.Errorf("%w: server %q, want %s, %s, %s or %s", ErrConfig, name, NameMillrace, NameFloor, NameNetHTTP, NameNchan)
}

// alone runs a scenario with one server after the other. nchan is left out
// where there is none.
func (l *Lab) alone(names []string, streams int, scenario func(*Session) error) error {
	for _, name := range names {
		s, err := l.session(name, streams)
		if err != nil && name == NameNchan {
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
		if err != nil && name == NameNchan {
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
