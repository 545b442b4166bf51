package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/internal/turbo"
)

// sign signs a message as Rails does.
func sign(key, message string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(message))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(encoded))
	return encoded + "--" + hex.EncodeToString(mac.Sum(nil))
}

func TestTurbo(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	verifier := turbo.NewVerifier("key")
	a := Turbo{Verifier: func() *turbo.Verifier { return verifier }}
	room := sign("key", `"room"`)
	for _, tt := range []struct {
		request Request
		want    string
	}{
		{Request{Channels: []string{"/x"}}, "granted: [/x]"},
		{Request{Signed: []string{room}}, "granted: [room]"},
		{Request{Channels: []string{"/x", "/y"}, Signed: []string{room}}, "granted: [/x /y room]"},
		{Request{Channels: []string{"by alias", "/x"}, Aliased: true}, "granted: [by alias /x]"},
		{Request{Channels: []string{"/x", "room"}}, `forbidden, not_signed: the channel "room" does not begin with /, so it takes a signed name: /turbo?signed_stream_name=`},
		{Request{Channels: []string{"room"}, Signed: []string{room}}, `forbidden, not_signed: the channel "room" does not begin with /, so it takes a signed name: /turbo?signed_stream_name=`},
		{Request{Channels: []string{"by alias", "room"}, Aliased: true}, `forbidden, not_signed: the channel "room" does not begin with /, so it takes a signed name: /turbo?signed_stream_name=`},
		{Request{Signed: []string{"room"}}, "forbidden, malformed: signed_stream_name: not of the form base64--hex"},
		{Request{Signed: []string{room, sign("other", `"room"`)}}, "forbidden, bad_signature: signed_stream_name: the signature is not of this key"},
		{Request{Signed: []string{sign("key", `{"_rails":{"data":"room","exp":"2027-01-15T07:59:59Z"}}`)}}, "forbidden, expired: signed_stream_name: expired at 2027-01-15T07:59:59Z"},
		{Request{Signed: []string{sign("key", `{"_rails":{"data":"ends","exp":"2027-01-15T08:00:01Z"}}`)}}, "granted: [ends]"},
		{Request{Signed: []string{
			sign("key", `{"_rails":{"data":"later","exp":"2027-01-15T09:00:00Z"}}`), sign("key", `{"_rails":{"data":"ends","exp":"2027-01-15T08:00:01Z"}}`), room,
		}}, "granted: [later ends room]"},
		{Request{Signed: []string{sign("key", `{"_rails":{"data":"room","pur":"login"}}`)}}, `forbidden, no_stream: signed_stream_name: signed for another purpose: "login"`},
		{Request{Signed: []string{sign("key", `{}`)}}, "forbidden, no_stream: signed_stream_name: the signed text is not the name of a stream"},
	} {
		v, ok := a.Authorize(&tt.request, now, nil)
		beside, _ := a.Judge(&tt.request, "", nil, now, nil) // as one of several means
		if ends := strings.Contains(fmt.Sprint(v.Channels), "ends"); ends != beside.Expires.Equal(time.Unix(1_800_000_001, 0)) || !v.Expires.IsZero() {
			t.Errorf("%+v: it ends %v, and %v beside other means", tt.request, v.Expires, beside.Expires)
		}
		got := fmt.Sprintf("%v: %v", v.Status, v.Channels)
		if v.Status != Granted {
			got = fmt.Sprintf("%v, %s: %s", v.Status, v.Reason, v.Text)
		}
		if !ok || v.Means != MeansTurbo || got != tt.want {
			t.Errorf("%+v: by %q, %s, want %s", tt.request, v.Means, got, tt.want)
		}
	}
}
