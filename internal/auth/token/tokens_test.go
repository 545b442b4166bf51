package token

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/internal/auth"
)

// Ensure that the token is looked for where it may be, in that order, and that cookies
// count for the pages of their own site only.
func TestCarriers(t *testing.T) {
	a := tokens(t, keyring(t, []string{secret}, nil, nil, quick), nil)
	good, bad := hs256(secret, `{"channels":["/a"],"sub":"u"}`), hs256(otherSecret, `{"channels":["/a"]}`)
	const granted, refused, none = `granted [/a] for "u"`, "unauthorized bad_signature", "unauthorized not found"
	for _, tt := range []struct {
		authorization, query, cookie, site string
		allowed                            bool
		want                               string
	}{
		{"Bearer " + good, "", "", "", false, granted},
		{"bearer  " + good, "access_token=" + bad, "", "", false, granted},
		{"Bearer " + bad, "access_token=" + good, "", "", false, refused},
		{"Basic dTpw", "access_token=" + good, "", "", false, granted},
		{"Bearer", "jid=" + good, "", "", false, granted},
		{"", "authorization=" + good + "&access_token=" + bad, "", "", false, granted},
		{"", "access_token=" + good + "&jid=" + bad, "", "", false, granted},
		{"", "jid=" + bad, "mercureAuthorization=" + good, "", false, refused},
		{"", "jid=", "mercureAuthorization=" + good, "", false, granted},
		{"", "jid=" + good + "&jid=" + good, "", "", false, granted},
		{"", "jid=" + good + "&jid=" + bad, "", "", false, "unauthorized conflict"},
		{"", "token=" + good, "", "", false, none},
		{"", "", "x=y; mercureAuthorization=" + good, "same-origin", false, granted},
		{"", "", `mercureAuthorization="` + good + `"; x=y`, "same-site", false, granted},
		{"", "", "mercureAuthorization=" + good, "cross-site", false, none},
		{"", "", "mercureAuthorization=" + good, "none", false, none},
		{"", "", "mercureAuthorization=" + good, "cross-site", true, granted},
		{"", "", "mercureAuthorization=" + good + "; mercureAuthorization=" + good, "", false, granted},
		{"", "", "mercureAuthorization=" + good + "; mercureAuthorization=" + bad, "", false, "unauthorized conflict"},
		{"", "", "MercureAuthorization=" + good, "", false, none},
		{"", "", "", "", false, none},
	} {
		r := &auth.Request{Channels: []string{"/a"}, Authorization: tt.authorization, Query: tt.query, Cookie: tt.cookie, FetchSite: tt.site, OriginAllowed: tt.allowed}
		v := ask(t, a, r, now)
		if got := text(v); got != tt.want {
			t.Errorf("%.20q, %.30q, %.30q, %q: %s, want %s", tt.authorization, tt.query, tt.cookie, tt.site, got, tt.want)
		}
		if v.Text != "" && (strings.Contains(v.Text, good) || strings.Contains(v.Text, bad)) {
			t.Errorf("%.20q, %.30q: the text has the token: %s", tt.authorization, tt.query, v.Text)
		}
	}
	without := tokens(t, keyring(t, []string{secret}, nil, nil, quick), func(c *Config) { c.Cookie = "" })
	if v := ask(t, without, &auth.Request{Channels: []string{"/a"}, Cookie: "mercureAuthorization=" + good}, now); text(v) != none {
		t.Errorf("without a cookie: %s", text(v))
	}
}

// Ensure that a token grants what it says, to whom, and until when.
func TestVerdict(t *testing.T) {
	a := tokens(t, keyring(t, []string{secret}, nil, nil, quick), func(c *Config) { c.Audiences, c.Issuers = []string{"here"}, []string{"me"} })
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf(`"/%d"`, i))
	}
	from := `"aud":"here","iss":"me",`
	for _, tt := range []struct{ claims, channels, want string }{
		{from + `"channels":["/a"]`, "/a", `granted [/a] for ""`},
		{from + `"sub":"u","mercure":{"subscribe":["/a/*"]}`, "/a/1 /a/2", `granted [/a/1 /a/2] for "u"`},
		{from + `"sub":"u","mercure":{"subscribe":["/a/*"]}`, "/a/1 /b", "forbidden not_granted"},
		{from + `"sub":"u","channels":["/b","/a","/b"]`, "", `granted [/a /b] for "u"`},
		{from + `"mercure":{"subscribe":["/a"]}`, "", "forbidden no_channel"},
		{from + `"channels":[` + strings.Join(many, ",") + `]`, "", "forbidden too_many_channels"},
		{from + `"channels":[` + strings.Join(many[1:], ",") + `,"/1"]`, "", "64"},
		{from + `"channels":[` + strings.Join(many, ",") + `]`, "/64", `granted [/64] for ""`},
		{from + `"sub":"a\nb","channels":["/a"]`, "/a", "unauthorized claims"},
		{from + `"sub":"` + strings.Repeat("u", 256) + `","channels":["/a"]`, "/a", "unauthorized claims"},
		{`"aud":"there","iss":"me","channels":["/a"]`, "/a", "unauthorized audience"},
		{`"iss":"me","channels":["/a"]`, "/a", "unauthorized audience"},
		{`"aud":"here","channels":["/a"]`, "/a", "unauthorized issuer"},
		{from + `"exp":1799999969,"channels":["/a"]`, "/a", "unauthorized expired"},
		{from + `"nbf":1800000031,"channels":["/a"]`, "/a", "unauthorized early"},
	} {
		v := ask(t, a, bearing(hs256(secret, "{"+tt.claims+"}"), strings.Fields(tt.channels)...), now)
		if got := text(v); got != tt.want && fmt.Sprint(len(v.Channels)) != tt.want {
			t.Errorf("%.60s, %q: %s, want %s", tt.claims, tt.channels, got, tt.want)
		}
		if v.Means != auth.MeansJWT || (v.Status == auth.Granted) != (v.Text == "") {
			t.Errorf("%.60s: %+v", tt.claims, v)
		}
	}
	v := ask(t, a, bearing(hs256(secret, "{"+from+`"channels":["/a"],"exp":1800000000,"iat":1800000020}`), "/a"), now)
	if want := now; !v.Expires.Equal(want) || v.Issued.Before(now) || v.Issued.After(now.Add(time.Minute)) || v.Issued.Equal(now.Add(20*time.Second)) {
		t.Errorf("it ends %v, want %v; issued %v, want now (%v)", v.Expires, want, v.Issued, now)
	}
	if s := a.Stats(); s.Strange != 0 || s.Keys != 1 {
		t.Errorf("figures: %+v", s)
	}
	ask(t, a, bearing(hs256(secret, `{"mercure":{"subscribe":["/a/*/b",{}]}}`), "/a"), now)
	if s := a.Stats(); s.Strange != 2 {
		t.Errorf("figures: %+v, want 2 strange grants", s)
	}
}

