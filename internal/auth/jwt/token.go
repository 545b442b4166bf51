package jwt

import (
	"bytes"
	"encoding/base64"
	"strings"
)

const (
	// MaxToken is the most that a token may have, in bytes.
	MaxToken = 4 << 10
	// cheapToken and cheapHeader bound a token that an event loop may verify itself.
	cheapToken, cheapHeader = 2 << 10, 256
)

// Token is a token of which only the header has been read.
type Token struct {
	Algorithm string // as the token says
	KeyID     string // empty if it does not say

	signed    []byte // header and claims, as they stand in the token
	payload   []byte // the claims, as they stand there
	signature []byte
	cheap     bool
}

// encoding is base64url without padding, and of all spellings only one.
var encoding = base64.RawURLEncoding.Strict()

// IsBrief tells whether Parse takes an event loop at most 10 µs: anybody can make up a
// header, and reading one of 4 KiB takes ten times as long as a signature.
func IsBrief(text string) bool {
	return len(text) > MaxToken || strings.IndexByte(text, '.') <= cheapHeader // refused at once, or a small header
}

// Parse reads the header of a token. Errors are ErrSize, ErrForm, ErrCritical and
// ErrAlgorithm.
func Parse(text string) (*Token, error) {
	if len(text) > MaxToken {
		return nil, ErrSize
	}
	signed := []byte(text)
	last := bytes.LastIndexByte(signed, '.')
	if last < 0 {
		return nil, ErrForm
	}
	t := &Token{signed: signed[:last]}
	first, payload, ok := bytes.Cut(t.signed, []byte("."))
	if !ok || bytes.IndexByte(payload, '.') >= 0 || len(payload) == 0 {
		return nil, ErrForm
	}
	t.payload = payload
	signature, err := appendDecoded(nil, signed[last+1:])
	if err != nil {
		return nil, ErrForm
	}
	t.signature = signature
	about, err := appendDecoded(nil, first)
	if err != nil {
		return nil, ErrForm
	}
	if err := t.header(string(about)); err != nil {
		return nil, err
	}
	t.cheap = len(text) <= cheapToken && len(first) <= cheapHeader && t.Algorithm == "HS256"
	return t, nil
}

// header reads the facts that a token states about itself. It passes over the others (jku,
// x5u, jwk, x5c: where to get the key).
func (t *Token) header(text string) error {
	s, critical := scanner{text: text}, false
	s.object(func(name string) {
		switch name {
		case "alg":
			t.Algorithm = s.str()
		case "kid":
			t.KeyID = s.str()
		default:
			critical = critical || name == "crit"
			s.skip()
		}
	})
	switch {
	case !s.end() || t.Algorithm == "":
		return ErrForm
	case critical:
		return ErrCritical
	case t.Algorithm == eddsaToo:
		t.Algorithm = eddsa
	case !isAlgorithm(t.Algorithm): // "none" among others
		return ErrAlgorithm
	}
	return nil
}

// IsCheap tells whether t takes at most 10 µs to verify and read: HS256, and at most
// 2 KiB. See BenchmarkOnLoop.
func (t *Token) IsCheap() bool { return t.cheap }

// claims returns the payload as it is meant. Only Set.Open calls it.
func (t *Token) claims() ([]byte, error) {
	payload, err := appendDecoded(make([]byte, 0, base64.RawURLEncoding.DecodedLen(len(t.payload))), t.payload)
	if err != nil {
		return nil, ErrForm
	}
	return payload, nil
}

// appendDecoded decodes base64url. Other than encoding/base64, it takes no line breaks.
func appendDecoded(dst, src []byte) ([]byte, error) {
	if bytes.IndexByte(src, '\n') >= 0 || bytes.IndexByte(src, '\r') >= 0 {
		return nil, ErrForm
	}
	return encoding.AppendDecode(dst, src)
}
