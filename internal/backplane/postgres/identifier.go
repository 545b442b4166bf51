package postgres

import (
	"crypto/sha1"
	"encoding/hex"
)

// maxIdentifier is the length of the longest name that PostgreSQL does not cut,
// in bytes.
const maxIdentifier = 63

// identifier returns the name under which Action Cable notifies of a channel,
// which has its prefix already: the channel itself, or its SHA-1 in hexadecimal
// where PostgreSQL would cut it.
func identifier(channel string) string {
	if len(channel) <= maxIdentifier {
		return channel
	}
	sum := sha1.Sum([]byte(channel))
	return hex.EncodeToString(sum[:])
}
