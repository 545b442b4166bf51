package ticket

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// A family is a ticket and the renewals that follow from it. Each opens a stream once:
// the ticket is generation 0, the renewal of its stream 1, and so on. So all that has to
// be remembered of a family is its last generation, however often its page reconnects.
type family [16]byte

// contents are what is sealed in a ticket.
type contents struct {
	family     family
	generation uint32
	issued     int64 // of generation 0, in microseconds since 1970
	openBy     int64 // in seconds, as is until
	until      int64
	user       string
	channels   []string
}

// version is the first byte of what is sealed.
const version = 1

var errContents = errors.New("sealed by a millrace of another version")

// append appends the contents as they are sealed: numbers and lengths as varints.
func (c *contents) append(dst []byte) []byte {
	dst = append(dst, version)
	dst = append(dst, c.family[:]...)
	for _, n := range []uint64{uint64(c.generation), uint64(c.issued), uint64(c.openBy), uint64(c.until)} {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = appendText(dst, c.user)
	for _, channel := range c.channels {
		dst = appendText(dst, channel)
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// parse reads what append has written. Nobody else can have: it was sealed.
func (c *contents) parse(plain []byte) error {
	if len(plain) < 1+len(c.family) || plain[0] != version {
		return errContents
	}
	rest := plain[1+copy(c.family[:], plain[1:]):]
	var numbers [4]uint64
	for i := range numbers {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			return errContents
		}
		numbers[i], rest = n, rest[size:]
	}
	c.generation, c.issued, c.openBy, c.until = uint32(numbers[0]), int64(numbers[1]), int64(numbers[2]), int64(numbers[3])
	var texts []string
	for len(rest) > 0 {
		n, size := binary.Uvarint(rest)
		if size <= 0 || n > uint64(len(rest)-size) {
			return errContents
		}
		texts, rest = append(texts, string(rest[size:size+int(n)])), rest[size+int(n):]
	}
	if len(texts) < 2 {
		return errContents
	}
	c.user, c.channels = texts[0], texts[1:]
	return nil
}

// text returns a ticket with these contents.
func (c *contents) text(keys *Keys) string {
	var space [512]byte
	return base64.RawURLEncoding.EncodeToString(keys.seal(c.append(space[:0])))
}

// renewal returns the contents of the ticket that follows from this one.
func (c *contents) renewal(granted []string) *contents {
	next := *c
	next.generation++
	next.openBy = c.until
	next.channels = slices.Clone(granted)
	return &next
}

// at is a time of contents.
func at(seconds int64) time.Time { return time.Unix(seconds, 0) }
