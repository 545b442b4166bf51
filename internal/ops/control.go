package ops

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/auth/ticket"
	"millrace/internal/control"
)

// maxOrder is the largest body of a request for a ticket or a kick, in bytes.
const maxOrder = 16 << 10

// tickets answers POST /tickets, whose body is what the ticket is for.
func (s *Server) tickets(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Channels []string `json:"channels"`
		User     *string  `json:"user"`
		EX       *int     `json:"ex"`    // seconds
		Until    *int     `json:"until"` // seconds
	}
	const want = `want {"channels": ["/rooms/42"], "user": "name", "ex": 30, "until": 43200}, of which all but channels may be missing`
	err := readOrder(w, r, &asked)
	g := ticket.Grant{Channels: asked.Channels}
	if err == nil && asked.User != nil {
		g.User, err = *asked.User, auth.CheckUser(*asked.User)
	}
	if err == nil {
		g.OpenFor, err = seconds("ex", asked.EX, 1, ticket.MaxOpenFor)
	}
	if err == nil {
		g.Until, err = seconds("until", asked.Until, 1, ticket.MaxUntil)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "%v: %s", err, want)
		return
	}
	if s.cfg.Control == nil {
		fail(w, http.StatusNotFound, "tickets are not available here")
		return
	}
	text, err := s.cfg.Control.IssueTicket(g)
	switch {
	case errors.Is(err, control.ErrNoTickets):
		fail(w, http.StatusConflict, "%v", err)
	case err != nil:
		fail(w, http.StatusBadRequest, "%v: %s", err, want)
	default:
		reply(w, http.StatusOK, struct {
			Ticket string `json:"ticket"`
		}{text})
	}
}

// kick answers POST /kick, whose body says whose streams are to end.
func (s *Server) kick(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		User    *string `json:"user"`
		Channel *string `json:"channel"`
		For     *int    `json:"for"` // seconds
		Final   bool    `json:"final"`
	}
	err := readOrder(w, r, &asked)
	hold := auth.DefaultKick
	switch {
	case err != nil:
	case asked.User == nil && asked.Channel == nil:
		err = errors.New("neither a user nor a channel")
	case asked.Channel != nil && (asked.For != nil || asked.Final):
		err = errors.New("clients may return to a channel at once, so for and final mean nothing")
	case asked.User != nil:
		err = auth.CheckUser(*asked.User)
	}
	if err == nil && asked.For != nil {
		hold, err = seconds("for", asked.For, 0, auth.MaxKick)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, `%v: want {"user": "name", "for": 86400, "final": false} or {"channel": "/rooms/42", "user": "name"}, of which for, final and the second user may be missing`, err)
		return
	}
	if s.cfg.Control == nil {
		fail(w, http.StatusNotFound, "kicks are not available here")
		return
	}
	var ended int
	if asked.Channel == nil {
		ended, err = s.cfg.Control.KickUser(*asked.User, hold, asked.Final)
	} else {
		user := ""
		if asked.User != nil {
			user = *asked.User
		}
		ended, err = s.cfg.Control.KickChannel(*asked.Channel, user)
	}
	switch {
	case errors.Is(err, channels.ErrName):
		fail(w, http.StatusBadRequest, "%v", err)
	case err != nil:
		fail(w, http.StatusServiceUnavailable, "%v", err)
	default:
		reply(w, http.StatusOK, struct {
			Ended int `json:"ended"` // on this node
		}{ended})
	}
}

// readOrder reads a body of JSON, and nothing else.
func readOrder(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("the body: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("the body has more than one object")
	}
	w.Header().Del("Connection") // all of it has been read
	return nil
}

// seconds returns a time of whole seconds, 0 if there is none.
func seconds(name string, n *int, least int, most time.Duration) (time.Duration, error) {
	switch {
	case n == nil:
		return 0, nil
	case *n < least || *n > int(most/time.Second):
		return 0, fmt.Errorf("%s of %d seconds, want %d to %d", name, *n, least, int(most/time.Second))
	}
	return time.Duration(*n) * time.Second, nil
}
