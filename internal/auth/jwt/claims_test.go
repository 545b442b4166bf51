package jwt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Ensure that each form grants what it means, and no other form does.
func TestGrants(t *testing.T) {
	for _, tt := range []struct {
		form, claims string
		want         string // names, patterns, and how many that are strange
	}{
		{"mercure", `{"mercure":{"subscribe":["/a","/b/*","/c/{id}","https://example.org/books/{id}"],"publish":["*"],"payload":{}}}`, "[] [/a /b/* /c/{id} https://example.org/books/{id}] 0"},
		{"mercure", `{"https://mercure.rocks/":{"subscribe":["/a"]},"mercure":{"subscribe":["*"]}}`, "[] [/a *] 0"},
		{"mercure", `{"mercure":{"subscribe":["/{?x}*","/a/*/b",{"match":"/a","matchType":"exact"},1,""]}}`, "[] [] 5"},
		{"mercure", `{"mercure":{}}`, "[] [] 0"},
		{"mercure", `{"mercure":{"subscribe":null}}`, "[] [] 0"},
		{"mercure", `{"mercure":{"subscribe":"/a"}}`, "refused"},
		{"mercure", `{"mercure":"/a"}`, "refused"},
		{"mercure", `{"channels":["/a"],"channel":"/b","subs":{"/c":{}}}`, "[] [] 0"},
		{"channels", `{"channels":["/a","*","/a",""]}`, "[/a * /a] [] 0"},
		{"channels", `{"channels":"/a"}`, "refused"},
		{"channels", `{"channels":[1]}`, "refused"},
		{"channel", `{"channel":"/a"}`, "[/a] [] 0"},
		{"channel", `{"channel":["/a"]}`, "refused"},
		{"subs", `{"subs":{"/b":{"info":1},"/a":{}}}`, "[/b /a] [] 0"},
		{"subs", `{"subs":["/a"]}`, "refused"},
		{"ably", `{"x-ably-capability":"{\"a:*\":[\"subscribe\"],\"b\":[\"publish\"],\"c\":[\"*\"]}"}`, "[] [a:* c] 0"},
		{"ably", `{"x-ably-capability":"{\"a:*:b\":[\"subscribe\"]}"}`, "[] [] 1"},
		{"ably", `{"x-ably-capability":"{\"*\":[\"subscribe\"],\"a*\":[\"*\"],\"{a}\":[\"*\"],\"[*]*\":[\"*\"],\"[meta]a\":[\"*\"],\"a:b*\":[\"*\"]}"}`, "[] [*] 5"},
		{"ably", `{"x-ably-capability":"{\"a\":[\"subscribe\"],\"a\":[\"publish\"]}"}`, "refused"},
		{"ably", `{"x-ably-capability":{"a":["subscribe"]}}`, "refused"},
		{"ably", `{"x-ably-capability":"{\"a\":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}"}`, "refused"},
		{"ably", `{"x-ably-capability":""}`, "refused"},
		{"mercure channels", `{"mercure":{"subscribe":["/a"]},"channels":["/b"],"channel":1}`, "[/b] [/a] 0"},
	} {
		form, err := ParseForm(strings.Fields(tt.form))
		if err != nil {
			t.Fatal(err)
		}
		got := "refused"
		if c, err := form.Read([]byte(tt.claims)); err == nil {
			got = fmt.Sprintf("%v %v %d", c.Names, c.Patterns, c.Strange)
		} else if err != ErrClaims {
			t.Errorf("%s %s: %v", tt.form, tt.claims, err)
		}
		if got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.form, tt.claims, got, tt.want)
		}
	}
	for _, names := range [][]string{nil, {"mercure", "Channels"}, {""}} {
		if _, err := ParseForm(names); err == nil || !strings.Contains(err.Error(), "want mercure, channels, channel, subs or ably") {
			t.Errorf("ParseForm(%q): %v", names, err)
		}
	}
}

