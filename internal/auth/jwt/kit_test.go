package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"
)

// secret is long enough for every algorithm.
const secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// now is when the tests are.
var now = time.Unix(1_800_000_000, 0)

// pairs are private keys, made once.
var pairs = sync.OnceValue(func() (p struct {
	rsa, otherRSA    *rsa.PrivateKey
	p256, p384, p521 *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
}) {
	p.rsa, p.otherRSA = must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	p.p256, p.p384, p.p521 = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	_, p.ed, _ = ed25519.GenerateKey(rand.Reader)
	return p
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// publicPEM is a public key as applications hand it on.
func publicPEM(private crypto.Signer) string {
	der := must(x509.MarshalPKIXPublicKey(private.Public()))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// token signs a token: key is a secret or a private key.
func token(header, claims string, key any) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	var h struct{ algorithm string }
	for _, name := range []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"} {
		if has(header, `"alg":"`+name+`"`) {
			h.algorithm = name
		}
	}
	if h.algorithm == "" {
		h.algorithm = "HS256"
	}
	hash := hashes[h.algorithm[2:]]
	var signature []byte
	digest := func() []byte {
		d := hash.New()
		d.Write([]byte(signed))
		return d.Sum(nil)
	}
	switch key := key.(type) {
	case string:
		mac := hmac.New(hash.New, []byte(key))
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	case *rsa.PrivateKey:
		if h.algorithm[0] == 'P' {
			signature = must(rsa.SignPSS(rand.Reader, key, hash, digest(), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		} else {
			signature = must(rsa.SignPKCS1v15(rand.Reader, key, hash, digest()))
		}
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest())
		n := (key.Curve.Params().BitSize + 7) / 8
		must(0, err)
		signature = append(fill(r, n), fill(s, n)...)
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(signed))
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func fill(n *big.Int, size int) []byte { return n.FillBytes(make([]byte, size)) }

func has(text, part string) bool {
	for i := 0; i+len(part) <= len(text); i++ {
		if text[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

// keys reads keys, which are right.
func keys(t testing.TB, texts ...string) (s Set) {
	t.Helper()
	for _, text := range texts {
		k, err := ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, k)
	}
	return s
}

// every is a form of all grants.
var every = must(ParseForm([]string{"mercure", "channels", "channel", "subs", "ably"}))

// verify is all that happens to a token.
func verify(s Set, text string) (*Claims, error) {
	t, err := Parse(text)
	if err != nil {
		return nil, err
	}
	payload, err := s.Open(t)
	if err != nil {
		return nil, err
	}
	c, err := every.Read(payload)
	if err != nil {
		return nil, err
	}
	return c, c.Check(now, nil, nil)
}
