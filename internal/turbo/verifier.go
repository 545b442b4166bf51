package turbo

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"time"
)

// Reasons to refuse a signed name.
var (
	ErrMalformed = errors.New("not of the form base64--hex")
	ErrSignature = errors.New("the signature is not of this key")
	ErrExpired   = errors.New("expired")
	ErrPurpose   = errors.New("signed for another purpose")
	ErrName      = errors.New("the signed text is not the name of a stream")
)

// How Rails derives the key of Turbo from secret_key_base.
const (
	keySalt       = "turbo/signed_stream_verifier_key"
	keyIterations = 1000 // of PBKDF2
	keySize       = 64   // bytes
)

// Verifier tells which names the application has signed. It is immutable, so it is
// safe for concurrent use.
type Verifier struct{ keys [][]byte }

// NewVerifier returns the verifier of a key that the application sets itself
// (config.turbo.signed_stream_verifier_key).
func NewVerifier(key string) *Verifier { return &Verifier{[][]byte{[]byte(key)}} }

// NewDerivedVerifier returns the verifier of the key that Rails derives from
// secret_key_base: with SHA-256 where the application loads the defaults of Rails 7.0
// or later, else with SHA-1. A node cannot know which, so it accepts both.
func NewDerivedVerifier(secretKeyBase string) (*Verifier, error) {
	v := new(Verifier)
	for _, digest := range []func() hash.Hash{sha256.New, sha1.New} {
		key, err := pbkdf2.Key(digest, secretKeyBase, []byte(keySalt), keyIterations, keySize)
		if err != nil {
			return nil, err
		}
		v.keys = append(v.keys, key)
	}
	return v, nil
}

// Verify returns the name that signed stands for, if it is one at the time now, and when it
// ends to be one, which is zero for never. It compares secrets in the same time, wherever
// they differ.
func (v *Verifier) Verify(signed []byte, now time.Time) (name string, expires time.Time, err error) {
	encoded, signature, found := bytes.Cut(signed, []byte("--"))
	var given [sha256.Size]byte
	if !found || len(signature) > hex.EncodedLen(len(given)) {
		return "", time.Time{}, ErrMalformed
	}
	n, err := hex.Decode(given[:], signature)
	if err != nil {
		return "", time.Time{}, ErrMalformed
	}
	if !v.signed(encoded, given[:n]) {
		return "", time.Time{}, ErrSignature
	}
	message, err := base64.StdEncoding.Strict().DecodeString(string(encoded))
	if err != nil {
		return "", time.Time{}, ErrMalformed
	}
	return open(message, now)
}

// signed tells whether one of the keys has signed message, with the digest that
// makes signatures of that length.
func (v *Verifier) signed(message, signature []byte) bool {
	digest := sha256.New
	if len(signature) == sha1.Size {
		digest = sha1.New
	}
	found := false
	for _, key := range v.keys {
		mac := hmac.New(digest, key)
		mac.Write(message)
		found = hmac.Equal(mac.Sum(nil), signature) || found
	}
	return found
}

// envelope is the form of a message that has an end or a purpose in Rails. Before
// 7.1 the message in it was JSON in base64, and now it is the value itself.
type envelope struct {
	Message []byte          `json:"message"`
	Data    json.RawMessage `json:"data"`
	Expires *time.Time      `json:"exp"`
	Purpose *string         `json:"pur"`
}

// open returns what Verify does of a message whose signature is right.
func open(message []byte, now time.Time) (name string, expires time.Time, err error) {
	var wrapped struct {
		Rails *envelope `json:"_rails"`
	}
	if len(message) > 0 && message[0] == '{' {
		if err := json.Unmarshal(message, &wrapped); err != nil || wrapped.Rails == nil {
			return "", time.Time{}, ErrName
		}
		e := wrapped.Rails
		if e.Purpose != nil { // Turbo signs for none
			return "", time.Time{}, fmt.Errorf("%w: %.64q", ErrPurpose, *e.Purpose)
		}
		if e.Expires != nil {
			if expires = *e.Expires; !now.Before(expires) {
				return "", time.Time{}, fmt.Errorf("%w at %v", ErrExpired, expires.UTC().Format(time.RFC3339))
			}
		}
		if message = e.Message; message == nil {
			message = e.Data
		}
	}
	text, err := decodeString(message)
	if err != nil {
		return "", time.Time{}, ErrName
	}
	return string(text), expires, nil
}
