package ops

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"millrace/channels"
)

const (
	// surveyPeriod is the time between two looks at all channels.
	surveyPeriod = 2 * time.Second
	// firstPeriod is that before the second look, which is the first to tell
	// rates.
	firstPeriod = surveyPeriod / 4
	// surveyShare is the most of a processor that all surveys take together, as
	// one part of so many.
	surveyShare = 20
	// surveyAtOnce is how many channels are read while the broker is held up.
	surveyAtOnce = 512
	// maxBusiest is how many channels a survey names.
	maxBusiest = 50
)

// busyChannel is a channel in the answer of a survey.
type busyChannel struct {
	Name        string  `json:"name"`
	Subscribers int     `json:"subscribers"`
	Rate        float64 `json:"rate"` // events a second
	History     int     `json:"history"`
	Bytes       int     `json:"bytes"`
}

// order tells how channels are ranked, the busiest first.
var order = map[string]func(a, b busyChannel) int{
	"subscribers": func(a, b busyChannel) int {
		return cmp.Or(cmp.Compare(b.Subscribers, a.Subscribers), cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.Name, b.Name))
	},
	"rate": func(a, b busyChannel) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(b.Subscribers, a.Subscribers), cmp.Compare(a.Name, b.Name))
	},
}

// busiest answers GET /busiest?filter=&by=subscribers|rate with an event stream:
// every few seconds, the channels with the most subscribers or events a second
// among those whose name contains filter.
func (s *Server) busiest(w http.ResponseWriter, r *http.Request) {
	q, err := parameters(r, "filter", "by")
	by := order[cmp.Or(q.Get("by"), "subscribers")]
	if err == nil && by == nil {
		fail(w, http.StatusBadRequest, "by=%.64q, want subscribers or rate", q.Get("by"))
		return
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	stream := s.beginStream(w, r)
	if stream == nil {
		return
	}
	defer s.streams.End()
	s.surveys.Add(1)
	defer s.surveys.Add(-1)
	v := survey{broker: s.cfg.Broker, filter: q.Get("filter"), by: by}
	for period := firstPeriod; stream.err == nil; period = surveyPeriod {
		began := time.Now()
		stream.send("channels", v.look(began))
		pause := time.Since(began) * surveyShare * time.Duration(s.surveys.Load())
		if !sleep(r.Context(), max(period, pause)) {
			return
		}
	}
}

// sleep returns false when ctx is done before d is over.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// survey looks at all channels again and again. Publishing has no part in it: a
// rate is the difference of two looks.
type survey struct {
	broker *channels.Broker
	filter string
	by     func(a, b busyChannel) int

	page   []channels.Info
	before []published // by name, of the last look
	now    []published
	looked time.Time
}

// published is how much was published on a channel.
type published struct {
	name     string
	messages uint64
}

// ranking is the result of a survey.
type ranking struct {
	Channels []busyChannel `json:"channels"`
	Matching int           `json:"matching"` // channels whose names contain the filter
	All      int           `json:"all"`
}

// look ranks the channels as they are now. It holds up the broker for a page at
// a time.
func (v *survey) look(now time.Time) ranking {
	r := ranking{Channels: []busyChannel{}}
	seconds := now.Sub(v.looked).Seconds()
	before, after := v.before, ""
	for {
		v.page = v.broker.Ports().Page(v.page[:0], "", after, surveyAtOnce)
		for _, i := range v.page {
			r.All++
			if !strings.Contains(i.Name, v.filter) {
				continue
			}
			r.Matching++
			one := busyChannel{Name: i.Name, Subscribers: i.Subscribers, History: i.History, Bytes: i.Bytes}
			for len(before) > 0 && before[0].name < i.Name {
				before = before[1:]
			}
			switch {
			case v.looked.IsZero():
			case len(before) > 0 && before[0].name == i.Name && before[0].messages <= i.Published:
				one.Rate = float64(i.Published-before[0].messages) / seconds
			default: // opened since
				one.Rate = float64(i.Published) / seconds
			}
			v.now = append(v.now, published{i.Name, i.Published})
			r.add(one, v.by)
		}
		if len(v.page) < surveyAtOnce {
			break
		}
		after = v.page[len(v.page)-1].Name
	}
	clear(v.page)
	v.before, v.now, v.looked = v.now, v.before[:0], now
	return r
}

// add gives one its place, if it is among the first.
func (r *ranking) add(one busyChannel, by func(a, b busyChannel) int) {
	at, _ := slices.BinarySearchFunc(r.Channels, one, by)
	if at < maxBusiest {
		r.Channels = slices.Insert(r.Channels, at, one)
		r.Channels = r.Channels[:min(len(r.Channels), maxBusiest)]
	}
}
