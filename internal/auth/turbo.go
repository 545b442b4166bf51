package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/internal/turbo"
)

// Turbo grants what Rails has signed. With it alone, channels that begin with / are open
// to everybody, and so is what --alias names; all others take a signed name.
type Turbo struct {
	// Verifier returns the verifier in force. It is safe for concurrent use.
	Verifier func() *turbo.Verifier
}

// Authorize grants the channels asked for and those of the signed names. A stream that has
// begun goes on when they expire.
func (a Turbo) Authorize(r *Request, now time.Time, _ func(Verdict)) (Verdict, bool) {
	v := a.open(r, now)
	v.Expires = time.Time{}
	if v.Status != Granted {
		return v, true
	}
	for i, channel := range r.Channels {
		if !strings.HasPrefix(channel, "/") && !(i == 0 && r.Aliased) {
			return Verdict{Status: Forbidden, Means: MeansTurbo, Reason: "not_signed", Text: fmt.Sprintf(
				"the channel %.64q does not begin with /, so it takes a signed name: /turbo?signed_stream_name=", channel)}, true
		}
	}
	return v, true
}

// open grants the channels asked for and those of the signed names, until the first of these
// expires.
func (a Turbo) open(r *Request, now time.Time) Verdict {
	v := Verdict{Means: MeansTurbo, Channels: r.Channels}
	if len(r.Signed) == 0 {
		return v
	}
	verifier := a.Verifier()
	v.Channels = append(make([]string, 0, len(r.Channels)+len(r.Signed)), r.Channels...)
	for _, signed := range r.Signed {
		channel, expires, err := verifier.Verify([]byte(signed), now)
		if err != nil {
			return refuseSigned(err)
		}
		v.Channels = append(v.Channels, channel)
		if v.Expires.IsZero() || !expires.IsZero() && expires.Before(v.Expires) {
			v.Expires = expires
		}
	}
	return v
}

// Find implements Means: the signed names are the credential.
func (a Turbo) Find(r *Request) (string, bool) { return "", len(r.Signed) > 0 }

// Judge implements Means: beside other means, signed names grant their channels and nothing
// else.
func (a Turbo) Judge(r *Request, _ string, need []string, now time.Time, _ func(Verdict)) (Verdict, bool) {
	v := a.open(&Request{Signed: r.Signed}, now)
	if v.Status != Granted {
		v.Status = Unauthorized
		return v, true
	}
	for _, channel := range need {
		if !slices.Contains(v.Channels, channel) {
			return NotGranted(MeansTurbo, channel), true
		}
	}
	return v, true
}

// refuseSigned is the verdict on a name that err speaks against.
func refuseSigned(err error) Verdict {
	v := Verdict{Status: Forbidden, Means: MeansTurbo, Reason: "malformed", Text: "signed_stream_name: " + err.Error()}
	switch {
	case errors.Is(err, turbo.ErrSignature):
		v.Reason = "bad_signature"
	case errors.Is(err, turbo.ErrExpired):
		v.Reason = "expired"
	case errors.Is(err, turbo.ErrPurpose), errors.Is(err, turbo.ErrName):
		v.Reason = "no_stream"
	}
	return v
}
