package jwt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Ensure that a token of every algorithm is taken by its key, and by no other.
func TestAlgorithms(t *testing.T) {
	p := pairs()
	signers := []struct {
		algorithm string
		key       any
		public    string // as --jwt-key has it
	}{
		{"HS256", secret, secret},
		{"HS384", secret, "HS384:" + secret},
		{"HS512", secret, "HS512:" + secret},
		{"RS256", p.rsa, publicPEM(p.rsa)},
		{"RS384", p.rsa, "RS384:" + publicPEM(p.rsa)},
		{"RS512", p.rsa, "RS512:" + publicPEM(p.rsa)},
		{"PS256", p.rsa, "PS256:" + publicPEM(p.rsa)},
		{"PS384", p.rsa, "PS384:" + publicPEM(p.rsa)},
		{"PS512", p.rsa, "PS512:" + publicPEM(p.rsa)},
		{"ES256", p.p256, publicPEM(p.p256)},
		{"ES384", p.p384, publicPEM(p.p384)},
		{"ES512", p.p521, publicPEM(p.p521)},
		{"EdDSA", p.ed, publicPEM(p.ed)},
		{"Ed25519", p.ed, "Ed25519:" + strings.ReplaceAll(publicPEM(p.ed), "\n", `\n`)},
	}
	for i, signer := range signers {
		text := token(`{"alg":"`+signer.algorithm+`","typ":"JWT"}`, `{"sub":"u"}`, signer.key)
		for j, other := range signers {
			c, err := verify(keys(t, other.public), text)
			same := i == j || i >= 12 && j >= 12
			if same && (err != nil || c.User != "u") || !same && err != ErrAlgorithm {
				t.Errorf("a token of %s by a key for %s: %+v, %v", signer.algorithm, other.algorithm, c, err)
			}
		}
		changed := []byte(text)
		changed[strings.IndexByte(text, '.')+2] ^= 1
		if _, err := verify(keys(t, signer.public), string(changed)); err != ErrSignature {
			t.Errorf("a token of %s with other claims: %v", signer.algorithm, err)
		}
		if _, err := verify(keys(t, signer.public), text[:strings.LastIndexByte(text, '.')+1]); err != ErrSignature {
			t.Errorf("a token of %s without its signature: %v", signer.algorithm, err)
		}
	}
}

