package bench

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"

	"millrace/internal/gzipwire"
)

// inflater has the text of streams with the content coding gzip, of one client. Inflating each
// of them by itself would take 40 KB and a few microseconds a stream, more than the server
// spends. But what streams get is much the same for all, and so is what they have had: so what
// one has inflated is good for another one that gets the same bytes at the same place, and has
// had at least as much of the text that these refer to. A stream whose server has sent it
// bytes that refer to what it lacks is an error. Not safe for concurrent use.
type inflater struct {
	// own tells that a stream's compressor has all of its text for a window, as those that
	// compress each stream have; else only that of the channel, not greetings and pings.
	own     bool
	streams []codedStream     // by descriptor
	parts   map[int32][]byte  // of those of which a part of a piece has come
	history []byte            // the text that streams have in common, without its beginning,
	from    int64             // which is so long
	pieces  map[string]*piece // by their bytes
	size    int               // of pieces, in bytes
}

// codedStream is the state of one stream: no pointers.
type codedStream struct {
	pos    int64 // how much of the common text it has had
	window int32 // how much of that, at its end, may be referred to
	begun  bool  // its header has come
}

// piece is what some bytes are at a place of the common text.
type piece struct {
	pos    int64
	window int32 // with which it could be inflated
	text   []byte
}

const (
	maxHistory = 32 << 20 // bytes of text that slow streams may still refer to
	maxPieces  = 16 << 20 // bytes of pieces
	mostWindow = 32 << 10 // of deflate
)

// endOfForm is the end of an empty stored block: its first byte may end another block, too.
var endOfForm = []byte(gzipwire.Empty)[1:]

func newInflater(own bool) *inflater {
	return &inflater{own: own, parts: make(map[int32][]byte), pieces: make(map[string]*piece)}
}

// begin forgets the stream that a descriptor was before.
func (f *inflater) begin(fd int32) {
	if missing := int(fd) + 1 - len(f.streams); missing > 0 {
		f.streams = append(f.streams, make([]codedStream, missing)...)
	}
	f.streams[fd] = codedStream{}
	delete(f.parts, fd)
}

// take returns the text of the next bytes of a stream, as far as it is complete.
func (f *inflater) take(fd int32, p []byte) (text []byte, err error) {
	s := &f.streams[fd]
	if part := f.parts[fd]; len(part) > 0 {
		p = append(part, p...)
	}
	if !s.begun {
		if len(p) < len(gzipwire.Header) {
			f.parts[fd] = bytes.Clone(p)
			return nil, nil
		}
		if !bytes.HasPrefix(p, []byte(gzipwire.Header[:3])) {
			return nil, fmt.Errorf("%w: a body that begins with %q, want gzip", ErrGarbled, p[:3])
		}
		p, s.begun = p[len(gzipwire.Header):], true
	}
	end := bytes.LastIndex(p, endOfForm)
	if end < 0 {
		f.parts[fd] = bytes.Clone(p)
		return nil, nil
	}
	end += len(endOfForm)
	whole, rest := p[:end], p[end:]
	if len(rest) == 0 {
		delete(f.parts, fd)
	} else {
		f.parts[fd] = bytes.Clone(rest)
	}
	if text, err = f.inflate(s, whole); err == nil {
		f.advance(s, text)
	}
	return text, err
}

// inflate returns the text of whole blocks.
func (f *inflater) inflate(s *codedStream, p []byte) ([]byte, error) {
	if known := f.pieces[string(p)]; known != nil && known.pos == s.pos && known.window <= s.window {
		return known.text, nil
	}
	at := s.pos - f.from
	if s.window > 0 && (at < int64(s.window) || at > int64(len(f.history))) {
		return nil, fmt.Errorf("%w: a stream is too far behind to be inflated", ErrGarbled)
	}
	var window []byte
	if s.window > 0 {
		window = f.history[at-int64(s.window) : at]
	}
	r := flate.NewReaderDict(bytes.NewReader(p), window)
	text, err := io.ReadAll(r)
	if err != io.ErrUnexpectedEOF { // a stream has no end
		return nil, fmt.Errorf("%w: %d bytes after %d bytes of text: %w", ErrGarbled, len(p), len(window), err)
	}
	if f.size += len(p) + len(text); f.size > maxPieces {
		clear(f.pieces)
		f.size = len(p) + len(text)
	}
	f.pieces[string(p)] = &piece{s.pos, s.window, text}
	return text, nil
}

// advance counts text that a stream has had. Text of its own is not in the history, and stands
// between what was before and what comes.
func (f *inflater) advance(s *codedStream, text []byte) {
	if !f.own {
		if end := endOfOwn(text); end > 0 {
			s.window, text = 0, text[end:]
		}
	}
	if s.pos == 0 && len(text) > 0 && !f.own && len(f.history) > 0 { // it came later, perhaps
		s.pos = f.from + int64(len(f.history))
		first, _, _ := bytes.Cut(text, []byte("\n\n"))
		if at := bytes.Index(f.history, first); at >= 0 {
			s.pos = f.from + int64(at)
		}
	}
	if at := s.pos - f.from; at >= 0 && at <= int64(len(f.history)) {
		known := len(f.history) - int(at)
		f.history = append(f.history, text[min(known, len(text)):]...)
	}
	s.pos += int64(len(text))
	s.window = min(s.window+int32(len(text)), mostWindow)
	if len(f.history) > 2*maxHistory {
		drop := len(f.history) - maxHistory
		f.history = append(f.history[:0], f.history[drop:]...)
		f.from += int64(drop)
	}
}

// endOfOwn returns where the last text ends that is of one stream alone: a comment, or an
// event of millrace itself.
func endOfOwn(text []byte) (end int) {
	for at := 0; at < len(text); {
		next := bytes.Index(text[at:], []byte("\n\n"))
		if next < 0 {
			break
		}
		block := text[at : at+next]
		at += next + 2
		if block = bytes.TrimPrefix(block, []byte(":\n")); len(block) == 0 || block[0] == ':' ||
			bytes.Contains(block, []byte("event: "+ownTypes)) || bytes.HasPrefix(block, []byte("retry: ")) {
			end = at
		}
	}
	return end
}
