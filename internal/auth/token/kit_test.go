package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/auth"
	"millrace/internal/auth/jwt"
)

const secret, otherSecret = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

// now is when the tests are.
var now = time.Unix(1_800_000_000, 0)

var b64 = base64.RawURLEncoding.EncodeToString

// hs256 signs a token by a secret.
func hs256(secret, claims string) string {
	signed := b64([]byte(`{"alg":"HS256"}`)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// pair is a key of ES256, by the name that tokens give it.
type pair struct {
	id  string
	key *ecdsa.PrivateKey
}

func newPair(t testing.TB, id string) pair {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair{id, key}
}

// sign signs a token.
func (p pair) sign(t testing.TB, claims string) string {
	signed := b64(fmt.Appendf(nil, `{"alg":"ES256","kid":%q}`, p.id)) + "." + b64([]byte(claims))
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// jwks is a JSON Web Key Set.
func jwks(t testing.TB, pairs ...pair) string {
	var keys []string
	for _, p := range pairs {
		point, err := p.key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}`, p.id, b64(point[1:33]), b64(point[33:])))
	}
	return `{"keys":[` + strings.Join(keys, ",") + `]}`
}

// Ensure that no goroutine is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are times for tests.
var quick = times{period: time.Hour, pause: 50 * time.Millisecond, timeout: 250 * time.Millisecond, files: 10 * time.Millisecond}

// keyring opens one until the test ends.
func keyring(t testing.TB, given, files, sets []string, times times) *Keyring {
	t.Helper()
	k, err := openKeyring(given, files, sets, slog.New(slog.DiscardHandler), times)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// tokens are the means by a keyring, until the test ends.
func tokens(t testing.TB, k *Keyring, change func(*Config)) *Tokens {
	t.Helper()
	form, err := jwt.ParseForm([]string{"mercure", "channels"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Keys: k, Form: form, Cookie: "mercureAuthorization"}
	if change != nil {
		change(&cfg)
	}
	a := New(cfg)
	t.Cleanup(a.Close)
	return a
}

// ask returns the verdict on a request for channels, whenever it comes.
func ask(t testing.TB, a *Tokens, r *auth.Request, now time.Time) auth.Verdict {
	t.Helper()
	credential, found := a.Find(r)
	if !found {
		return auth.Verdict{Status: auth.Unauthorized, Reason: "not found"}
	}
	later := make(chan auth.Verdict, 2)
	v, ok := a.Judge(r, credential, r.Channels, now, func(v auth.Verdict) { later <- v })
	if ok {
		return v
	}
	select {
	case v := <-later:
		return v
	case <-time.After(time.Minute):
		t.Fatal("no verdict within a minute")
		return v
	}
}

// bearing is a request for a channel with a token.
func bearing(token string, channels ...string) *auth.Request {
	return &auth.Request{Channels: channels, Authorization: "Bearer " + token, Client: netip.MustParseAddr("192.0.2.1")}
}

// text is a verdict in a line.
func text(v auth.Verdict) string {
	if v.Status != auth.Granted {
		return fmt.Sprintf("%v %s", v.Status, v.Reason)
	}
	return fmt.Sprintf("%v %v for %q", v.Status, v.Channels, v.User)
}
