package jwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// jwksOf is a JSON Web Key Set of all kinds, and of others.
func jwksOf(t testing.TB) string {
	p := pairs()
	b64 := base64.RawURLEncoding.EncodeToString
	ec := func(id, curve string, point []byte) map[string]any {
		n := len(point) / 2
		return map[string]any{"kty": "EC", "kid": id, "crv": curve, "x": b64(point[1 : n+1]), "y": b64(point[n+1:]), "use": "sig"}
	}
	text, err := json.Marshal(map[string]any{"keys": []any{
		map[string]any{"kty": "RSA", "kid": "rsa", "n": b64(p.rsa.N.Bytes()), "e": b64(big.NewInt(int64(p.rsa.E)).Bytes()), "x5c": []string{"x"}},
		map[string]any{"kty": "RSA", "kid": "ps", "alg": "PS384", "key_ops": []string{"verify"}, "n": b64(p.rsa.N.Bytes()), "e": "AQAB"},
		ec("p256", "P-256", must(p.p256.PublicKey.Bytes())),
		ec("p384", "P-384", must(p.p384.PublicKey.Bytes())),
		ec("p521", "P-521", must(p.p521.PublicKey.Bytes())),
		map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "x": b64(p.ed[32:])},
		map[string]any{"kty": "oct", "kid": "oct", "k": b64([]byte(secret))},
		// and what is passed over
		map[string]any{"kty": "RSA", "kid": "enc", "use": "enc", "n": b64(p.rsa.N.Bytes()), "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "ops", "key_ops": []string{"encrypt"}, "n": b64(p.rsa.N.Bytes()), "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "alg", "alg": "RSA-OAEP", "n": b64(p.rsa.N.Bytes()), "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "mixed", "alg": "HS256", "n": b64(p.rsa.N.Bytes()), "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "small", "n": b64(p.rsa.N.Bytes()[:64]), "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "one", "n": b64(p.rsa.N.Bytes()), "e": "AQ"},
		map[string]any{"kty": "RSA", "kid": "huge", "n": b64(make([]byte, 4096)), "e": "AQAB"},
		map[string]any{"kty": "EC", "kid": "off", "crv": "P-256", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))},
		map[string]any{"kty": "EC", "kid": "k1", "crv": "secp256k1", "x": "AA", "y": "AA"},
		map[string]any{"kty": "OKP", "kid": "448", "crv": "Ed448", "x": "AA"},
		map[string]any{"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AA"},
		map[string]any{},
		map[string]any{"kty": "EC", "kid": "padded", "crv": "P-256", "x": "AAA=", "y": "AAA="},
		map[string]any{"kty": "RSA", "kid": 7, "n": b64(p.rsa.N.Bytes()), "e": "AQAB"},
		map[string]any{"kty": "RSA", "kid": "lists", "key_ops": "verify", "n": []int{1}},
		"none",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Ensure that the keys of a set are those that sign, each with its algorithm, and that a
// secret is none that was fetched.
func TestParseSet(t *testing.T) {
	for _, secrets := range []bool{false, true} {
		set, skipped, err := ParseSet([]byte(jwksOf(t)), secrets)
		var got []string
		for _, k := range set {
			got = append(got, k.ID+" "+k.Algorithm)
		}
		want, others := "[rsa RS256 ps PS384 p256 ES256 p384 ES384 p521 ES512 ed EdDSA]", 17
		if secrets {
			want, others = strings.TrimSuffix(want, "]")+" oct HS256]", 16
		}
		if fmt.Sprint(got) != want || skipped != others || err != nil {
			t.Errorf("with secrets %v: %v, %d others, %v, want %s, %d", secrets, got, skipped, err, want, others)
		}
		p := pairs()
		for id, key := range map[string]any{"rsa": p.rsa, "ps": p.rsa, "p256": p.p256, "p384": p.p384, "p521": p.p521, "ed": p.ed} {
			for _, k := range set {
				if k.ID != id {
					continue
				}
				if _, err := verify(set, token(fmt.Sprintf(`{"alg":"%s","kid":"%s"}`, k.Algorithm, id), `{}`, key)); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			}
		}
	}
}

func TestParseSetRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "not a JSON Web Key Set",
		"<html>":                 "not a JSON Web Key Set",
		`{"keys":{}}`:            "not a JSON Web Key Set",
		`{"keys":[{"n":"a b"}]}`: "without a key",
		`{"kty":"RSA"}`:          "without a key that signs tokens (it has 0 others)",
		`{"keys":[{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(secret)) + `"}]}`: "without a key that signs tokens (it has 1 others)",
		`{"keys":[` + strings.Repeat("{},", 256) + `{}]}`:                                             "of 257 keys, want at most 256",
		strings.Repeat(" ", MaxSetBytes+1):                                                            "of more than 1048576 bytes",
	} {
		if set, _, err := ParseSet([]byte(text), false); set != nil || !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSet(%.40q): %v, %v, want %s", text, set, err, want)
		}
	}
}
