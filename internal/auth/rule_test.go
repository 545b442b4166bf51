package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/pattern"
	"millrace/internal/turbo"
)

// password is a means for tests: the parameter of its name has a status, or a channel that
// it grants to the user u.
type password struct {
	name  string
	async bool
	need  *[]string // what it was asked about
}

func (p password) Find(r *Request) (string, bool) {
	value, differ := Param(r.Query, p.name)
	return value, value != "" || differ
}

func (p password) Judge(r *Request, value string, need []string, now time.Time, done func(Verdict)) (Verdict, bool) {
	*p.need = need
	v := Verdict{Means: p.name, User: "u", Issued: now, Channels: need}
	switch {
	case value == "bad":
		v = Refuse(p.name, Unauthorized, "bad", "bad")
	case value == "down":
		v = Refuse(p.name, Later, "down", "down")
	case len(r.Channels) == 0:
		v.Channels = []string{value}
	default:
		for _, channel := range need {
			if channel != value {
				v = NotGranted(p.name, channel)
			}
		}
	}
	if p.async {
		go done(v)
		return Verdict{}, false
	}
	return v, true
}

// text is a verdict in a line.
func text(v Verdict) string {
	if v.Status != Granted {
		return fmt.Sprintf("%v %s %s", v.Status, v.Means, v.Reason)
	}
	return fmt.Sprintf("%v %s %v", v.Status, v.Means, v.Channels)
}

// ask returns the verdict of a, whenever it comes.
func ask(t *testing.T, a Authorizer, r *Request, now time.Time) Verdict {
	t.Helper()
	later := make(chan Verdict, 2)
	v, ok := a.Authorize(r, now, func(v Verdict) { later <- v })
	if ok {
		return v
	}
	select {
	case v = <-later:
		return v
	case <-t.Context().Done():
		return Verdict{}
	}
}

// Ensure that every channel takes a grant, that one means decides, and that public
// channels are open whatever comes with a request.
func TestRule(t *testing.T) {
	public, err := pattern.ParseList([]string{"/public/*", "/x/{any}", "lobby", "/y*"})
	if err != nil {
		t.Fatal(err)
	}
	verifier := turbo.NewVerifier("key")
	now := time.Unix(1_800_000_000, 0)
	for _, async := range []bool{false, true} {
		var need []string
		a := &Rule{
			Public: public,
			Means:  []Means{password{"first", async, &need}, Turbo{func() *turbo.Verifier { return verifier }}, password{"second", async, &need}},
			Kicks:  new(Kicks),
		}
		for _, tt := range []struct {
			channels, query, signed string
			want                    string
		}{
			{"/a", "", "", "unauthorized none no_credentials"},
			{"", "", "", "unauthorized none no_credentials"},
			{"/public/a", "", "", "granted public [/public/a]"},
			{"/public/a /x/1 /y", "first=bad", "", "granted public [/public/a /x/1 /y]"},
			{"lobby", "", "", "unauthorized none no_credentials"},
			{"/x/", "", "", "unauthorized none no_credentials"},
			{"/x/1/2", "first=bad", "", "unauthorized first bad"},
			{"/a", "first=/a", "", "granted first [/a]"},
			{"/a", "second=/a", "", "granted second [/a]"},
			{"/a", "second=/a&first=bad", "", "unauthorized first bad"}, // no falling through
			{"/a", "second=/a&first=down", "", "later first down"},
			{"/a", "second=/a&first=/b", "", "forbidden first not_granted"},
			{"/a /b", "first=/a", "", "forbidden first not_granted"},
			{"/public/a /a", "first=/a", "", "granted first [/a /public/a]"},
			{"/public/a /b", "first=/a", "", "forbidden first not_granted"},
			{"", "second=/b", "", "granted second [/b]"},
			{"", "second=/b", "room", "granted turbo [room]"},
			{"/a", "second=/a", "room", "forbidden turbo not_granted"},
			{"room /public/a", "", "room", "granted turbo [room /public/a]"},
			{"/public/a", "", "!room", "unauthorized turbo bad_signature"},
		} {
			r := &Request{Channels: strings.Fields(tt.channels), Query: tt.query}
			if name, bad := strings.CutPrefix(tt.signed, "!"); bad {
				r.Signed = []string{sign("other", `"`+name+`"`)}
			} else if name != "" {
				r.Signed = []string{sign("key", `"`+name+`"`)}
			}
			asked := slices.Clone(r.Channels)
			v := ask(t, a, r, now)
			if got := text(v); got != tt.want {
				t.Errorf("%+v, async %v: %s, want %s", tt, async, got, tt.want)
			}
			if (v.Status == Granted) != (v.Text == "") || !slices.Equal(asked, r.Channels) {
				t.Errorf("%+v: the text %q, and the request has %q", tt, v.Text, r.Channels)
			}
			if slices.ContainsFunc(need, a.isPublic) {
				t.Errorf("%+v: asked about %q, of which some are public", tt, need)
			}
		}
	}
}

