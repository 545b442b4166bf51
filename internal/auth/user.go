package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxUser is the longest name of a user, in bytes.
const MaxUser = 255

// ErrUser is wrapped by every refusal of a user's name.
var ErrUser = errors.New("bad name of a user")

// CheckUser reports why user cannot name a user: it has to be 1 to MaxUser bytes of valid
// UTF-8 without control characters. Safe for concurrent use.
func CheckUser(user string) error {
	switch {
	case user == "":
		return fmt.Errorf("%w: it is empty, want 1 to %d bytes", ErrUser, MaxUser)
	case len(user) > MaxUser:
		return fmt.Errorf("%w: %.32q... has %d bytes, want at most %d", ErrUser, user, len(user), MaxUser)
	case !utf8.ValidString(user):
		return fmt.Errorf("%w: %q is not valid UTF-8", ErrUser, user)
	case strings.ContainsFunc(user, unicode.IsControl):
		return fmt.Errorf("%w: %q has a control character", ErrUser, user)
	}
	return nil
}
