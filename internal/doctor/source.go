package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// source reads the small text files in which Linux shows its limits, below the
// root of files. It keeps the names of those that it could not read.
type source struct {
	files  fs.FS
	unread []Unread
}

// Unknown is a number that could not be read.
const Unknown = -1

// ErrFormat is wrapped by errors about the content of a file, which say what it should be.
var ErrFormat = errors.New("unexpected content")

// text returns the file called name, as /proc has it, with one space between
// words. Names are relative to the root: "proc/self/limits".
func (s *source) text(name string) (string, error) {
	data, err := fs.ReadFile(s.files, name)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // the name is said elsewhere
		}
		return "", err
	}
	return string(data), nil
}

// numbers returns the count numbers that the file holds.
func (s *source) numbers(name string, count int) ([]int64, error) {
	text, err := s.text(name)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(text)
	if len(words) != count {
		return nil, fmt.Errorf("%w: %.40q, want %d numbers", ErrFormat, text, count)
	}
	values := make([]int64, count)
	for i, word := range words {
		if values[i], err = parse(word); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// sysctl returns the numbers of the kernel parameter called name, each Unknown if
// they cannot be read.
func (s *source) sysctl(name string, count int) []int64 {
	values, err := s.numbers(sysctlFile(name), count)
	if err != nil {
		s.failed(name, err)
		for range count {
			values = append(values, Unknown)
		}
	}
	return values
}

// sysctlFile returns where the kernel parameter is; none here has a dot within
// a part of its name.
func sysctlFile(name string) string { return "proc/sys/" + strings.ReplaceAll(name, ".", "/") }

// field returns the words after the label that a line of the file begins with.
func (s *source) field(name, label string) ([]string, error) {
	text, err := s.text(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, label); ok {
			if words := strings.Fields(rest); len(words) > 0 {
				return words, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: no line %q", ErrFormat, label)
}

// amount returns the number after a label, as field finds it.
func (s *source) amount(name, label string) (int64, error) {
	words, err := s.field(name, label)
	if err != nil {
		return Unknown, err
	}
	return parse(words[0])
}

func (s *source) failed(name string, err error) {
	s.unread = append(s.unread, Unread{Name: name, Reason: err.Error()})
}

// parse returns the number that word is. "max", "unlimited" and what no int64
// holds is Unlimited.
func parse(word string) (int64, error) {
	if word == "max" || word == "unlimited" {
		return Unlimited, nil
	}
	n, err := strconv.ParseUint(word, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return Unknown, fmt.Errorf("%w: %.40q, want a number", ErrFormat, word)
	}
	return int64(min(n, math.MaxInt64)), nil
}
