package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxHead bounds a response head, in bytes.
const maxHead = 16 << 10

// heads takes in the response heads of streams.
type heads struct {
	partial map[int32][]byte // the beginnings of unfinished ones, by descriptor
	good    []byte           // one that was found good: most are equal to it
	chunked bool             // the body after that one is chunked
}

// take takes the response head from the first bytes of a stream, and returns the
// rest after it. whole is false while the head is not complete. chunked tells
// whether the body has the chunked transfer coding.
func (h *heads) take(fd int32, p []byte) (rest []byte, whole, chunked bool, err error) {
	if rest, ok := bytes.CutPrefix(p, h.good); ok && h.good != nil && h.partial[fd] == nil {
		return rest, true, h.chunked, nil
	}
	p = append(h.partial[fd], p...)
	const blank = "\r\n\r\n"
	end := bytes.Index(p, []byte(blank))
	switch {
	case end > maxHead || end < 0 && len(p) > maxHead:
		return nil, false, false, fmt.Errorf("%w: a response head of more than %d bytes", ErrRefused, maxHead)
	case end < 0:
		h.partial[fd] = p
		return nil, false, false, nil
	}
	h.forget(fd)
	head, rest := p[:end+len(blank)], p[end+len(blank):]
	chunked, err = checkHead(head)
	if err != nil {
		return nil, false, false, err
	}
	h.good, h.chunked = head, chunked
	return rest, true, chunked, nil
}

// forget drops the beginning of a response head.
func (h *heads) forget(fd int32) { delete(h.partial, fd) }

// checkHead tells whether the body after a response head is chunked, or why it is
// not the head of an event stream.
func checkHead(head []byte) (chunked bool, err error) {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return false, fmt.Errorf("%w: %.80q: %v", ErrRefused, head, err)
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case r.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%w: status %s", ErrRefused, r.Status)
	case !strings.EqualFold(strings.TrimSpace(media), "text/event-stream"):
		return false, fmt.Errorf("%w: Content-Type %q", ErrRefused, media)
	case r.ContentLength >= 0:
		return false, fmt.Errorf("%w: a body of %d bytes", ErrRefused, r.ContentLength)
	}
	return slices.Equal(r.TransferEncoding, []string{"chunked"}), nil
}
