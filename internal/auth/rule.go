package auth

import (
	"slices"
	"strings"
	"time"

	"millrace/internal/pattern"
)

// Means is one way to decide. Its methods are as safe and as quick as those of an
// Authorizer.
type Means interface {
	// Find returns the credential of these means that r bears, if it does.
	Find(r *Request) (credential string, ok bool)
	// Judge decides by what Find has returned on need, the channels of r without those
	// that are public. The rest is as for Authorize; it changes neither r nor need, and
	// may keep both until it has called done. A grant need not have the public channels.
	Judge(r *Request, credential string, need []string, now time.Time, done func(Verdict)) (v Verdict, ok bool)
}

// Rule is the Authorizer of a node with means of its own: every channel that a stream asks
// for takes a grant, but for those that are public. One means decides on a request, the
// first that finds a credential; a bad one is a refusal, whatever else there is.
type Rule struct {
	Public pattern.List // what is open to everybody; only names that begin with / are
	Means  []Means      // in their order: ticket, signature, signed names, JWT, application
	Kicks  *Kicks       // nil: none
}

// Authorize implements Authorizer.
func (a *Rule) Authorize(r *Request, now time.Time, done func(Verdict)) (Verdict, bool) {
	need := r.Channels
	if len(a.Public) > 0 {
		need = slices.DeleteFunc(slices.Clone(need), a.isPublic)
	}
	if len(need) == 0 && len(r.Channels) > 0 && len(r.Signed) == 0 {
		return Verdict{Means: MeansPublic, Channels: r.Channels}, true
	}
	for _, m := range a.Means {
		credential, found := m.Find(r)
		if !found {
			continue
		}
		v, ok := m.Judge(r, credential, need, now, func(v Verdict) { done(a.complete(v, r, need, now)) })
		if ok {
			v = a.complete(v, r, need, now)
		}
		return v, ok
	}
	return a.nothing(r), true
}

// isPublic tells whether a channel takes no grant.
func (a *Rule) isPublic(channel string) bool {
	return strings.HasPrefix(channel, "/") && a.Public.Match(channel)
}

// complete adds to a grant the public channels that were asked for, and refuses it if its
// user has been kicked since it was issued.
func (a *Rule) complete(v Verdict, r *Request, need []string, now time.Time) Verdict {
	if v.Status != Granted {
		return v
	}
	if a.Kicks != nil {
		refusal := Verdict{Means: v.Means, User: v.User, Reason: "kicked"}
		switch a.Kicks.Judge(v.User, v.Issued, now) {
		case Void:
			refusal.Status, refusal.Text = Unauthorized, "the user's streams have been ended since this was issued: a newer credential may count"
			if v.Means == MeansApplication { // what is void is its answer, which came just before; the client's session may be good
				refusal.Status, refusal.Text = Later, "the user's streams have been ended since the application was asked: its next answer may count"
			}
			return refusal
		case Barred:
			refusal.Status, refusal.Text = Forbidden, "the user's streams have been ended for good"
			return refusal
		}
	}
	if len(need) < len(r.Channels) {
		granted := v.Channels
		v.Channels = slices.Clone(granted)
		for _, channel := range r.Channels {
			if a.isPublic(channel) && !slices.Contains(granted, channel) {
				v.Channels = append(v.Channels, channel)
			}
		}
	}
	return v
}

// nothing is the verdict on a request without a credential.
func (a *Rule) nothing(r *Request) Verdict {
	v := Verdict{Status: Unauthorized, Means: MeansNone, Reason: "no_credentials", Text: "no credentials: these channels take a grant"}
	if r.Cookie != "" && !CookiesCount(r) {
		v.Reason, v.Text = "foreign_cookies", "no credentials: cookies do not count here, since the page is of another site (Sec-Fetch-Site) and --allow-origin does not name its origin"
	}
	return v
}

// Refuse returns a refusal.
func Refuse(means string, status Status, reason, text string) Verdict {
	return Verdict{Status: status, Means: means, Reason: reason, Text: text}
}

// NotGranted is the verdict on good credentials that do not grant a channel.
func NotGranted(means, channel string) Verdict {
	return Refuse(means, Forbidden, "not_granted", "the credentials do not grant the channel "+Quoted(channel))
}
