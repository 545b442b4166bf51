package h2

import (
	"errors"

	"golang.org/x/net/http2/hpack"

	"millrace/httpparse"
)

// fields gathers the fields of one header block, as they are decoded, and judges them (RFC
// 9113, 8.2 and 8.3).
type fields struct {
	limits                          httpparse.Limits
	request                         httpparse.Request
	text                            []byte // where names and values stand
	cookie                          []byte // the cookies, which clients send one by one (RFC 9113, 8.2.3)
	method, scheme, authority, path []byte // the pseudo-header fields; nil for those that are missing
	size                            int    // as SETTINGS_MAX_HEADER_LIST_SIZE counts it
	trailers                        bool   // they may have no pseudo-header fields
	regular                         bool   // a field has come that is none
	malformed                       string // why the block is no request; empty if nothing is wrong
}

// begin has fields gathered of a new block.
func (h *fields) begin(trailers bool) {
	h.request.Begin()
	h.text, h.cookie = h.text[:0], h.cookie[:0]
	h.method, h.scheme, h.authority, h.path = nil, nil, nil, nil
	h.size, h.trailers, h.regular, h.malformed = 0, trailers, false, ""
}

// tooLong tells whether there is more than the limit: then no field is gathered any more.
func (h *fields) tooLong() bool { return h.size > h.limits.MaxBytes }

// add takes in one field.
func (h *fields) add(f hpack.HeaderField) {
	h.size += int(f.Size())
	if h.tooLong() || h.malformed != "" {
		return
	}
	if f.IsPseudo() {
		h.addPseudo(f)
		return
	}
	h.regular = true
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		h.malformed = "a field that is of HTTP/1.1's connections"
		return
	case "te":
		if f.Value != "trailers" {
			h.malformed = "a te that is not trailers"
			return
		}
	case "cookie":
		if len(h.cookie) > 0 {
			h.cookie = append(h.cookie, "; "...)
		}
		h.cookie = append(h.cookie, f.Value...)
		return
	}
	for i := range len(f.Name) {
		if 'A' <= f.Name[i] && f.Name[i] <= 'Z' {
			h.malformed = "a capital letter in the name of a field"
			return
		}
	}
	if n := len(f.Value); n > 0 && (isSpace(f.Value[0]) || isSpace(f.Value[n-1])) {
		h.malformed = "whitespace around the value of a field"
		return
	}
	if err := h.request.Add(h.keep(f.Name), h.keep(f.Value)); err != nil {
		h.malformed = err.Error()
	}
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' }

// addPseudo takes in a pseudo-header field: each may stand once, before all others.
func (h *fields) addPseudo(f hpack.HeaderField) {
	var to *[]byte
	switch f.Name {
	case ":method":
		to = &h.method
	case ":scheme":
		to = &h.scheme
	case ":authority":
		to = &h.authority
	case ":path":
		to = &h.path
	}
	switch {
	case to == nil || h.trailers:
		h.malformed = "a pseudo-header field that no request has"
	case h.regular:
		h.malformed = "a pseudo-header field after another field"
	case *to != nil:
		h.malformed = "a pseudo-header field that stands twice"
	default:
		*to = h.keep(f.Value)
	}
}

// keep copies s to where it stands as long as the request. It is never nil.
func (h *fields) keep(s string) []byte {
	from := len(h.text)
	h.text = append(h.text, s...)
	return h.text[from:len(h.text):len(h.text)]
}

// complete judges the fields of a request as a whole: it may be malformed, or one that is to be
// answered with a refusal.
func (h *fields) complete() (malformed string, refusal error) {
	isConnect := string(h.method) == "CONNECT"
	switch {
	case h.malformed != "":
		return h.malformed, nil
	case h.tooLong():
		h.request.Method = h.method
		return "", httpparse.ErrHeadTooLarge
	case h.method == nil:
		return "a request without a method", nil
	case isConnect && (h.scheme != nil || h.path != nil || h.authority == nil):
		return "a CONNECT with another target than an authority", nil
	case !isConnect && (h.scheme == nil || len(h.path) == 0):
		return "a request without a scheme or a path", nil
	}
	if len(h.cookie) > 0 {
		if err := h.request.Add([]byte("cookie"), h.cookie); err != nil {
			return err.Error(), nil
		}
	}
	refusal = h.request.Complete(h.method, h.authority, h.path, h.limits)
	switch {
	case refusal == httpparse.ErrContentLength || refusal == httpparse.ErrManyLengths:
		return refusal.Error(), nil
	case refusal == nil && !isConnect && string(h.scheme) != "https" && string(h.scheme) != "http":
		refusal = httpparse.ErrTargetForm
	}
	return "", refusal
}

// Table is the HPACK decoder of a connection whose client may still use a table. It takes up to
// 5 KB.
type Table struct{ decoder *hpack.Decoder }

// NewTable makes the Table of a new connection.
func (r *Reader) NewTable() *Table {
	const size = 4096 // RFC 9113, 6.5.2
	return &Table{r.newDecoder(size)}
}

func (r *Reader) newDecoder(tableSize uint32) *hpack.Decoder {
	d := hpack.NewDecoder(tableSize, r.fields.add)
	d.SetMaxStringLength(r.maxBlock) // of one that is coded by Huffman, decoded
	return d
}

// decode decodes a header block into r.fields. A decoder that has failed is good for nothing
// any more: that of a connection ends with it.
func (r *Reader) decode(c *Conn, t *Table, block []byte) error {
	decoder := r.tableless
	if t != nil && !c.Acknowledged() {
		decoder = t.decoder
	}
	_, err := decoder.Write(block)
	if err == nil {
		err = decoder.Close()
	}
	switch {
	case err == nil:
		return nil
	case decoder == r.tableless:
		r.tableless = r.newDecoder(0)
	}
	if errors.Is(err, hpack.ErrStringLength) {
		return &Error{EnhanceYourCalm, "a string in a header block that is too long"}
	}
	return &Error{CompressionError, "a header block that cannot be decoded"}
}
