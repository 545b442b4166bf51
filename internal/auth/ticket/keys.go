package ticket

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrKey is wrapped by every refusal of a key.
var ErrKey = errors.New("bad ticket key")

const (
	// leastKey is the length of the shortest key, in bytes.
	leastKey = 32
	// mostKeys is how many keys open tickets while one takes the place of another.
	mostKeys = 2
	// purpose is what keys are derived for, and what every ticket is sealed with.
	purpose = "millrace ticket 1"
)

// Keys seal tickets with the first and open them with any of them. Immutable, so safe
// for concurrent use.
//
// The seal is XChaCha20-Poly1305. Nodes that share a key draw nonces at random and know
// nothing of each other's: 192 bits of them will not meet, however many tickets there
// are, where the 96 bits of AES-GCM are safe for 2^32 tickets of all nodes together, a
// few days of a busy site.
type Keys struct {
	seals []cipher.AEAD
	drawn []byte // the secret that RandomKeys has drawn; nil for keys that are given
}

// ParseKeys reads a key, or two with a comma between, of which the first seals.
func ParseKeys(text string) (*Keys, error) {
	k := new(Keys)
	for key := range strings.SplitSeq(text, ",") {
		switch {
		case len(key) < leastKey:
			return nil, fmt.Errorf("%w: it has %d bytes, want at least %d, as `openssl rand -base64 32` makes them", ErrKey, len(key), leastKey)
		case len(k.seals) == mostKeys:
			return nil, fmt.Errorf("%w: more than %d with commas between, want the one that seals and the one before it", ErrKey, mostKeys)
		}
		if err := k.add([]byte(key)); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// RandomKeys returns a key that nobody else has: its tickets end with the process, and with
// those that take over from it.
func RandomKeys() *Keys {
	key := make([]byte, leastKey)
	rand.Read(key)
	return drawnKeys(key)
}

// drawnKeys returns a key that this process, or the one before, has drawn.
func drawnKeys(key []byte) *Keys {
	k := &Keys{drawn: key}
	if err := k.add(key); err != nil {
		panic(err) // of a length that is right
	}
	return k
}

// Drawn returns the secret of RandomKeys, nil for keys that are given.
func (k *Keys) Drawn() []byte { return k.drawn }

// After returns keys that open the tickets of the process before, too, whose key it has drawn.
// If k was drawn as well, that one seals from now on. Given keys go on to seal.
func (k *Keys) After(drawn []byte) (*Keys, error) {
	if len(drawn) != leastKey {
		return nil, fmt.Errorf("%w: one of %d bytes was drawn, want %d", ErrKey, len(drawn), leastKey)
	}
	before := drawnKeys(slices.Clone(drawn))
	if k.drawn == nil {
		before = &Keys{seals: slices.Concat(k.seals, before.seals)}
	}
	return before, nil
}

func (k *Keys) add(secret []byte) error {
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, chacha20poly1305.KeySize)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	seal, err := chacha20poly1305.NewX(key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	k.seals = append(k.seals, seal)
	return nil
}

// seal returns what open takes.
func (k *Keys) seal(plain []byte) []byte {
	sealed := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	rand.Read(sealed)
	return k.seals[0].Seal(sealed, sealed, plain, []byte(purpose))
}

// open returns what was sealed with one of the keys.
func (k *Keys) open(sealed []byte) (plain []byte, ok bool) {
	if len(sealed) < chacha20poly1305.NonceSizeX {
		return nil, false
	}
	nonce, rest := sealed[:chacha20poly1305.NonceSizeX], sealed[chacha20poly1305.NonceSizeX:]
	for _, seal := range k.seals {
		if plain, err := seal.Open(nil, nonce, rest, []byte(purpose)); err == nil {
			return plain, true
		}
	}
	return nil, false
}
