// Package signature grants streams by their addresses: an application signs the channels
// and an end, with a key that it shares with the nodes, and asks nobody.
//
// What is signed is "millrace1\n", the end in seconds since 1970, "\n", and the decoded
// names of all channels that are asked for, after aliases, in the order of their bytes and
// joined by "\n"; by HMAC-SHA256, in base64url.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/auth/jwt"
)

// MinKey is the least length of a key of signed addresses, in bytes.
const MinKey = 32

// ErrSign is wrapped by every refusal of a key of signed addresses, and of what is to be
// signed by one.
var ErrSign = errors.New("cannot sign")

// Signatures are the means of signed addresses: ?channel=/rooms/42&expires=1790000000
// &signature=, with which an application grants these channels until then, without
// asking anybody. Make one by New. Safe for concurrent use.
type Signatures struct{ keys atomic.Pointer[[]string] }

// New returns the means by those keys: the one that signs, and others before it.
// Errors wrap ErrSign.
func New(keys []string) (*Signatures, error) {
	s := new(Signatures)
	return s, s.SetKeys(keys)
}

// SetKeys has other keys count from now on. Errors wrap ErrSign; then those that were stay.
func (s *Signatures) SetKeys(keys []string) error {
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	s.keys.Store(&keys)
	return nil
}

func checkKey(key string) error {
	if len(key) < MinKey {
		return fmt.Errorf("%w: a key of %d bytes, want at least %d (openssl rand -base64 32)", ErrSign, len(key), MinKey)
	}
	return nil
}

// mac is the signature of channels until expires, in the form that it has in a URL:
// of the decoded names, in the order of their bytes.
func mac(key, expires string, names []string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte("millrace1\n" + expires + "\n" + strings.Join(slices.Sorted(slices.Values(names)), "\n")))
	return h.Sum(nil)
}

// Sign returns the query of an address that grants channels until expires. Errors wrap
// ErrSign.
func Sign(key string, expires time.Time, names []string) (query string, err error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%w: no channel", ErrSign)
	}
	var b strings.Builder
	for i, name := range names {
		if err := channels.CheckName([]byte(name)); err != nil {
			return "", fmt.Errorf("%w: %w", ErrSign, err)
		}
		if slices.Contains(names[:i], name) {
			return "", fmt.Errorf("%w: the channel %s stands there twice", ErrSign, auth.Quoted(name))
		}
		b.WriteString("channel=" + url.QueryEscape(name) + "&")
	}
	until := strconv.FormatInt(expires.Unix(), 10)
	fmt.Fprintf(&b, "expires=%s&signature=%s", until, base64.RawURLEncoding.EncodeToString(mac(key, until, names)))
	return b.String(), nil
}

// Find implements Means.
func (s *Signatures) Find(r *auth.Request) (string, bool) {
	signature, differ := auth.Param(r.Query, "signature")
	if differ {
		return "", true
	}
	return signature, signature != ""
}

// Judge implements Means. What is signed is all that is asked for, public or not.
func (s *Signatures) Judge(r *auth.Request, signature string, _ []string, now time.Time, _ func(auth.Verdict)) (auth.Verdict, bool) {
	no := func(status auth.Status, reason, text string) (auth.Verdict, bool) {
		return auth.Refuse(auth.MeansSignature, status, reason, text), true
	}
	expires, differ := auth.Param(r.Query, "expires")
	seconds, err := strconv.ParseUint(expires, 10, 40)
	given, encodingErr := base64.RawURLEncoding.DecodeString(strings.TrimRight(signature, "="))
	switch {
	case differ || err != nil || encodingErr != nil || len(given) != sha256.Size:
		return no(auth.Unauthorized, "malformed", "want &expires= in seconds since 1970 and &signature= in base64url, each once")
	case len(r.Channels) == 0:
		return no(auth.Unauthorized, "malformed", "a signed address without a channel")
	}
	good := false
	for _, key := range *s.keys.Load() {
		good = hmac.Equal(mac(key, expires, r.Channels), given) || good
	}
	until := time.Unix(int64(seconds), 0)
	switch {
	case !good:
		return no(auth.Unauthorized, "bad_signature", "the signature is not that of these channels and this time by the key that is known here")
	case now.After(until.Add(jwt.Leeway)): // the signer has another clock
		return no(auth.Unauthorized, "expired", "the signed address has expired")
	}
	return auth.Verdict{Means: auth.MeansSignature, Channels: r.Channels, Expires: until}, true
}
