package application

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
)

const (
	// maxNamed is how many channels an answer may name.
	maxNamed = 64
	// maxKeep is how long an answer is kept at most, whatever it says.
	maxKeep = 24 * time.Hour
)

// answer is the application's word about one channel.
type answer struct {
	status   auth.Status
	reason   string // label, empty if granted
	text     string
	missing  bool     // there is none yet
	named    bool     // channels replace the one that was asked about
	channels []string // if granted
	user     string
	expires  time.Time
	issued   time.Time // when the application was asked
	keep     time.Duration
}

// size is how many bytes the texts of an answer have.
func (a *answer) size() int {
	n := len(a.text) + len(a.user)
	for _, channel := range a.channels {
		n += len(channel)
	}
	return n
}

// trouble is an answer for want of one: the client is told to come back.
func trouble(reason, text string) answer {
	return answer{status: auth.Later, reason: reason, text: text}
}

// refuse returns a verdict that grants nothing.
func refuse(status auth.Status, reason, text string) auth.Verdict {
	return auth.Verdict{Status: status, Means: auth.MeansApplication, Reason: reason, Text: text}
}

// rest is what is left of an exchange when its answer is known. It is dropped once.
type rest struct {
	body   io.ReadCloser // nil: there is none
	cancel func()
}

// nothing is what is left of no exchange.
var nothing = rest{cancel: func() {}}

// drop reads as much of the body as lets the connection be used again.
func (r rest) drop() {
	if r.body != nil {
		io.CopyN(io.Discard, r.body, maxBody) // whatever becomes of it
		r.body.Close()
	}
	r.cancel()
}

// ask asks the application, once.
func (a *Application) ask(q *question) (answer, rest) {
	ctx, cancel := context.WithTimeout(a.life, a.timeout)
	issued := time.Now()
	request := (&http.Request{Method: http.MethodGet, URL: a.url, Host: a.url.Host, Header: q.header()}).WithContext(ctx)
	response, err := a.client.Do(request)
	if err != nil {
		cancel()
		return a.unasked(err), nothing
	}
	got, err := read(response, issued)
	switch {
	case err != nil:
		a.log.Warn("an answer of the application cannot be understood: clients are told to come back", "error", err)
		got = trouble("answer", "the application's answer cannot be understood")
	case got.status == auth.Later:
		a.log.Warn("the application has trouble: clients are told to come back", "status", response.StatusCode)
	case got.status != auth.Granted || got.named:
	case q.channel != "":
		got.channels = []string{q.channel}
	default:
		got = answer{status: auth.Forbidden, reason: "no_channel", text: "the address names no channel, and neither does the application", issued: issued, keep: got.keep}
	}
	return got, rest{response.Body, cancel}
}

// unasked is the answer where the application gave none.
func (a *Application) unasked(err error) answer {
	if quoted := (*url.Error)(nil); errors.As(err, &quoted) {
		err = quoted.Err // without the URL, whose query may have a secret
	}
	reason, text := "unreachable", "the application cannot be asked"
	if errors.Is(err, context.DeadlineExceeded) {
		reason, text = "timeout", fmt.Sprintf("the application has not answered within %v", a.timeout)
	}
	if a.life.Err() == nil {
		a.log.Warn("the application was not asked: clients are told to come back", "reason", reason, "host", a.url.Host, "error", err)
	}
	return trouble(reason, text)
}

// read returns what the status and the header of an answer say.
func read(response *http.Response, issued time.Time) (got answer, err error) {
	got.issued = issued
	refused := func(status auth.Status, reason string) {
		got.status, got.reason, got.text = status, reason, fmt.Sprintf("the application answered %d", response.StatusCode)
	}
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		if err := got.grant(response.Header); err != nil {
			return got, err
		}
		if !got.expires.IsZero() && !got.expires.After(issued) {
			refused(auth.Unauthorized, "expired")
		}
	case status >= 300 && status < 400:
		refused(auth.Unauthorized, "redirected")
	case status == http.StatusUnauthorized:
		refused(auth.Unauthorized, "unauthorized")
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= 500 || status < 200:
		refused(auth.Later, "trouble")
		return got, nil // which is not kept
	default:
		refused(auth.Forbidden, "forbidden")
	}
	got.keep = maxAge(response.Header)
	if got.status == auth.Granted && !got.expires.IsZero() {
		got.keep = min(got.keep, got.expires.Sub(issued))
	}
	return got, nil
}

