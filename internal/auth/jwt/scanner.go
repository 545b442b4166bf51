package jwt

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxLevels is how deep the JSON of tokens may be nested.
const maxLevels = 8

// scanner reads one JSON text, strictly: no name twice in an object, no invalid UTF-8, no
// more than maxLevels, by the grammar of RFC 8259. That is what encoding/json does not do,
// and what can be done within the time of an event loop: what it returns is, where it can
// be, part of the text. Each method reads one value; once something is wrong, which bad
// tells, nothing more is read.
type scanner struct {
	text  string
	pos   int
	level int
	bad   bool
}

// fail has nothing more be read.
func (s *scanner) fail() { s.bad, s.pos = true, len(s.text) }

// kind returns the first byte of the next value or punctuation, 0 at the end
// (and for a NUL, which begins nothing).
func (s *scanner) kind() byte {
	for i := s.pos; i < len(s.text); i++ {
		if c := s.text[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			s.pos = i
			return c
		}
	}
	s.pos = len(s.text)
	return 0
}

// take reads c, which has to be next.
func (s *scanner) take(c byte) {
	if s.kind() != c {
		s.fail()
		return
	}
	s.pos++
}

// end tells whether that was all, and right.
func (s *scanner) end() bool {
	if s.kind(); s.pos < len(s.text) {
		s.fail()
	}
	return !s.bad
}

// object reads an object, and calls member after each name, to read the value.
func (s *scanner) object(member func(name string)) {
	var few [16]string
	names, many := few[:0], map[string]bool(nil)
	s.elements('{', '}', func() {
		if s.kind() != '"' {
			s.fail()
			return
		}
		name := s.str()
		if len(names) < len(few) {
			for _, other := range names {
				if other == name {
					s.fail()
				}
			}
			names = append(names, name)
		} else {
			if many == nil {
				many = make(map[string]bool)
				for _, other := range names {
					many[other] = true
				}
			}
			if many[name] {
				s.fail()
			}
			many[name] = true
		}
		if s.take(':'); !s.bad {
			member(name)
		}
	})
}

// list reads a list, and calls element to read each of its values.
func (s *scanner) list(element func()) { s.elements('[', ']', element) }

// elements reads what stands between two brackets with commas between.
func (s *scanner) elements(open, shut byte, element func()) {
	if s.take(open); s.level == maxLevels {
		s.fail()
	}
	s.level++
	for first := true; !s.bad && (!first || s.kind() != shut); first = false {
		if element(); s.kind() == shut {
			break
		}
		s.take(',')
	}
	s.level--
	s.take(shut)
}

// skip reads any value.
func (s *scanner) skip() {
	switch s.kind() {
	case '{':
		s.object(func(string) { s.skip() })
	case '[':
		s.list(s.skip)
	case '"':
		s.str()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

// isNull reads null, if that is next.
func (s *scanner) isNull() bool {
	if s.kind() != 'n' {
		return false
	}
	s.word("null")
	return true
}

func (s *scanner) word(w string) {
	if !strings.HasPrefix(s.text[s.pos:], w) {
		s.fail()
		return
	}
	s.pos += len(w)
}

// number reads a number, and returns it as it stands there.
func (s *scanner) number() string {
	s.kind()
	begin := s.pos
	s.digit('-')
	if !s.digit('0') {
		s.digits()
	}
	if s.digit('.') {
		s.digits()
	}
	if s.digit('e') || s.digit('E') {
		if !s.digit('+') {
			s.digit('-')
		}
		s.digits()
	}
	if s.bad {
		return ""
	}
	return s.text[begin:s.pos]
}

// digit reads c if it is next, within a number.
func (s *scanner) digit(c byte) bool {
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// digits reads one or more.
func (s *scanner) digits() {
	begin := s.pos
	for s.pos < len(s.text) && '0' <= s.text[s.pos] && s.text[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == begin {
		s.fail()
	}
}

// plain are the bytes that stand for themselves in a string, and are ASCII.
var plain = func() (is [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// str reads a string, and returns what it stands for.
func (s *scanner) str() string {
	if s.take('"'); s.bad {
		return ""
	}
	text, i, ascii := s.text[s.pos:], 0, true
	for i < len(text) {
		c := text[i]
		if plain[c] {
			i++
			continue
		}
		switch {
		case c == '"':
			s.pos += i + 1
			if !ascii && !utf8.ValidString(text[:i]) {
				s.fail()
				return ""
			}
			return text[:i]
		case c == '\\':
			begin := s.pos
			s.pos += i
			return s.escaped(begin)
		case c < ' ':
			s.fail()
			return ""
		}
		ascii = false
		i++
	}
	s.fail()
	return ""
}

// escapes are what a character after a backslash stands for.
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped is str of a string that has begun at begin and has a backslash at pos.
func (s *scanner) escaped(begin int) string {
	text := append(make([]byte, 0, 64), s.text[begin:s.pos]...)
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		s.pos++
		switch {
		case c == '"':
			if !utf8.Valid(text) {
				s.fail()
			}
			return string(text)
		case c < ' ':
			s.fail()
		case c != '\\':
			text = append(text, c)
		case s.digit('u'):
			text = utf8.AppendRune(text, s.unicode())
		case s.pos < len(s.text) && escapes[s.text[s.pos]] != 0:
			text = append(text, escapes[s.text[s.pos]])
			s.pos++
		default:
			s.fail()
		}
	}
	s.fail()
	return ""
}

// unicode reads what stands after \u, with the second half of a pair.
func (s *scanner) unicode() rune {
	r := s.hex()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.digit('\\') && s.digit('u') {
		if r = utf16.DecodeRune(r, s.hex()); r != utf8.RuneError {
			return r
		}
	}
	s.fail() // half of a pair
	return utf8.RuneError
}

// hex reads four hexadecimal digits.
func (s *scanner) hex() rune {
	if len(s.text)-s.pos < 4 {
		s.fail()
		return 0
	}
	n, err := strconv.ParseUint(s.text[s.pos:s.pos+4], 16, 16)
	if s.pos += 4; err != nil {
		s.fail()
	}
	return rune(n)
}
