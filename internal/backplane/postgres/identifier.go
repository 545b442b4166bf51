package postgres

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
)

// maxIdentifier is the length of the longest name that PostgreSQL does not cut,
// in bytes.
const maxIdentifier = 63

var errAmbiguous = errors.New("this channel's notifications would look like those of a name of more than 63 bytes, which goes by its SHA-1")

// identifier returns the name under which Action Cable notifies of a channel,
// which has its prefix already: the channel itself, or its SHA-1 in hexadecimal
// where PostgreSQL would cut it. Different channels have different ones, for a
// channel that is named like a SHA-1 is refused.
func identifier(channel string) (string, error) {
	if isSHA1(channel) {
		return "", fmt.Errorf("%w: %q, want another name, or one with --channel-prefix", errAmbiguous, channel)
	}
	if len(channel) <= maxIdentifier {
		return channel, nil
	}
	sum := sha1.Sum([]byte(channel))
	return hex.EncodeToString(sum[:]), nil
}

// isSHA1 tells whether a name could be a SHA-1 as identifier writes it.
func isSHA1(name string) bool {
	if len(name) != 2*sha1.Size {
		return false
	}
	for _, c := range []byte(name) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}