// Ensure that the tokens of attackers are refused, each for its reason.
func TestAttacks(t *testing.T) {
	p := pairs()
	pem := publicPEM(p.rsa)
	set := keys(t, secret, pem)
	jwks, _, err := ParseSet([]byte(jwksOf(t)), false)
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"sub":"u"}`
	deep := strings.Repeat(`{"a":`, 8) + "1" + strings.Repeat("}", 8)
	raw := base64.RawURLEncoding.EncodeToString
	for name, tt := range map[string]struct {
		set  Set
		text string
		want error
	}{
		"none":                        {set, token(`{"alg":"none"}`, good, ""), ErrAlgorithm},
		"None":                        {set, token(`{"alg":"None"}`, good, secret), ErrAlgorithm},
		"none without signature":      {set, raw([]byte(`{"alg":"none"}`)) + "." + raw([]byte(good)) + ".", ErrAlgorithm},
		"no algorithm":                {set, token(`{}`, good, secret), ErrForm},
		"an algorithm that is a list": {set, token(`{"alg":["HS256"]}`, good, secret), ErrForm},
		"lower case":                  {set, token(`{"alg":"hs256"}`, good, secret), ErrAlgorithm},
		"HS with the public RSA key":  {keys(t, pem), token(`{"alg":"HS256"}`, good, pem), ErrAlgorithm},
		"HS with it, and a secret":    {set, token(`{"alg":"HS256"}`, good, pem), ErrSignature},
		"HS with it, without lines":   {set, token(`{"alg":"HS256"}`, good, strings.TrimSpace(pem)), ErrSignature},
		"HS with an empty secret":     {set, token(`{"alg":"HS256"}`, good, ""), ErrSignature},
		"HS256 by a key for HS512":    {keys(t, "HS512:"+secret), token(`{"alg":"HS256"}`, good, secret), ErrAlgorithm},
		"RS with another key":         {set, token(`{"alg":"RS256"}`, good, p.otherRSA), ErrSignature},
		"PS by a key for RS":          {set, token(`{"alg":"PS256"}`, good, p.rsa), ErrAlgorithm},
		"another kid":                 {jwks, token(`{"alg":"RS256","kid":"other"}`, good, p.rsa), ErrUnknown},
		"another kid and algorithm":   {jwks, token(`{"alg":"HS256","kid":"other"}`, good, p.rsa.N.String()), ErrUnknown},
		"a kid of another key":        {jwks, token(`{"alg":"RS256","kid":"p256"}`, good, p.rsa), ErrAlgorithm},
		"a kid that is a path":        {jwks, token(`{"alg":"RS256","kid":"../../../dev/null"}`, good, p.rsa), ErrUnknown},
		"a kid that is SQL":           {jwks, token(`{"alg":"RS256","kid":"x' UNION SELECT 'k"}`, good, p.rsa), ErrUnknown},
		"a kid that is a number":      {jwks, token(`{"alg":"RS256","kid":1}`, good, p.rsa), ErrForm},
		"jku":                         {jwks, token(`{"alg":"RS256","kid":"rsa","jku":"http://127.0.0.1:1/"}`, good, p.otherRSA), ErrSignature},
		"x5u":                         {jwks, token(`{"alg":"RS256","kid":"rsa","x5u":"http://127.0.0.1:1/"}`, good, p.otherRSA), ErrSignature},
		"its own key":                 {jwks, token(`{"alg":"RS256","jwk":{"kty":"oct","k":"AA"}}`, good, p.otherRSA), ErrSignature},
		"critical":                    {set, token(`{"alg":"HS256","crit":["b64"],"b64":false}`, good, secret), ErrCritical},
		"critical and empty":          {set, token(`{"alg":"HS256","crit":[]}`, good, secret), ErrCritical},
		"critical and null":           {set, token(`{"alg":"HS256","crit":null}`, good, secret), ErrCritical},
		"an algorithm twice":          {set, token(`{"alg":"none","alg":"HS256"}`, good, secret), ErrForm},
		"a deep header":               {set, token(`{"alg":"HS256","x":`+deep+`}`, good, secret), ErrForm},
		"ES with zeros":               {keys(t, publicPEM(p.p256)), raw([]byte(`{"alg":"ES256"}`)) + "." + raw([]byte(good)) + "." + raw(make([]byte, 64)), ErrSignature},
		"ES in ASN.1":                 {keys(t, publicPEM(p.p256)), raw([]byte(`{"alg":"ES256"}`)) + "." + raw([]byte(good)) + "." + raw(make([]byte, 70)), ErrSignature},
		"huge":                        {set, token(`{"alg":"HS256"}`, `{"sub":"`+strings.Repeat("a", MaxToken)+`"}`, secret), ErrSize},
		"five parts":                  {set, "a.b.c.d.e", ErrForm},
		"two parts":                   {set, "a.b", ErrForm},
		"no claims":                   {set, raw([]byte(`{"alg":"HS256"}`)) + "..x", ErrForm},
		"padding":                     {set, token(`{"alg":"HS256"}`, good, secret) + "=", ErrForm},
		"a line break":                {set, token(`{"alg":"HS256"}`, good, secret) + "\n", ErrForm},
		"deep claims":                 {set, token(`{"alg":"HS256"}`, `{"a":`+deep+`}`, secret), ErrClaims},
		"a claim twice":               {set, token(`{"alg":"HS256"}`, `{"sub":"u","sub":"admin"}`, secret), ErrClaims},
		"a claim twice, by an escape": {set, token(`{"alg":"HS256"}`, `{"sub":"u","s\u0075b":"admin"}`, secret), ErrClaims},
		"an unknown claim twice":      {set, token(`{"alg":"HS256"}`, `{"x":1,"x":1}`, secret), ErrClaims},
		"a claim twice, deep":         {set, token(`{"alg":"HS256"}`, `{"x":{"y":1,"y":2}}`, secret), ErrClaims},
		"an end that is a text":       {set, token(`{"alg":"HS256"}`, `{"exp":"1800000100"}`, secret), ErrClaims},
		"an end that is huge":         {set, token(`{"alg":"HS256"}`, `{"exp":1e400}`, secret), ErrClaims},
		"an end below 0":              {set, token(`{"alg":"HS256"}`, `{"exp":-1}`, secret), ErrClaims},
		"claims that are a list":      {set, token(`{"alg":"HS256"}`, `[1]`, secret), ErrClaims},
		"claims and more":             {set, token(`{"alg":"HS256"}`, good+good, secret), ErrClaims},
		"not UTF-8":                   {set, token(`{"alg":"HS256"}`, "{\"sub\":\"\xff\"}", secret), ErrClaims},
		"names of another type":       {set, token(`{"alg":"HS256"}`, `{"channels":{"a":1}}`, secret), ErrClaims},
		"expired by a second":         {set, token(`{"alg":"HS256"}`, `{"exp":1799999969}`, secret), ErrExpired},
		"expired by a fraction":       {set, token(`{"alg":"HS256"}`, `{"exp":1799999969.999}`, secret), ErrExpired},
		"not yet":                     {set, token(`{"alg":"HS256"}`, `{"nbf":1800000031}`, secret), ErrEarly},
		"issued in the future":        {set, token(`{"alg":"HS256"}`, `{"iat":1800000031}`, secret), ErrEarly},
	} {
		if c, err := verify(tt.set, tt.text); err != tt.want {
			t.Errorf("%s: %+v, %v, want %v", name, c, err, tt.want)
		}
	}
}

// Ensure that the other fields of honest tokens are passed over.
func TestTaken(t *testing.T) {
	set := keys(t, secret)
	deepest := strings.Repeat(`{"a":`, 7) + `"}{[]\""` + strings.Repeat("}", 7)
	for header, claims := range map[string]string{
		`{"alg":"HS256","kid":"mine"}`:                           `{"sub":"u"}`, // a key without a name is for all
		`{"typ":"JWT","alg":"HS256","x":[{}]}`:                   `{"sub":"u","Sub":"v","EXP":1,"exp":1800000000}`,
		`{"alg":"HS256","cty":"x"}`:                              `{"sub":"u","exp":1799999970,"nbf":1800000030,"iat":1800000030}`,
		" {\"alg\":\"HS256\"}\n":                                 "{\n\"sub\": \"u\"\n}",
		`{"alg":"HS256","jku":"x","x5u":"y","jwk":{},"x5c":[1]}`: `{"sub":"u","deep":` + deepest + `}`,
		`{"alg":"HS256","typ":null}`:                             `{"sub":"u","exp":null,"aud":null,"channels":null}`,
	} {
		if c, err := verify(set, token(header, claims, secret)); err != nil || c.User != "u" {
			t.Errorf("%s, %s: %+v, %v", header, claims, c, err)
		}
	}
}

// Ensure that a token without a name of its key is tried by some keys, and not by all that
// there may be.
func TestTries(t *testing.T) {
	var set Set
	for i := range 20 {
		set = append(set, must(secretKey(fmt.Sprint("k", i), "HS256", fmt.Appendf(nil, "%d%s", i, secret))))
	}
	for i, want := range map[int]error{0: nil, 7: nil, 8: ErrSignature, 19: ErrSignature} {
		if _, err := verify(set, token(`{"alg":"HS256"}`, `{}`, fmt.Sprint(i)+secret)); err != want {
			t.Errorf("a token of key %d that does not say so: %v, want %v", i, err, want)
		}
		if _, err := verify(set, token(fmt.Sprintf(`{"alg":"HS256","kid":"k%d"}`, i), `{}`, fmt.Sprint(i)+secret)); err != nil {
			t.Errorf("a token of key %d that says so: %v", i, err)
		}
	}
}

// Ensure that keys that let others in are refused.
func TestKeyRefusals(t *testing.T) {
	pem := publicPEM(pairs().rsa)
	lines := strings.Split(strings.TrimSpace(pem), "\n")
	for text, want := range map[string]string{
		"":                                      "a secret of 0 bytes, want at least 32",
		"short":                                 "a secret of 5 bytes, want at least 32",
		"HS512:short":                           "a secret of 5 bytes",
		"RS256:" + secret:                       "a secret for RS256",
		"none:" + secret[:4]:                    "a secret of 9 bytes", // no algorithm, so all of it is the secret
		`{"keys":[]}` + secret:                  "a JSON Web Key Set by --jwt-jwks",
		strings.Join(lines[1:len(lines)-1], ""): "a public key without its PEM lines",
		"ES256:" + pem:                          "a key for RS256, and given as one for ES256",
		"HS256:" + pem:                          "a key for RS256, and given as one for HS256",
		pem + pem:                               "something after",
		strings.Replace(pem, "MII", "MIJ", 1):   "PUBLIC KEY: ",
		strings.ReplaceAll(pem, "PUBLIC", "PRIVATE"): `PEM of the type "PRIVATE KEY"`,
		"-----BEGIN PUBLIC KEY-----":                 "PEM that cannot be read",
	} {
		if k, err := ParseKey(text); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("ParseKey(%.40q): %+v, %v, want %s", text, k, err, want)
		}
	}
}
