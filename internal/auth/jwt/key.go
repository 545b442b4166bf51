package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // a hash of the algorithms
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strings"
	"sync"
)

// ErrKey is wrapped by every refusal of a key. The text has nothing of a secret.
var ErrKey = errors.New("bad key of tokens")

const (
	// MinSecret is the least length of a secret, in bytes (RFC 7518, 3.2).
	MinSecret = 32
	// minModulus is the least length of an RSA key, in bits (RFC 7518, 3.3).
	minModulus = 2048
	// maxModulus bounds what one signature costs.
	maxModulus = 8192
)

// Key verifies the signatures of one algorithm. It is immutable.
type Key struct {
	ID        string // kid of the tokens that it is for; empty: of any
	Algorithm string // such as RS256

	macs   *sync.Pool       // of HS*: hash.Hash that has the secret, which it takes a third of a signature to hash anew
	public crypto.PublicKey // of the others
	hash   crypto.Hash      // 0 for EdDSA
}

// hashes are those of the algorithms, by the digits at the end of their names.
var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}

// curves are those of ECDSA: an algorithm has one.
var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// eddsa is the algorithm of Ed25519. RFC 9864 has another name for it.
const eddsa, eddsaToo = "EdDSA", "Ed25519"

// isAlgorithm tells whether keys may have name as their algorithm. "none" is none.
func isAlgorithm(name string) bool {
	if name == eddsa || name == eddsaToo {
		return true
	}
	family, digits := name[:min(2, len(name))], name[min(2, len(name)):]
	switch family {
	case "HS", "RS", "PS", "ES":
		return hashes[digits] != 0
	}
	return false
}

// ParseKey reads a key: a secret, or a public key or certificate in PEM. Before it may
// stand an algorithm and a colon, as in "PS256:-----BEGIN PUBLIC KEY-----"; without,
// a secret is for HS256, an RSA key for RS256, and the others have one algorithm each.
// Errors wrap ErrKey.
func ParseKey(text string) (Key, error) {
	algorithm, rest, ok := strings.Cut(text, ":")
	if ok && isAlgorithm(algorithm) {
		text = rest
	} else {
		algorithm = ""
	}
	if strings.Contains(text, "-----BEGIN") {
		public, err := parsePEM(text)
		if err != nil {
			return Key{}, err
		}
		return publicKey("", algorithm, public)
	}
	return secretKey("", algorithm, []byte(text))
}

// secretKey returns the key of a secret.
func secretKey(id, algorithm string, secret []byte) (Key, error) {
	if algorithm == "" {
		algorithm = "HS256"
	}
	switch trimmed := bytes.TrimSpace(secret); {
	case !isAlgorithm(algorithm) || !strings.HasPrefix(algorithm, "HS"):
		return Key{}, fmt.Errorf("%w: a secret for %.16s, want HS256, HS384 or HS512", ErrKey, algorithm)
	case bytes.HasPrefix(trimmed, []byte("{")):
		return Key{}, fmt.Errorf("%w: a secret that begins with {, want a secret or PEM here, and a JSON Web Key Set by --jwt-jwks", ErrKey)
	case isPublic(trimmed):
		return Key{}, fmt.Errorf("%w: a public key without its PEM lines, which everybody may know: want -----BEGIN PUBLIC KEY----- before it", ErrKey)
	case len(secret) < MinSecret:
		return Key{}, fmt.Errorf("%w: a secret of %d bytes, want at least %d (openssl rand -base64 32)", ErrKey, len(secret), MinSecret)
	}
	k := Key{ID: id, Algorithm: algorithm, hash: hashes[algorithm[2:]]}
	k.macs = &sync.Pool{New: func() any { return hmac.New(k.hash.New, secret) }}
	return k, nil
}

