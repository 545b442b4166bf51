// Package pattern matches names of channels against patterns of clients' channels:
// which channels clients may have at all, or without a grant.
//
// A [Pattern] is an exact name, a name that ends in * for any rest, or one with
// {name} for a segment between slashes that is not empty. "/rooms/{id}/events" fits
// /rooms/42/events and not /rooms//events nor /rooms/42/43/events; "/rooms/*" fits
// both, and /rooms/ itself. Nothing else in a pattern has a meaning, and characters that
// seem to have one are refused: these are not Redis's globs, for which there is
// channels.Glob.
//
// Matching takes time linear in the length of the name and allocates nothing. All
// is safe for concurrent use.
package pattern

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// ErrPattern is wrapped by every refusal of a pattern.
var ErrPattern = errors.New("bad pattern of channels")

// Pattern stands for names. The zero value fits none; make one by Parse.
type Pattern struct {
	segments []segment // the texts between slashes
	open     bool      // the last one is only the beginning of the rest
	text     string
}

// segment is the part between two slashes of a pattern: a text, or any that is not
// empty.
type segment struct {
	text string
	any  bool
}

// Parse reads a pattern. Errors wrap ErrPattern.
func Parse(text string) (Pattern, error) {
	refuse := func(why string) (Pattern, error) {
		return Pattern{}, fmt.Errorf("%w: %q %s; want a name, perhaps with * at its end for any rest, or {name} for one segment", ErrPattern, text, why)
	}
	p := Pattern{text: text}
	if text == "" {
		return refuse("is empty")
	}
	rest, open := strings.CutSuffix(text, "*")
	p.open = open
	if strings.Contains(rest, "*") {
		return refuse("has * before its end")
	}
	for part := range strings.SplitSeq(rest, "/") {
		name, isOpen := strings.CutPrefix(part, "{")
		name, isClosed := strings.CutSuffix(name, "}")
		switch {
		case isOpen && isClosed && isName(name):
			p.segments = append(p.segments, segment{any: true})
		case strings.ContainsAny(part, "{}"):
			return refuse(fmt.Sprintf("has %q between slashes, which is no {name}", part))
		default:
			p.segments = append(p.segments, segment{text: part})
		}
	}
	if last := p.segments[len(p.segments)-1]; p.open && last.any {
		return refuse("has * after {name}")
	}
	return p, nil
}

// isName tells whether text may name a segment. The operators and modifiers of URI
// templates (RFC 6570: {+path}, {?query}, {a,b}, {id:3}) mean something else than a
// segment, and so do none.
func isName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// String returns p as it was parsed.
func (p Pattern) String() string { return p.text }

// Match tells whether name fits p.
func (p Pattern) Match(name string) bool {
	if len(p.segments) == 0 {
		return false
	}
	last := len(p.segments) - 1
	for i, s := range p.segments {
		if i == last && p.open {
			return strings.HasPrefix(name, s.text)
		}
		part, rest, more := strings.Cut(name, "/")
		if more == (i == last) || s.any && part == "" || !s.any && part != s.text {
			return false
		}
		name = rest
	}
	return true
}

// List is patterns of which one has to fit.
type List []Pattern

// ParseList reads patterns. Errors wrap ErrPattern.
func ParseList(texts []string) (List, error) {
	var list List
	for _, text := range texts {
		p, err := Parse(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// Match tells whether name fits one of l.
func (l List) Match(name string) bool {
	for _, p := range l {
		if p.Match(name) {
			return true
		}
	}
	return false
}
