package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/auth/application"
	"millrace/internal/auth/signature"
	"millrace/internal/pattern"
)

const key, otherKey = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

// hs256 signs a token by a secret.
func hs256(secret, claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"HS256"}`)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// get returns the status of an answer, and its first line or that of the stream.
func get(t *testing.T, n *Node, target, authorization string) (status int, header http.Header, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.PublicAddr()+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buf := make([]byte, 1024)
	read, err := response.Body.Read(buf)
	if read == 0 && err != io.EOF {
		t.Fatal(err)
	}
	line, _, _ = strings.Cut(string(buf[:read]), "\n")
	return response.StatusCode, response.Header, line
}

// Ensure that each means lets in as configured, and that nobody else is.
func TestAccess(t *testing.T) {
	public, err := pattern.ParseList([]string{"/public/*"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{TurboKey: "turbo key", Access: Access{
		Public: public, SignKeys: []string{key}, JWT: JWT{Files: []string{file}, Grants: []string{"channels"}},
	}}
	n := startNode(t, o)
	sign := func(key string, names ...string) string {
		t.Helper()
		query, err := signature.Sign(key, time.Now().Add(time.Hour), names)
		if err != nil {
			t.Fatal(err)
		}
		return query
	}
	room := signedName("turbo key", `"room"`)
	bearer := func(key, claims string) string { return "Bearer " + hs256(key, claims) }
	want := func(what, target, authorization string, wantStatus int, wantLine string) {
		t.Helper()
		status, header, line := get(t, n, target, authorization)
		if status != wantStatus || !strings.Contains(line, wantLine) {
			t.Errorf("%s: %d, %q, want %d with %q", what, status, line, wantStatus, wantLine)
		}
		if challenge := header.Get("WWW-Authenticate"); (challenge == "Bearer") != (status == 401) {
			t.Errorf("%s: %d with WWW-Authenticate: %q", what, status, challenge)
		}
		if control := header.Get("Cache-Control"); status == 200 && control != "private, no-cache, no-transform" {
			t.Errorf("%s: Cache-Control: %q", what, control)
		}
	}
	want("nothing", "/a", "", 401, "no credentials")
	want("public", "/public/a", "Bearer x", 200, ":")
	want("a token", "/a", bearer(key, `{"channels":["/a"],"sub":"u"}`), 200, ":")
	want("a token in the query", "/a?access_token="+hs256(key, `{"channels":["/a"]}`), "", 200, ":")
	want("a token for another", "/b", bearer(key, `{"channels":["/a"]}`), 403, `does not grant the channel "/b"`)
	want("a token that names the channels", "/events", bearer(key, `{"channels":["/a","b"]}`), 200, ":")
	want("a token that names none", "/", bearer(key, `{}`), 403, "names no channel")
	want("a token by another key", "/a", bearer(otherKey, `{"channels":["/a"]}`), 401, "signature is of none of the keys")
	want("a token of a reserved channel", "/events", bearer(key, `{"channels":["__redis__"]}`), 403, "kept for engines")
	want("a signed address", "/events?"+sign(key, "/a", "b"), "", 200, ":")
	want("a signed address of one less", "/c?"+sign(key, "/a"), "", 401, "signature")
	want("a signed name", "/turbo?signed_stream_name="+room, "", 200, ":")
	want("AnyCable's", "/events?signed_stream="+room, "", 200, ":")
	want("a signed name of another key", "/turbo?signed_stream_name="+signedName("x", `"room"`), "", 401, "not of this key")
	want("a ticket that is none", "/events?ticket=x", "", 401, "ticket")

	o.Access.SignKeys = []string{otherKey, key}
	if err := os.WriteFile(file, []byte(otherKey), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Renew(o); err != nil {
		t.Fatal(err)
	}
	want("a token of the old key", "/a", bearer(key, `{"channels":["/a"]}`), 401, "signature")
	want("a token of the new key", "/a", bearer(otherKey, `{"channels":["/a"]}`), 200, ":")
	want("a signed address of the old key", "/events?"+sign(key, "/a"), "", 200, ":")
	want("a signed address of the new key", "/events?"+sign(otherKey, "/a"), "", 200, ":")
	os.Remove(file)
	o.Access.SignKeys = []string{"short"}
	if err := n.Renew(o); err == nil || !strings.Contains(err.Error(), "--sign-key") && !strings.Contains(err.Error(), "a key of 5 bytes") {
		t.Errorf("renewed with a short key: %v", err)
	}
	want("the key before a bad one", "/events?"+sign(otherKey, "/a"), "", 200, ":")
	o.Access.SignKeys = []string{otherKey}
	if err := n.Renew(o); err != nil {
		t.Errorf("a file that is gone keeps the rest from being renewed: %v", err)
	}
	want("a token by a file that is gone", "/a", bearer(otherKey, `{"channels":["/a"]}`), 200, ":")
	http.DefaultClient.CloseIdleConnections()
}

// signedName signs a name as Rails does.
func signedName(key, message string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(message))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(encoded))
	return fmt.Sprintf("%s--%x", encoded, mac.Sum(nil))
}

// Ensure that options that leave a door open are an ErrOptions, and that the log says who may
// listen.
func TestAccessOptions(t *testing.T) {
	public, _ := pattern.ParseList([]string{"/a"})
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	jwt := func(j JWT) Access { j.Grants = []string{"mercure"}; return Access{JWT: j} }
	namesake, err := pattern.Parse("news") // without its /
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		access Access
		want   string
	}{
		{Access{Public: public}, "--public names what is open"},
		{Access{Public: pattern.List{namesake}, SignKeys: []string{key}}, `--public "news" opens nothing`},
		{Access{JWT: JWT{Audiences: []string{"x"}}}, "--jwt-audience and --jwt-issuer are about tokens"},
		{jwt(JWT{Sets: []string{"https://x/"}}), "--jwt-jwks without --jwt-audience"},
		{jwt(JWT{Sets: []string{"/jwks"}}), "--jwt-jwks without --jwt-audience"},
		{jwt(JWT{Keys: []string{key}, Audiences: []string{"any", "x"}}), `"any" beside others`},
		{jwt(JWT{Keys: []string{"x"}}), "a secret of 1 bytes"},
		{jwt(JWT{Keys: []string{"HS256:" + text}}), "a key for ES256, and given as one for HS256"},
		{Access{JWT: JWT{Keys: []string{key}, Grants: []string{"all"}}}, `--jwt-grants: bad form of grants: "all"`},
		{Access{SignKeys: []string{"x"}}, "--sign-key: cannot sign: a key of 1 bytes"},
		{Access{TicketKeys: "x"}, "--ticket-key: "},
		{Access{Application: application.Config{URL: "x"}}, "--auth-url: "},
	} {
		o := Options{Access: tt.access}
		o.Public.Listen = "127.0.0.1:0"
		n, err := Start(o)
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), ErrOptions.Error()) {
			t.Errorf("%+v: %v, want %s", tt.access, err, tt.want)
		}
	}
	for want, o := range map[string]Options{
		"anybody may listen to every channel":                                         {},
		"anybody may listen to channels that begin with /, others take a signed name": {TurboKey: "x"},
		"every channel takes a grant, by a ticket":                                    {Access: Access{TicketKeys: RandomKey}},
		"every channel takes a grant, by a ticket or a signed address or a token or the application's word; open to anybody: [/a]": {Access: Access{
			Public: public, SignKeys: []string{key}, JWT: jwt(JWT{Keys: []string{text}}).JWT, Application: application.Config{URL: "http://127.0.0.1:1/"},
		}},
	} {
		if got := startNode(t, o).Access(); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}