// isPublic tells whether text is a public key in base64, as PEM has it between its
// lines. Taken for a secret, it would let everybody sign.
func isPublic(text []byte) bool {
	der := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(der, text)
	if err != nil {
		return false
	}
	_, err = x509.ParsePKIXPublicKey(der[:n])
	if err != nil {
		_, err = x509.ParsePKCS1PublicKey(der[:n])
	}
	if err != nil {
		_, err = x509.ParseCertificate(der[:n])
	}
	return err == nil
}

// parsePEM returns the public key in a PEM text of one block. Where the line breaks are
// written as \n, as in variables, they are taken for such.
func parsePEM(text string) (crypto.PublicKey, error) {
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("%w: PEM that cannot be read, want -----BEGIN PUBLIC KEY-----, base64 on lines of its own, -----END PUBLIC KEY-----", ErrKey)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: PEM with something after the %.32s, want one key: give each by a flag or a file of its own", ErrKey, block.Type)
	}
	var public crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = certificate.PublicKey
		}
	default:
		return nil, fmt.Errorf("%w: PEM of the type %.32q, want PUBLIC KEY: what signs must not be here (openssl pkey -pubout makes one of a private key)", ErrKey, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, block.Type, err)
	}
	return public, nil
}

// publicKey returns the key of a public one.
func publicKey(id, algorithm string, public crypto.PublicKey) (Key, error) {
	k := Key{ID: id, Algorithm: algorithm, public: public}
	var own string // the algorithm, unless another is given
	switch p := public.(type) {
	case *rsa.PublicKey:
		own = "RS256"
		if bits := p.N.BitLen(); bits < minModulus || bits > maxModulus {
			return Key{}, fmt.Errorf("%w: an RSA key of %d bits, want %d to %d", ErrKey, bits, minModulus, maxModulus)
		}
		if p.E < 3 || p.E&1 == 0 {
			return Key{}, fmt.Errorf("%w: an RSA key with the exponent %d, want an odd one from 3 on", ErrKey, p.E)
		}
		if strings.HasPrefix(algorithm, "PS") || strings.HasPrefix(algorithm, "RS") {
			own = algorithm
		}
	case *ecdsa.PublicKey:
		for name, curve := range curves {
			if p.Curve == curve {
				own = name
			}
		}
	case ed25519.PublicKey:
		own = eddsa
	}
	if algorithm == eddsaToo {
		algorithm = eddsa
	}
	switch {
	case own == "":
		return Key{}, fmt.Errorf("%w: a key of the kind %T, want RSA, ECDSA on P-256, P-384 or P-521, or Ed25519", ErrKey, public)
	case algorithm != "" && algorithm != own || !isAlgorithm(own):
		return Key{}, fmt.Errorf("%w: a key for %s, and given as one for %.16s", ErrKey, own, algorithm)
	}
	k.Algorithm = own
	if own != eddsa {
		k.hash = hashes[own[2:]]
	}
	return k, nil
}

// verify tells whether signature is that of signed by k.
func (k *Key) verify(signed, signature []byte) bool {
	if k.macs != nil {
		mac := k.macs.Get().(hash.Hash)
		mac.Write(signed)
		var sum [sha512.Size]byte
		same := hmac.Equal(mac.Sum(sum[:0]), signature)
		mac.Reset()
		k.macs.Put(mac)
		return same
	}
	if public, ok := k.public.(ed25519.PublicKey); ok {
		return ed25519.Verify(public, signed, signature)
	}
	h := k.hash.New()
	h.Write(signed)
	digest := h.Sum(nil)
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if k.Algorithm[0] == 'P' {
			// A salt as long as the hash: RFC 7518, 3.5.
			return rsa.VerifyPSS(public, k.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, k.hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		n := (public.Curve.Params().BitSize + 7) / 8
		if len(signature) != 2*n { // RFC 7518, 3.4
			return false
		}
		return ecdsa.Verify(public, digest, new(big.Int).SetBytes(signature[:n]), new(big.Int).SetBytes(signature[n:]))
	}
	return false
}