// Ensure that a clock that steps back or ahead decides by what it says, also where claims
// are known from before.
func TestClockSteps(t *testing.T) {
	p := newPair(t, "k")
	a := tokens(t, keyring(t, []string{secret, pemOf(t, p)}, nil, nil, quick), nil)
	const claims = `{"channels":["/a"],"nbf":1800000000,"exp":1800000100}`
	for _, token := range []string{hs256(secret, claims), p.sign(t, claims)} {
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, `granted [/a] for ""`}, {-time.Hour, "unauthorized early"}, {time.Hour, "unauthorized expired"}, {129 * time.Second, `granted [/a] for ""`}, {131 * time.Second, "unauthorized expired"}, {0, `granted [/a] for ""`}} {
			if got := text(ask(t, a, bearing(token, "/a"), now.Add(step.after))); got != step.want {
				t.Errorf("%v after: %s, want %s", step.after, got, step.want)
			}
		}
	}
}

// Ensure that a token that an event loop verifies itself is answered at once, and others by
// workers, once for a token that is known, until the keys change.
func TestAtOnce(t *testing.T) {
	p := newPair(t, "k")
	k := keyring(t, []string{secret, pemOf(t, p)}, nil, nil, quick)
	a := tokens(t, k, nil)
	large := hs256(secret, `{"channels":["/a"],"x":"`+strings.Repeat("x", 2000)+`"}`)
	es := p.sign(t, `{"channels":["/a"]}`)
	atOnce := func(token string) bool {
		t.Helper()
		r, later := bearing(token, "/a"), make(chan auth.Verdict, 1)
		credential, _ := a.Find(r)
		v, ok := a.Judge(r, credential, r.Channels, now, func(v auth.Verdict) { later <- v })
		if !ok {
			v = <-later
		}
		if v.Status != auth.Granted {
			t.Errorf("%.40s: %s", token, text(v))
		}
		return ok
	}
	if !atOnce(hs256(secret, `{"channels":["/a"]}`)) {
		t.Error("a small token of HS256 waits for workers")
	}
	for _, token := range []string{large, es} {
		if atOnce(token) {
			t.Errorf("%.40s (%d bytes) is verified on the loop", token, len(token))
		}
		if !atOnce(token) {
			t.Errorf("%.40s (%d bytes) is verified again", token, len(token))
		}
	}
	for _, header := range []string{`{"alg":"HS256","x":"` + strings.Repeat("x", 2900) + `"}`, strings.Repeat("[", 2900)} {
		r := bearing(b64([]byte(header))+".e30.AA", "/a")
		later := make(chan auth.Verdict, 1)
		v, ok := a.Judge(r, r.Authorization[len("Bearer "):], r.Channels, now, func(v auth.Verdict) { later <- v })
		if ok {
			t.Errorf("%.40s (%d bytes) is read on the loop: %s", header, len(header), text(v))
		} else if v = <-later; v.Status != auth.Unauthorized {
			t.Errorf("%.40s: %s", header, text(v))
		}
	}
	if err := k.Reload([]string{secret, pemOf(t, p)}); err != nil {
		t.Fatal(err)
	}
	if atOnce(es) {
		t.Error("a token is known by keys that have been changed")
	}
	if err := k.Reload([]string{secret}); err != nil {
		t.Fatal(err)
	}
	if got := text(ask(t, a, bearing(es, "/a"), now)); got != "unauthorized algorithm" {
		t.Errorf("a token whose key has gone: %s", got)
	}
}
