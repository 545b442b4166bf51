package channels

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest channel name, in bytes.
const MaxName = 255

// ShardPrefix begins the names of shard channels, which are for observers by name
// alone: no glob fits them, not even *, and no stream is on them.
const ShardPrefix = "__shard:"

// byNameAlone tells whether a channel is for those that observe it by name: no glob
// fits it, and no stream can have it.
func byNameAlone(channel string) bool {
	return strings.HasPrefix(channel, ShardPrefix) || channel == ControlChannel
}

// ErrName is wrapped by every refusal of a channel name.
var ErrName = errors.New("bad channel name")

// CheckName reports why name cannot name a channel: it has to be 1 to MaxName
// bytes of valid UTF-8 without control characters. Safe for concurrent use.
func CheckName(name []byte) error {
	if isPrintable(name) && len(name) > 0 && len(name) <= MaxName {
		return nil
	}
	// An error quotes a copy, so that a good name is not copied.
	switch {
	case len(name) == 0:
		return fmt.Errorf("%w: it is empty, want 1 to %d bytes", ErrName, MaxName)
	case len(name) > MaxName:
		return fmt.Errorf("%w: %.32q... has %d bytes, want at most %d", ErrName, string(name), len(name), MaxName)
	case !utf8.Valid(name):
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrName, string(name))
	}
	for i := 0; i < len(name); {
		r, size := utf8.DecodeRune(name[i:])
		if unicode.IsControl(r) {
			return fmt.Errorf("%w: %q has the control character %U at byte %d", ErrName, string(name), r, i)
		}
		i += size
	}
	return nil
}

// isPrintable tells whether name is ASCII without control characters, as most are.
func isPrintable(name []byte) bool {
	for _, c := range name {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
