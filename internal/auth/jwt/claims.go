package jwt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/pattern"
)

// Leeway is what clocks may differ by: a token is taken so much before its nbf and after
// its exp.
const Leeway = 30 * time.Second

// Claims are what a token says whose signature is right.
type Claims struct {
	User     string    // sub
	Issuer   string    // iss
	Audience []string  // aud
	Expires  time.Time // exp; zero: never
	Begins   time.Time // nbf; zero: at once
	Issued   time.Time // iat; zero: unknown
	Names    []string  // of channels, each exactly that
	Patterns pattern.List
	Strange  int // grants of a form that there is no pattern for: they grant nothing
}

// Grants tells whether c grants a channel.
func (c *Claims) Grants(channel string) bool {
	return slices.Contains(c.Names, channel) || c.Patterns.Match(channel)
}

// Form is where the grants of a token stand.
type Form struct{ mercure, channels, channel, subs, ably bool }

// ErrGrants is wrapped by the refusal of a form.
var ErrGrants = errors.New("bad form of grants")

// ParseForm reads the names of the claims that grant.
func ParseForm(names []string) (f Form, err error) {
	known := map[string]*bool{"mercure": &f.mercure, "channels": &f.channels, "channel": &f.channel, "subs": &f.subs, "ably": &f.ably}
	for _, name := range names {
		is, ok := known[name]
		if !ok {
			return Form{}, fmt.Errorf("%w: %.32q, want mercure, channels, channel, subs or ably", ErrGrants, name)
		}
		*is = true
	}
	if f == (Form{}) {
		return Form{}, fmt.Errorf("%w: none, want mercure, channels, channel, subs or ably", ErrGrants)
	}
	return f, nil
}

// Read reads claims. Errors are ErrClaims.
func (f Form) Read(payload []byte) (*Claims, error) {
	r := reader{scanner: scanner{text: string(payload)}, c: new(Claims)}
	if r.object(func(name string) { r.claim(f, name) }); !r.end() {
		return nil, ErrClaims
	}
	return r.c, nil
}

// Check reports why c does not count at the time now. audiences and issuers are those of
// which one is wanted; without any, all will do. Errors are ErrExpired, ErrEarly,
// ErrAudience and ErrIssuer.
func (c *Claims) Check(now time.Time, audiences, issuers []string) error {
	isOneOf := func(wanted []string) func(string) bool {
		return func(s string) bool { return slices.Contains(wanted, s) }
	}
	switch {
	case !c.Expires.IsZero() && now.After(c.Expires.Add(Leeway)):
		return ErrExpired
	case c.Begins.After(now.Add(Leeway)), c.Issued.After(now.Add(Leeway)):
		return ErrEarly
	case len(audiences) > 0 && !slices.ContainsFunc(c.Audience, isOneOf(audiences)):
		return ErrAudience
	case len(issuers) > 0 && !slices.Contains(issuers, c.Issuer):
		return ErrIssuer
	}
	return nil
}

// reader takes claims. Those that are null are as good as absent.
type reader struct {
	scanner
	c *Claims
}

// claim reads the claim of that name. Those that grant are read only if the form has them:
// another application may mean something else by their names.
func (r *reader) claim(f Form, name string) {
	if r.isNull() {
		return
	}
	switch {
	case name == "sub":
		r.c.User = r.textOrNumber()
	case name == "iss":
		r.c.Issuer = r.str()
	case name == "aud":
		r.audience()
	case name == "exp":
		r.c.Expires = r.date()
	case name == "nbf":
		r.c.Begins = r.date()
	case name == "iat":
		r.c.Issued = r.date()
	case f.mercure && (name == "mercure" || name == "https://mercure.rocks/"):
		r.mercure()
	case f.ably && name == "x-ably-capability":
		r.capability(r.str())
	case f.channels && name == "channels":
		r.c.Names = slices.Grow(r.c.Names, len(r.text)/32) // most names are longer
		r.list(func() { r.exact(r.str()) })
	case f.channel && name == "channel":
		r.exact(r.str())
	case f.subs && name == "subs":
		r.object(func(name string) {
			r.exact(name)
			r.skip()
		})
	default:
		r.skip()
	}
}

// textOrNumber reads a text or, as many applications have users, a number.
func (r *reader) textOrNumber() string {
	if r.kind() == '"' {
		return r.str()
	}
	return r.number()
}

// audience reads one or several.
func (r *reader) audience() {
	if r.kind() == '"' {
		r.c.Audience = []string{r.str()}
		return
	}
	r.list(func() { r.c.Audience = append(r.c.Audience, r.str()) })
}

// maxDate bounds dates, in seconds: the year 9999.
const maxDate = 253402300799

// date reads a NumericDate: seconds since 1970, perhaps with a fraction.
func (r *reader) date() time.Time {
	seconds, err := strconv.ParseFloat(r.number(), 64)
	if err != nil || seconds < 0 || seconds > maxDate {
		r.fail()
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// mercure reads what Mercure's claim grants: {"subscribe": [pattern, ...]}. An object in
// the place of a pattern, as drafts of the protocol have it, is none.
func (r *reader) mercure() {
	r.object(func(name string) {
		if name != "subscribe" {
			r.skip()
			return
		}
		if r.isNull() {
			return
		}
		r.list(func() {
			if r.kind() == '"' {
				r.pattern(r.str())
				return
			}
			r.c.Strange++
			r.skip()
		})
	})
}

// capability takes what Ably's claim grants, a text that is JSON:
// {"pattern": ["subscribe", ...]}.
func (r *reader) capability(text string) {
	s := scanner{text: text}
	s.object(func(resource string) {
		granted := false
		s.list(func() {
			operation := s.str()
			granted = granted || operation == "subscribe" || operation == "*"
		})
		switch {
		case !granted || s.bad:
		case isAbly(resource):
			r.pattern(resource)
		default:
			r.c.Strange++
		}
	})
	if !s.end() {
		r.fail()
	}
}

// isAbly tells whether Ably's resource means what it does as a pattern: there * stands for
// whole parts between colons only, and neither braces nor [qualifiers] for names.
func isAbly(resource string) bool {
	beginning, isOpen := strings.CutSuffix(resource, "*")
	return !strings.ContainsAny(resource, "{}[]") && (!isOpen || beginning == "" || strings.HasSuffix(beginning, ":"))
}

func (r *reader) exact(name string) {
	if name != "" {
		r.c.Names = append(r.c.Names, name)
	}
}

func (r *reader) pattern(text string) {
	p, err := pattern.Parse(text)
	if err != nil {
		r.c.Strange++
		return
	}
	r.c.Patterns = append(r.c.Patterns, p)
}
