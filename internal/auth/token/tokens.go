// Package token grants streams by JSON Web Tokens that clients bear: in a header, a
// parameter or a cookie. What is in a token is package jwt's; here are the keys
// ([Keyring]), what takes too long for an event loop, and the verdicts ([Tokens]).
package token

import (
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"millrace/internal/auth"
	"millrace/internal/auth/jwt"
)

const (
	// mostNames is how many channels a token subscribes to whose URL names none.
	mostNames = 64
	// mostTokens is how many tokens wait to be verified by the workers.
	mostTokens = 4096
)

// AnyAudience is the audience that stands for any.
const AnyAudience = "any"

// Config says which tokens count.
type Config struct {
	Keys      *Keyring
	Form      jwt.Form // where grants stand
	Audiences []string // one of them is wanted; none or AnyAudience: any will do
	Issuers   []string // one of them is wanted; none: any will do
	Cookie    string   // that may have the token; empty: none
}

// Tokens are the means of JSON Web Tokens. Make one by New. Safe for concurrent use.
type Tokens struct {
	cfg     Config
	workers *workers
	known   *cache
	strange atomic.Int64
}

// New returns the means of cfg. It takes over the keyring.
func New(cfg Config) *Tokens {
	if slices.Contains(cfg.Audiences, AnyAudience) {
		cfg.Audiences = nil
	}
	return &Tokens{cfg: cfg, workers: startWorkers(max(1, runtime.GOMAXPROCS(0)/4), mostTokens), known: newCache()}
}

// Close ends what goes on in the background. Verdicts under way come first.
func (a *Tokens) Close() {
	a.cfg.Keys.Close()
	a.workers.close()
}

// conflict is what Find returns for two cookies, or parameters, that differ. No token has
// a space.
const conflict = " "

// Find implements Means: the first of the Authorization header, the parameters
// authorization, access_token and jid, and the cookie.
func (a *Tokens) Find(r *auth.Request) (string, bool) {
	if token := bearer(r.Authorization); token != "" {
		return token, true
	}
	for _, name := range []string{"authorization", "access_token", "jid"} {
		if token, differ := auth.Param(r.Query, name); differ {
			return conflict, true
		} else if token != "" {
			return token, true
		}
	}
	if a.cfg.Cookie == "" || r.Cookie == "" || !auth.CookiesCount(r) {
		return "", false
	}
	token, differ := cookie(r.Cookie, a.cfg.Cookie)
	if differ {
		return conflict, true
	}
	return token, token != ""
}

// Judge implements Means. A cheap token is verified at once, another one by the workers
// unless it is known already.
func (a *Tokens) Judge(r *auth.Request, text string, need []string, now time.Time, done func(auth.Verdict)) (auth.Verdict, bool) {
	if text == conflict {
		return auth.Refuse(auth.MeansJWT, auth.Unauthorized, "conflict", "two different tokens under one name, want one: a cookie of a subdomain, perhaps, which one named __Host- cannot be"), true
	}
	q := &question{a: a, r: r, need: need, asked: now, began: time.Now(), done: done}
	if jwt.IsBrief(text) {
		if err := q.parse(text); err != nil {
			return refuseToken(err), true
		}
		if q.token.IsCheap() {
			return q.open(q.await)
		}
	}
	q.hash = a.known.hash(text)
	if claims := a.known.get(q.hash, a.cfg.Keys.Set()); claims != nil {
		return q.verdict(claims), true
	}
	return q.work(func() (auth.Verdict, bool) {
		if q.token == nil {
			if err := q.parse(text); err != nil {
				return refuseToken(err), true
			}
		}
		return q.open(q.await)
	})
}

// question is a token whose verdict is due.
type question struct {
	a     *Tokens
	r     *auth.Request
	need  []string
	token *jwt.Token // nil until its header has been read
	hash  hashed     // of a token that is not cheap
	asked time.Time  // as the caller's clock has it
	began time.Time  // by ours
	done  func(auth.Verdict)
}

// parse reads the token's header.
func (q *question) parse(text string) (err error) {
	q.token, err = jwt.Parse(text)
	return err
}

// now is the time by the caller's clock.
func (q *question) now() time.Time { return q.asked.Add(time.Since(q.began)) }