// grant reads the header of an answer that grants.
func (a *answer) grant(h http.Header) error {
	user, err := single(h, "X-Millrace-User")
	if err != nil {
		return err
	}
	if a.user = user; user != "" {
		if err := auth.CheckUser(user); err != nil {
			return fmt.Errorf("X-Millrace-User: %w", err)
		}
	}
	expires, err := single(h, "X-Millrace-Expires")
	if err != nil {
		return err
	}
	if expires != "" {
		const least, most = 1e9, 253402300799 // 2001 to 9999: a span of time is none
		seconds, err := strconv.ParseInt(expires, 10, 64)
		if err != nil || seconds < least || seconds > most {
			return fmt.Errorf("X-Millrace-Expires: %.32q, want seconds since 1970 such as 1790000000", expires)
		}
		a.expires = time.Unix(seconds, 0)
	}
	a.channels, err = named(h.Values("Grip-Channel"))
	a.named = a.channels != nil
	return err
}

// single returns the value of a header that may be there once, or more often with the
// same value.
func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(slices.Compact(slices.Clone(values))) > 1 {
		return "", fmt.Errorf("%s: %d different values, want one", name, len(values))
	}
	return h.Get(name), nil
}

// named returns the channels of Grip-Channel headers, each once, in order; nil if there
// are none. What stands after a semicolon is for other servers.
func named(values []string) (names []string, err error) {
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(item, ";")
			name = strings.Trim(name, " \t")
			switch {
			case slices.Contains(names, name):
				continue
			case len(names) == maxNamed:
				return nil, fmt.Errorf("Grip-Channel: more than %d channels", maxNamed)
			}
			if err := channels.CheckName([]byte(name)); err != nil {
				return nil, fmt.Errorf("Grip-Channel: %w", err)
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// maxAge returns how long an answer may be kept.
func maxAge(h http.Header) (keep time.Duration) {
	for _, value := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(value, ",") {
			name, argument, _ := strings.Cut(strings.Trim(directive, " \t"), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				seconds, err := strconv.ParseUint(strings.Trim(argument, `"`), 10, 31)
				if err != nil {
					return 0
				}
				keep = min(time.Duration(seconds)*time.Second, maxKeep)
			}
		}
	}
	return keep
}

// verdict makes one verdict of all answers that there are. A refusal for good counts more
// than trouble, since coming back would not help.
func (g *gathering) verdict() auth.Verdict {
	v := auth.Verdict{Means: auth.MeansApplication}
	rank := func(s auth.Status) int {
		return slices.Index([]auth.Status{auth.Granted, auth.Later, auth.Forbidden, auth.Unauthorized}, s)
	}
	for _, a := range g.answers {
		if a.missing {
			continue
		}
		if a.status != auth.Granted {
			if rank(a.status) > rank(v.Status) {
				v = refuse(a.status, a.reason, a.text)
			}
			continue
		}
		if v.Status != auth.Granted {
			continue
		}
		for _, channel := range a.channels {
			if !slices.Contains(v.Channels, channel) {
				v.Channels = append(v.Channels, channel)
			}
		}
		if v.User == "" {
			v.User = a.user
		} else if a.user != "" && a.user != v.User {
			return refuse(auth.Forbidden, "users", "the application names one user for one of the channels, and another for another")
		}
		v.Expires, v.Issued = earlier(v.Expires, a.expires), earlier(v.Issued, a.issued)
	}
	return v
}

// earlier returns the earlier of two times, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
