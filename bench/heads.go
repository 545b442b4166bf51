package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// maxHead bounds a response head, in bytes.
const maxHead = 16 << 10

// heads takes in the response heads of streams.
type heads struct {
	partial map[int32][]byte // what has come of the unfinished ones, by descriptor
	good    []byte           // one that was found good: most are equal to it
}

// take takes the response head from what has come of a stream, and returns
// what is behind it. whole is false while the head is not complete.
func (h *heads) take(fd int32, p []byte) (rest []byte, whole bool, err error) {
	if rest, ok := bytes.CutPrefix(p, h.good); ok && h.good != nil && h.partial[fd] == nil {
		return rest, true, nil
	}
	p = append(h.partial[fd], p...)
	const blank = "\r\n\r\n"
	end := bytes.Index(p, []byte(blank))
	switch {
	case end > maxHead || end < 0 && len(p) > maxHead:
		return nil, false, fmt.Errorf("%w: a response head of more than %d bytes", ErrRefused, maxHead)
	case end < 0:
		h.partial[fd] = p
		return nil, false, nil
	}
	h.forget(fd)
	head, rest := p[:end+len(blank)], p[end+len(blank):]
	if err := checkHead(head); err != nil {
		return nil, false, err
	}
	h.good = head
	return rest, true, nil
}

// forget drops what has come of a response head.
func (h *heads) forget(fd int32) { delete(h.partial, fd) }

// checkHead reports why a response head is not that of an event stream that
// can be followed.
func checkHead(head []byte) error {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return fmt.Errorf("%w: %.80q: %v", ErrRefused, head, err)
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case r.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: status %s", ErrRefused, r.Status)
	case !strings.EqualFold(strings.TrimSpace(media), "text/event-stream"):
		return fmt.Errorf("%w: Content-Type %q", ErrRefused, media)
	case r.TransferEncoding != nil || r.ContentLength >= 0:
		return fmt.Errorf("%w: not delimited by the end of the connection", ErrRefused)
	}
	return nil
}