// open verifies the token. If keys that are not known here yet may be its, otherwise
// decides.
func (q *question) open(otherwise func() (auth.Verdict, bool)) (auth.Verdict, bool) {
	set := q.a.cfg.Keys.Set()
	payload, err := set.Open(q.token)
	switch {
	case err == jwt.ErrUnknown && q.a.cfg.Keys.IsFetching(), err != nil && q.a.cfg.Keys.IsMissing():
		return otherwise()
	case err != nil:
		return refuseToken(err), true
	}
	claims, err := q.a.cfg.Form.Read(payload)
	if err != nil {
		return refuseToken(err), true
	}
	q.a.strange.Add(int64(claims.Strange))
	if !q.token.IsCheap() {
		q.a.known.put(q.hash, set, claims)
	}
	return q.verdict(claims), true
}

// work has a worker do a job, and hand its verdict to done.
func (q *question) work(job func() (auth.Verdict, bool)) (auth.Verdict, bool) {
	done := func() {
		if v, ok := job(); ok {
			q.done(v)
		}
	}
	if !q.a.workers.do(q.r.Client, done) {
		return auth.Refuse(auth.MeansJWT, auth.Later, "busy", "too many tokens wait to be verified"), true
	}
	return auth.Verdict{}, false
}

// await has the token verified once more when keys have been fetched again.
func (q *question) await() (auth.Verdict, bool) {
	again := func(failed error, last bool) {
		v, ok := q.work(func() (auth.Verdict, bool) {
			return q.open(func() (auth.Verdict, bool) {
				if !last && failed == nil {
					return q.await()
				}
				if failed != nil || q.a.cfg.Keys.IsMissing() {
					return auth.Refuse(auth.MeansJWT, auth.Later, "keys", "the keys of tokens cannot be fetched"), true
				}
				return refuseToken(jwt.ErrUnknown), true
			})
		})
		if ok {
			q.done(v)
		}
	}
	if !q.a.cfg.Keys.Await(again) {
		return auth.Refuse(auth.MeansJWT, auth.Later, "keys", "too many tokens wait for the keys of tokens to be fetched"), true
	}
	return auth.Verdict{}, false
}

// verdict decides by claims.
func (q *question) verdict(c *jwt.Claims) auth.Verdict {
	now := q.now()
	if err := c.Check(now, q.a.cfg.Audiences, q.a.cfg.Issuers); err != nil {
		return refuseToken(err)
	}
	if c.User != "" && auth.CheckUser(c.User) != nil {
		return refuseToken(jwt.ErrClaims)
	}
	v := auth.Verdict{Means: auth.MeansJWT, Channels: q.need, User: c.User, Issued: c.Issued, Expires: c.Expires}
	if v.Issued.After(now) { // by a clock that is ahead of ours
		v.Issued = now
	}
	no := func(reason, text string) auth.Verdict {
		v := auth.Refuse(auth.MeansJWT, auth.Forbidden, reason, text)
		v.User = c.User
		return v
	}
	if len(q.r.Channels) == 0 {
		once := slices.Compact(slices.Sorted(slices.Values(c.Names)))
		switch n := len(once); {
		case n == 0:
			return no("no_channel", "the address names no channel, and the token none exactly")
		case n > mostNames:
			return no("too_many_channels", "the address names no channel, and the token more than 64: name those that are wanted")
		}
		v.Channels = once
	}
	for _, channel := range q.need {
		if !c.Grants(channel) {
			return no("not_granted", "the token does not grant the channel "+auth.Quoted(channel))
		}
	}
	return v
}

// refuseToken is the verdict on a token that err speaks against.
func refuseToken(err error) auth.Verdict {
	e := jwt.ErrForm
	errors.As(err, &e)
	return auth.Refuse(auth.MeansJWT, auth.Unauthorized, e.Reason, e.Text)
}

// Stats are figures of tokens.
type Stats struct {
	Strange int64 // grants of a form that there is no pattern for: they grant nothing
	Fetches int64 // of keys
	Failed  int64 // of Fetches
	Waiting int   // tokens that the workers have yet to verify
	Keys    int
}

// Stats returns the figures as they are now.
func (a *Tokens) Stats() Stats {
	k := a.cfg.Keys
	return Stats{a.strange.Load(), k.tries.Load(), k.failed.Load(), a.workers.line(), len(*k.Set())}
}
