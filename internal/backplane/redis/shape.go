package redis

import (
	"bytes"
	"fmt"
)

// shape is the form of a reply, as far as it has come: it tells whether the client library
// can take it.
type shape struct {
	whole byte             // its kind
	kinds [4]byte          // of its first elements
	count int              // of its elements
	depth int              // of the newest text or array: 1 for an element
	texts [2][maxWord]byte // the beginnings of the first two elements
	sizes [2]int           // of these
	words int              // of the third element, but one
}

// maxWord is more than any word has that matters, in bytes.
const maxWord = 16

// element takes in that something of a kind begins, the reply itself at depth 0.
func (s *shape) element(depth int, kind byte) {
	switch s.depth = depth; depth {
	case 0:
		s.whole = kind
	case 1:
		if s.count < len(s.kinds) {
			s.kinds[s.count] = kind
		}
		s.count++
	}
}

// text takes in a part of the text that has begun.
func (s *shape) text(part []byte) {
	switch i := s.count - 1; {
	case s.depth != 1:
	case i < len(s.texts):
		s.sizes[i] += copy(s.texts[i][s.sizes[i]:], part)
	case i == len(s.texts):
		s.words += bytes.Count(part, []byte(" "))
	}
}

func (s *shape) isArray() bool { return s.whole == '*' || s.whole == '>' || s.whole == '~' }

// elements returns the kinds of the first elements.
func (s *shape) elements() string { return string(s.kinds[:min(s.count, len(s.kinds))]) }

// checkMessage is for an array that comes to a subscriber.
func (s *shape) checkMessage() error {
	what, name := string(s.texts[0][:s.sizes[0]]), string(s.texts[1][:s.sizes[1]])
	kinds := s.elements()
	ok := len(kinds) > 0 && kinds[0] == '$'
	switch what {
	case "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe":
		ok = kinds == "$$:" || kinds == "$_:"
	case "message", "smessage":
		const parts = 5 // of what a sentinel says of a new master: name, old and new address
		ok = kinds == "$$$" && (name != "+switch-master" || s.words+1 >= parts)
	case "pmessage":
		ok = kinds == "$$$$"
	case "pong":
		ok = kinds == "$$"
	}
	if !ok {
		return fmt.Errorf("%w: the message %q of %q", errReply, what, kinds)
	}
	return nil
}

// checkMaster is for an array that tells the master's address: host and port.
func (s *shape) checkMaster() error {
	if kinds := s.elements(); kinds != "$$" {
		return fmt.Errorf("%w: the address of a master of %q", errReply, kinds)
	}
	return nil
}
