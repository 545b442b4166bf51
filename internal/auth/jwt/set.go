package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
)

const (
	// MaxSetBytes is the most that a JSON Web Key Set may have.
	MaxSetBytes = 1 << 20
	// maxSetKeys is how many keys one may have.
	maxSetKeys = 256
	// maxTries is how many keys are tried for a token that names none.
	maxTries = 8
)

// Set is the keys of which one has to have signed a token. It is immutable.
type Set []Key

// webKey is a JSON Web Key (RFC 7517, 7518, 8037). What else it has is passed over.
type webKey struct {
	Type       string   `json:"kty"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	ID         string   `json:"kid"`
	Curve      string   `json:"crv"`
	N          binary   `json:"n"`
	E          binary   `json:"e"`
	X          binary   `json:"x"`
	Y          binary   `json:"y"`
	K          binary   `json:"k"`
}

// binary is bytes as JOSE has them in JSON.
type binary []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *binary) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	return err
}

// ParseSet reads a JSON Web Key Set. Keys that are for something else, of a kind that
// is not known here or malformed are passed over, as RFC 7517, 5 has it, and skipped says
// how many: one must not void the others.
// Secrets are taken only if it says so: what has been fetched must not have any. Errors
// wrap ErrKey.
func ParseSet(text []byte, secrets bool) (set Set, skipped int, err error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(text) > MaxSetBytes {
		return nil, 0, fmt.Errorf("%w: a JSON Web Key Set of more than %d bytes", ErrKey, MaxSetBytes)
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, 0, fmt.Errorf("%w: not a JSON Web Key Set: %w", ErrKey, err)
	}
	if len(document.Keys) > maxSetKeys {
		return nil, 0, fmt.Errorf("%w: a JSON Web Key Set of %d keys, want at most %d", ErrKey, len(document.Keys), maxSetKeys)
	}
	for _, text := range document.Keys {
		var w webKey
		err := json.Unmarshal(text, &w)
		var key Key
		if err == nil {
			key, err = w.key(secrets)
		}
		if err != nil {
			skipped++
			continue
		}
		set = append(set, key)
	}
	if len(set) == 0 {
		return nil, skipped, fmt.Errorf("%w: a JSON Web Key Set without a key that signs tokens (it has %d others)", ErrKey, skipped)
	}
	return set, skipped, nil
}

// key returns the key that w is.
func (w *webKey) key(secrets bool) (Key, error) {
	if w.Use != "" && w.Use != "sig" || w.Operations != nil && !slices.Contains(w.Operations, "verify") {
		return Key{}, fmt.Errorf("%w: it is for something else", ErrKey)
	}
	if w.Algorithm != "" && !isAlgorithm(w.Algorithm) {
		return Key{}, fmt.Errorf("%w: the algorithm %.16q", ErrKey, w.Algorithm)
	}
	var public crypto.PublicKey
	switch {
	case w.Type == "oct" && secrets:
		return secretKey(w.ID, w.Algorithm, w.K)
	case w.Type == "RSA":
		e := new(big.Int).SetBytes(w.E)
		if !e.IsInt64() || e.Int64() >= 1<<31 || len(w.N) > maxModulus/8 {
			return Key{}, fmt.Errorf("%w: an RSA key that is too large", ErrKey)
		}
		public = &rsa.PublicKey{N: new(big.Int).SetBytes(w.N), E: int(e.Int64())}
	case w.Type == "EC":
		for _, curve := range curves {
			if curve.Params().Name != w.Curve {
				continue
			}
			// 4 is the mark of a point that is not compressed (SEC 1, 2.3.3).
			point, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, w.X, w.Y))
			if err != nil {
				return Key{}, fmt.Errorf("%w: no point of %s: %w", ErrKey, w.Curve, err)
			}
			public = point
		}
	case w.Type == "OKP" && w.Curve == "Ed25519" && len(w.X) == ed25519.PublicKeySize:
		public = ed25519.PublicKey(w.X)
	}
	if public == nil {
		return Key{}, fmt.Errorf("%w: the kind %.16q", ErrKey, w.Type)
	}
	return publicKey(w.ID, w.Algorithm, public)
}

// Open returns the claims of t, as they were signed by a key of s. Errors are
// ErrAlgorithm, ErrUnknown, ErrSignature and ErrForm.
//
// A token that names its key is for the keys of that name and those that have none;
// one that does not is for all, of which the first 8 of its algorithm are tried.
func (s Set) Open(t *Token) ([]byte, error) {
	tries, named, known := 0, false, false
	for i := range s {
		k := &s[i]
		named = named || k.ID != ""
		known = known || k.ID == t.KeyID
		if k.Algorithm != t.Algorithm || k.ID != "" && t.KeyID != "" && k.ID != t.KeyID {
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if k.verify(t.signed, t.signature) {
			return t.claims()
		}
	}
	switch {
	case t.KeyID != "" && named && !known: // whatever keys without a name say
		return nil, ErrUnknown
	case tries > 0:
		return nil, ErrSignature
	}
	return nil, ErrAlgorithm
}
