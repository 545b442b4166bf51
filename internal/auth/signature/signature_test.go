package signature

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/auth"
)

const key, otherKey = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

var now = time.Unix(1_790_000_000, 0)

// request is one for the address of a query, as its dialect reads it.
func request(t *testing.T, query string) *auth.Request {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return &auth.Request{Query: query, Channels: values["channel"]}
}

// Ensure that the signed text is the documented one, byte for byte.
func TestFormat(t *testing.T) {
	// printf 'millrace1\n1790000000\n/rooms/42\nGrüße' | openssl dgst -sha256 -hmac KEY -binary | basenc --base64url
	const want = "channel=Gr%C3%BC%C3%9Fe&channel=%2Frooms%2F42&expires=1790000000&signature=SIGNATURE"
	got, err := Sign(key, now, []string{"Grüße", "/rooms/42"})
	if err != nil || got != strings.Replace(want, "SIGNATURE", "hmFWe7flXx6HyHrpySd2jFR6gyHDpyU_gVbO-p5-OWE", 1) {
		t.Errorf("%s, %v", got, err)
	}
}

// Ensure that an address grants what was signed, until then, and nothing that was changed.
func TestJudge(t *testing.T) {
	sign := func(key string, names ...string) string {
		t.Helper()
		query, err := Sign(key, now, names)
		if err != nil {
			t.Fatal(err)
		}
		return query
	}
	good := sign(key, "/a", "/b")
	old := sign(otherKey, "/a")
	s, err := New([]string{key, otherKey})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		query string
		after time.Duration
		want  string
	}{
		"good":                   {good, 0, ""},
		"long before":            {good, -1000 * time.Hour, ""},
		"in another order":       {"channel=/b&" + strings.Replace(good, "&channel=%2Fb", "", 1), 0, ""},
		"with padding":           {good + "%3D", 0, ""},
		"with another":           {good + "&x=y", 0, ""},
		"by the key before":      {old, 0, ""},
		"within the leeway":      {good, 30 * time.Second, ""},
		"expired by a second":    {good, 31 * time.Second, "expired"},
		"one channel less":       {strings.Replace(good, "channel=%2Fb&", "", 1), 0, "bad_signature"},
		"one channel more":       {good + "&channel=/c", 0, "bad_signature"},
		"channels run together":  {strings.Replace(good, "&channel=%2Fb", "%0A%2Fb", 1), 0, ""}, // which is no name: no dialect has it
		"another end":            {strings.Replace(good, "expires=1790000000", "expires=1790000001", 1), 0, "bad_signature"},
		"an end in other digits": {strings.Replace(good, "expires=1790000000", "expires=01790000000", 1), 0, "bad_signature"},
		"by another key":         {sign("x"+key, "/a"), 0, "bad_signature"},
		"no end":                 {strings.Replace(good, "expires=1790000000&", "", 1), 0, "malformed"},
		"a negative end":         {strings.Replace(good, "expires=1790000000", "expires=-1", 1), 0, "malformed"},
		"a huge end":             {strings.Replace(good, "expires=1790000000", "expires=99999999999999999999", 1), 0, "malformed"},
		"two ends":               {good + "&expires=1", 0, "malformed"},
		"two signatures":         {good + "&signature=x", 0, "malformed"},
		"no signature":           {good[:strings.Index(good, "signature=")] + "signature=x", 0, "malformed"},
		"half a signature":       {good[:len(good)-10], 0, "malformed"},
		"no channel":             {good[strings.Index(good, "expires="):], 0, "malformed"},
	} {
		r := request(t, tt.query)
		credential, found := s.Find(r)
		v, ok := s.Judge(r, credential, nil, now.Add(tt.after), nil)
		if !found || !ok || v.Reason != tt.want || v.Means != auth.MeansSignature || (v.Status == auth.Granted) != (tt.want == "") {
			t.Errorf("%s: %+v, found %v, want %q", name, v, found, tt.want)
		}
		if tt.want == "" && (!slices.Equal(v.Channels, r.Channels) || !v.Expires.Equal(now)) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if _, found := s.Find(request(t, "channel=/a&expires=1")); found {
		t.Error("a signature is found where none is")
	}
	if err := s.SetKeys([]string{otherKey}); err != nil {
		t.Fatal(err)
	}
	if v, _ := s.Judge(request(t, good), good[strings.Index(good, "signature=")+10:], nil, now, nil); v.Reason != "bad_signature" {
		t.Errorf("by a key that has gone: %+v", v)
	}
}

func TestRefusals(t *testing.T) {
	for want, try := range map[string]func() error{
		"a key of 5 bytes, want at least 32": func() error { _, err := New([]string{"short"}); return err },
		"a key of 0 bytes":                   func() error { _, err := Sign("", now, []string{"/a"}); return err },
		"no channel":                         func() error { _, err := Sign(key, now, nil); return err },
		"bad channel name":                   func() error { _, err := Sign(key, now, []string{"/a\n/b"}); return err },
		"stands there twice":                 func() error { _, err := Sign(key, now, []string{"/a", "/a"}); return err },
	} {
		if err := try(); !errors.Is(err, ErrSign) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
