package turbo

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// What Rails 6.1 has signed with the key "secret key".
const (
	sha256Name = "InJvb21fMSI=--27c2fd7601b6c62ad3e21c8d930b2b337b55bb997351dda911dc785129a68bb5"
	sha1Name   = "InJvb21fMSI=--38e0c9df04b3b57c0bea3733b032f150e9edf362"
	until2030  = "eyJfcmFpbHMiOnsibWVzc2FnZSI6IklrZHl3N3pEbjJVNk1TST0iLCJleHAiOiIyMDMwLTAxLTAxVDAwOjAwOjAwLjAwMFoiLCJwdXIiOm51bGx9fQ==" +
		"--9c9ebcb23481dd95b799899f744d5aca3cba9707016f8f2c5f7725e2b7cf9bc6"
	forLogin = "eyJfcmFpbHMiOnsibWVzc2FnZSI6IkluZ2kiLCJleHAiOm51bGwsInB1ciI6ImxvZ2luIn19--47b1a2b70ed142fed4dcc4c4b512c5732cffe8f72bbfe6866b326b96659e9286"
	anArray  = "WyJ4Il0=--dac7d6197183027ea03857b6c46d07608641dcd8a00961a9d15b62f26fd9a086"
	anObject = "eyJhIjoxfQ==--34a26a869d83cafab72702e97d4503d6c8596156e471cf369e1c4439adcb8d43"
)

// sign is what Rails does, with SHA-256.
func sign(message, key string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(message))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(encoded))
	return encoded + "--" + hex.EncodeToString(mac.Sum(nil))
}

func TestVerify(t *testing.T) {
	key := NewVerifier("secret key")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		signed string
		now    time.Time
		name   string
		err    error
	}{
		{sha256Name, now, "room_1", nil},
		{sha1Name, now, "room_1", nil},
		{until2030, now, "Grüße:1", nil},
		{until2030, time.Date(2029, 12, 31, 23, 59, 59, 0, time.UTC), "Grüße:1", nil},
		{until2030, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), "", ErrExpired},
		{forLogin, now, "", ErrPurpose},
		{anArray, now, "", ErrName},
		{anObject, now, "", ErrName},
		// as Rails 7.1 and later have it
		{sign(`{"_rails":{"data":"room_1","exp":"2030-01-01T00:00:00.000Z"}}`, "secret key"), now, "room_1", nil},
		{sign(`{"_rails":{"data":"room_1","exp":"2020-01-01T00:00:00.000Z"}}`, "secret key"), now, "", ErrExpired},
		{sign(`{"_rails":{"data":"room_1","pur":""}}`, "secret key"), now, "", ErrPurpose},
		{sign(`{"_rails":{"data":7}}`, "secret key"), now, "", ErrName},
		{sign(`{"_rails":{"exp":"soon","data":"x"}}`, "secret key"), now, "", ErrName},
		{sign(`{"_rails":{}}`, "secret key"), now, "", ErrName},
		{sign(`null`, "secret key"), now, "", ErrName},
		{sign(``, "secret key"), now, "", ErrName},
		{sign(`"a" "b"`, "secret key"), now, "", ErrName},

		{"", now, "", ErrMalformed},
		{"InJvb21fMSI=", now, "", ErrMalformed},
		{"InJvb21fMSI=--", now, "", ErrSignature},
		{"InJvb21fMSI=--xyz", now, "", ErrMalformed},
		{sha256Name + "00", now, "", ErrMalformed},
		{sha256Name[:len(sha256Name)-2], now, "", ErrSignature},
		{strings.Replace(sha256Name, "--2", "--3", 1), now, "", ErrSignature},
		{strings.Replace(sha256Name, "InJ", "InK", 1), now, "", ErrSignature},
		{" " + sha256Name, now, "", ErrSignature},
		{sha1Name[:strings.Index(sha1Name, "--")] + sha256Name[strings.Index(sha256Name, "--"):], now, "room_1", nil},
	} {
		name, _, err := key.Verify([]byte(tt.signed), tt.now)
		if name != tt.name || !errors.Is(err, tt.err) {
			t.Errorf("Verify(%q) at %v = %q, %v, want %q, %v", tt.signed, tt.now, name, err, tt.name, tt.err)
		}
		if other, _, err := NewVerifier("secret kez").Verify([]byte(tt.signed), tt.now); other != "" || err == nil {
			t.Errorf("Verify(%q) with another key = %q, %v", tt.signed, other, err)
		}
	}
}

// Ensure that keys are derived as Rails derives them, with either digest.
func TestDerivedKey(t *testing.T) {
	v, err := NewDerivedVerifier("base")
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range []string{
		"InJvb21fMSI=--5c732300eb2d2f612557fcb85b79c0ac6a3cf3396d780bee9dc2577422db8c9e", // Rails 6.1
		"InJvb21fMSI=--0eadc67ca2a35651e66c99f6b8b3c54c8d6be9a57e2309a0517f5f92c9b38e02", // Rails 7.0
	} {
		if name, _, err := v.Verify([]byte(signed), time.Time{}); name != "room_1" || err != nil {
			t.Errorf("Verify(%q) = %q, %v, want room_1", signed, name, err)
		}
	}
}

// FuzzVerify ensures that no name passes but one that the key has signed.
func FuzzVerify(f *testing.F) {
	for _, signed := range []string{sha256Name, sha1Name, until2030, forLogin, anArray, anObject, "--", "a--b"} {
		f.Add(signed)
	}
	key, other := NewVerifier("secret key"), NewVerifier("another key")
	f.Fuzz(func(t *testing.T, signed string) {
		if name, _, err := other.Verify([]byte(signed), time.Time{}); err == nil || name != "" {
			t.Errorf("%q passes with a key that has signed nothing", signed)
		}
		name, _, err := key.Verify([]byte(signed), time.Time{})
		if (err != nil) != (name == "") && name != "" {
			t.Errorf("Verify(%q) = %q, %v", signed, name, err)
		}
		again, _, err := key.Verify([]byte(sign(signed, "secret key")), time.Time{}) // signed, whatever it is
		if err == nil && !strings.Contains(signed, `"`) {
			t.Errorf("%q, signed, is the name %q", signed, again)
		}
	})
}
