package ops

import (
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"time"

	"millrace/channels"
)

// publish answers POST /publish?channel=&event=&retry=, whose body is the data.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) {
	channel, ev, err := eventAsked(r)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	ev.Data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.cfg.MaxEventBytes)))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		fail(w, http.StatusRequestEntityTooLarge, "%v: more than %d bytes, which is --max-event-bytes", channels.ErrEventTooLarge, tooLarge.Limit)
		return
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "the body did not arrive: %v", err)
		return
	}
	w.Header().Del("Connection") // all of the body has been read
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
	receipt, err := s.cfg.Broker.Publish(channel, ev)
	switch {
	case err == nil:
		reply(w, http.StatusOK, struct {
			ID        string `json:"id"`
			Receivers int    `json:"receivers"`
		}{s.cfg.Broker.ID(receipt), receipt.Receivers})
	case errors.Is(err, channels.ErrEventTooLarge):
		fail(w, http.StatusRequestEntityTooLarge, "%v", err)
	case isRefusal(err):
		fail(w, http.StatusBadRequest, "%v", err)
	default: // busy, or the engine between the nodes is
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, "%v", err)
	}
}

// isRefusal tells whether err says that the event can never be published.
func isRefusal(err error) bool {
	return slices.ContainsFunc([]error{channels.ErrName, channels.ErrEventData, channels.ErrEventType, channels.ErrEventRetry},
		func(refusal error) bool { return errors.Is(err, refusal) })
}

// eventAsked reads the query of a request to publish.
func eventAsked(r *http.Request) (channel string, ev channels.Event, err error) {
	q, err := parameters(r, "channel", "event", "retry")
	if err != nil {
		return "", ev, err
	}
	if !q.Has("channel") {
		return "", ev, errors.New("the parameter channel is missing: want POST /publish?channel=NAME with the data as body")
	}
	ev.Type = q.Get("event")
	ms, err := number(q, "retry", 0, math.MaxInt32)
	ev.Retry = time.Duration(ms) * time.Millisecond
	return q.Get("channel"), ev, err
}