// Ensure that exact names are not patterns, and patterns are.
func TestGranted(t *testing.T) {
	c, err := every.Read([]byte(`{"channels":["/a/*","/b"],"mercure":{"subscribe":["/c/*"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"/a/*": true, "/a/1": false, "/b": true, "/c/1": true, "/c": false} {
		if c.Grants(name) != want {
			t.Errorf("%s is granted: %v, want %v", name, !want, want)
		}
	}
}

// Ensure that times count to the second, with the leeway, whichever way the clock goes.
func TestCheck(t *testing.T) {
	read := func(claims string) *Claims {
		c, err := every.Read([]byte(claims))
		if err != nil {
			t.Fatalf("%s: %v", claims, err)
		}
		return c
	}
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	c := read(`{"exp":1000,"nbf":900,"iat":901.5}`)
	for _, tt := range []struct {
		now  int64
		want error
	}{{0, ErrEarly}, {871, ErrEarly}, {872, nil}, {1000, nil}, {1030, nil}, {1031, ErrExpired}, {1029, nil}, {1 << 40, ErrExpired}} {
		if err := c.Check(at(tt.now), nil, nil); err != tt.want && !(err == nil && tt.want == nil) {
			t.Errorf("at %d: %v, want %v", tt.now, err, tt.want)
		}
	}
	for _, tt := range []struct {
		claims             string
		audiences, issuers []string
		want               error
	}{
		{`{}`, nil, nil, nil},
		{`{"aud":"a","iss":"i"}`, nil, nil, nil},
		{`{"aud":"a"}`, []string{"b", "a"}, nil, nil},
		{`{"aud":["x","a"]}`, []string{"a"}, nil, nil},
		{`{"aud":["x"]}`, []string{"a"}, nil, ErrAudience},
		{`{"aud":[]}`, []string{"a"}, nil, ErrAudience},
		{`{}`, []string{"a"}, nil, ErrAudience},
		{`{"iss":"i"}`, nil, []string{"j", "i"}, nil},
		{`{"iss":"I"}`, nil, []string{"i"}, ErrIssuer},
		{`{}`, nil, []string{"i"}, ErrIssuer},
	} {
		if err := read(tt.claims).Check(now, tt.audiences, tt.issuers); err != tt.want && !(err == nil && tt.want == nil) {
			t.Errorf("%s for %q of %q: %v, want %v", tt.claims, tt.audiences, tt.issuers, err, tt.want)
		}
	}
	if got := read(`{"sub":42}`).User; got != "42" {
		t.Errorf("the user 42 is %q", got)
	}
}

// Ensure that claims are read or refused as encoding/json understands them, whatever they
// are: with each name once, that much nested, and by the very names.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"u","exp":1800000000,"channels":["/a"],"mercure":{"subscribe":["/b/*"]}}`, `{"sub":1e3}`, `{"exp":null}`,
		`{"sub":"a","\u0073ub":"b"}`, `{"Sub":"a"}`, `{"a":[[[[[[[[[]]]]]]]]]}`, `{"x":"\ud800"}`, `{"x":1,"x":1}`, "{\"a\":\"\xff\"}", `{"aud":["a"]}`, `{"nbf":0.5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := every.Read(payload)
		if err != nil {
			if c != nil || err != ErrClaims {
				t.Errorf("%q: %+v, %v", payload, c, err)
			}
			return
		}
		depth, decoder := 0, json.NewDecoder(bytes.NewReader(payload))
		for token, err := decoder.Token(); err == nil; token, err = decoder.Token() {
			switch token {
			case json.Delim('{'), json.Delim('['):
				if depth++; depth > maxLevels {
					t.Fatalf("%q is nested too deep", payload)
				}
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
		}
		var twin map[string]json.RawMessage
		if err := json.Unmarshal(payload, &twin); err != nil {
			t.Fatalf("%q is no JSON: %v", payload, err)
		}
		if string(twin["sub"]) == "" && c.User != "" {
			t.Errorf("%q has the user %q", payload, c.User)
		}
		var user string
		if json.Unmarshal(twin["sub"], &user) == nil && user != c.User {
			t.Errorf("%q has the user %q, want %q", payload, c.User, user)
		}
		var names []string
		json.Unmarshal(twin["channels"], &names)
		for _, name := range names {
			if name != "" && !c.Grants(name) {
				t.Errorf("%q does not grant %q", payload, name)
			}
		}
	})
}

// Ensure that no text is a token by accident, nor breaks what reads it.
func FuzzToken(f *testing.F) {
	f.Add(token(`{"alg":"HS256"}`, `{"sub":"u"}`, secret))
	f.Add(token(`{"alg":"HS256","kid":"k"}`, `{"sub":"u","sub":"v"}`, secret))
	f.Add("a.b.c")
	set := keys(f, secret)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := verify(set, text); err == nil {
			parts := strings.Split(text, ".")
			if again := token(string(must(encoding.DecodeString(parts[0]))), string(must(encoding.DecodeString(parts[1]))), secret); again != text {
				t.Errorf("%q is taken, which is not how %q is spelled", text, again)
			}
		}
	})
}