// Ensure that nothing counts for a user that was issued before a kick, by any means, and
// nothing at all after a final one.
func TestRuleKicks(t *testing.T) {
	var need []string
	now := time.Unix(1_800_000_000, 0)
	public, _ := pattern.ParseList([]string{"/p"})
	a := &Rule{Public: public, Means: []Means{password{"first", true, &need}}, Kicks: new(Kicks)}
	r := &Request{Channels: []string{"/a"}, Query: "first=/a"}
	want := func(what string, at time.Time, want string) {
		t.Helper()
		if got := text(ask(t, a, r, at)); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	want("before", now, "granted first [/a]")
	a.Kicks.Add(Kick{User: "u", At: now.Add(time.Second), Until: now.Add(time.Hour)}, now)
	want("issued before it", now, "unauthorized first kicked")
	a.Means[0] = password{MeansApplication, true, &need}
	r.Query = MeansApplication + "=/a"
	want("the application's answer from before it", now, "later application kicked")
	a.Means[0] = password{"first", true, &need}
	r.Query = "first=/a"
	want("issued after it", now.Add(2*time.Second), "granted first [/a]")
	a.Kicks.Add(Kick{User: "u", At: now.Add(time.Second), Until: now.Add(time.Hour), Final: true}, now)
	want("issued after a final one", now.Add(2*time.Second), "forbidden first kicked")
	want("after its time", now.Add(time.Hour), "granted first [/a]")
	if got := text(ask(t, a, &Request{Channels: []string{"/p"}, Query: "first=/p"}, now)); got != "granted public [/p]" {
		t.Errorf("a public channel: %s", got)
	}
}

// Ensure that a request with cookies of another site's page is told so.
func TestForeignCookies(t *testing.T) {
	for site, want := range map[string]string{
		"": "no_credentials", "same-origin": "no_credentials", "same-site": "no_credentials",
		"cross-site": "foreign_cookies", "none": "foreign_cookies", "Same-Site": "foreign_cookies",
	} {
		r := &Request{Channels: []string{"/a"}, Cookie: "a=b", FetchSite: site}
		if v, ok := new(Rule).Authorize(r, time.Time{}, nil); !ok || v.Status != Unauthorized || v.Reason != want {
			t.Errorf("Sec-Fetch-Site: %q: %s, want %s", site, text(v), want)
		}
		r.OriginAllowed = true
		if v, _ := new(Rule).Authorize(r, time.Time{}, nil); v.Reason != "no_credentials" {
			t.Errorf("Sec-Fetch-Site: %q, of an allowed origin: %s", site, text(v))
		}
	}
}

func TestParam(t *testing.T) {
	for _, tt := range []struct {
		query, value string
		differ       bool
	}{
		{"", "", false}, {"a=1", "1", false}, {"b=1", "", false}, {"A=1", "", false}, {"a=", "", false}, {"a", "", false},
		{"a=&a=1", "1", false}, {"a=1&a=1", "1", false}, {"a=1&a=%31", "1", false}, {"a=1&a=2", "1", true}, {"x=2&a=1%2B+", "1+ ", false}, {"a=%zz", "%zz", false},
	} {
		if value, differ := Param(tt.query, "a"); value != tt.value || differ != tt.differ {
			t.Errorf("Param(%q): %q, %v, want %q, %v", tt.query, value, differ, tt.value, tt.differ)
		}
	}
}
