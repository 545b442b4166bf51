// Package auth decides which streams may be opened.
//
// A dialect reads what a client asks for ([Request]); an [Authorizer] answers with a
// [Verdict]: a grant (which channels, for which user, until when), or a refusal that
// says why. A means is one way to decide, such as signed names ([Turbo]).
//
// Credentials appear in no Text, Reason, error or log of this package.
package auth

import (
	"net/netip"
	"time"
)

// Request is what one stream asks for, as its dialect has read it. Its strings are
// copies, so an Authorizer may keep it until it has called done.
type Request struct {
	// Channels are the decoded names after aliases, without doubles; none if the URL
	// names none.
	Channels []string
	// Aliased says that the first of Channels is what --alias has the path stand for:
	// the operator chose that name, not the client.
	Aliased bool
	// Signed are names that the application has signed, decoded and not verified, without
	// doubles.
	Signed []string

	Method, Path, Query string // as received
	Host                string // as received, or as a trusted proxy says
	Secure              bool   // TLS here, or as a trusted proxy says
	Client              netip.Addr

	// Headers as received; empty if absent. Several Cookie headers are joined by "; ".
	Authorization, Cookie, Origin, UserAgent, FetchSite string
	// OriginAllowed says that CORS allows the Origin, with credentials.
	OriginAllowed bool
}

// Status is what a verdict comes to.
type Status uint8

const (
	Granted      Status = iota
	Unauthorized        // 401: no credentials or bad ones
	Forbidden           // 403: good credentials that do not grant this
	Later               // 200, retry: and the end: trouble on our side, so that clients come back
)

// String returns the label of metrics.
func (s Status) String() string {
	names := [...]string{"granted", "unauthorized", "forbidden", "later"}
	if int(s) >= len(names) {
		return "unknown"
	}
	return names[s]
}

// Labels of metrics: the means that a verdict is by.
const (
	MeansTicket      = "ticket"
	MeansSignature   = "signature"
	MeansJWT         = "jwt"
	MeansApplication = "application"
	MeansTurbo       = "turbo"
	MeansPublic      = "public"
	MeansNone        = "none"
)

// Verdict is a grant or a refusal.
type Verdict struct {
	Status Status
	Means  string // label of metrics: one of the constants above
	Reason string // label of metrics: a short constant; empty if granted
	Text   string // one sentence for the body and the log; never a credential

	Channels []string  // if granted: what the stream is subscribed to
	User     string    // may be empty
	Expires  time.Time // zero: never; the stream ends in the minute after it
	Issued   time.Time // zero: unknown; for kicks
	Renewal  string    // of a ticket's stream; else empty
}

// Authorizer decides. It is safe for concurrent use. Event loops call it, so it neither
// blocks nor computes for more than 10 µs. What takes longer comes later: then ok is
// false, and done is called exactly once, from another goroutine. If ok is true, done is
// not called.
type Authorizer interface {
	Authorize(r *Request, now time.Time, done func(Verdict)) (v Verdict, ok bool)
}
