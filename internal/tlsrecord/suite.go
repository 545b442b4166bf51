package tlsrecord

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is a cipher suite of TLS 1.3.
type suite uint8

const (
	aes128 suite = iota + 1
	aes256
	chacha20
)

func suiteOf(id uint16) (suite, error) {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return aes128, nil
	case tls.TLS_AES_256_GCM_SHA384:
		return aes256, nil
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		return chacha20, nil
	}
	return 0, fmt.Errorf("%w: %#04x", ErrSuite, id)
}

func (s suite) keyLen() int {
	if s == aes128 {
		return 16
	}
	return 32
}

// secretLen is the length of the suite's hash.
func (s suite) secretLen() int {
	if s == aes256 {
		return sha512.Size384
	}
	return sha256.Size
}

// aead returns the cipher with a key of the suite's length. It is made anew for each write:
// to keep it would take some 800 bytes a connection, five times the State, and the cache
// misses on them half of what it saves (BenchmarkSeal).
func (s suite) aead(key []byte) cipher.AEAD {
	if s == chacha20 {
		return must(chacha20poly1305.New(key))
	}
	return must(cipher.NewGCM(must(aes.NewCipher(key))))
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func (s suite) expand(secret []byte, label string, n int) []byte {
	full := "tls13 " + label
	info := string([]byte{byte(n >> 8), byte(n), byte(len(full))}) + full + "\x00"
	if s == aes256 {
		return must(hkdf.Expand(sha512.New384, secret, info, n))
	}
	return must(hkdf.Expand(sha256.New, secret, info, n))
}

// next returns the secret that follows a KeyUpdate.
func (s suite) next(secret []byte) []byte { return s.expand(secret, "traffic upd", s.secretLen()) }

// keyAndIV are what records are sealed with (RFC 8446, 7.3).
func (s suite) keyAndIV(secret []byte) (key, iv []byte) {
	return s.expand(secret, "key", s.keyLen()), s.expand(secret, "iv", 12)
}

// must is for what fails only with keys and secrets of a wrong length.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// nonceOf is that of the record with a sequence number (RFC 8446, 5.3).
func nonceOf(iv []byte, seq uint64) (nonce [12]byte) {
	copy(nonce[:], iv)
	for i := range 8 {
		nonce[4+i] ^= byte(seq >> (56 - 8*i))
	}
	return nonce
}
