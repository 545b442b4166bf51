package h2

import (
	"bytes"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// Encoder makes header blocks that use no table, so that each is good for any connection, and
// may be kept.
type Encoder struct {
	hpack *hpack.Encoder
	block []byte // what it is making
}

// NewEncoder makes an Encoder.
func NewEncoder() *Encoder {
	e := &Encoder{}
	e.hpack = hpack.NewEncoder(e)
	e.hpack.SetMaxDynamicTableSizeLimit(0)
	e.hpack.WriteField(hpack.HeaderField{Name: ":status", Value: "200"}) // and that there is no table, which AppendHead says
	return e
}

// Write appends to the block. It is for the encoder of HPACK alone.
func (e *Encoder) Write(p []byte) (int, error) {
	e.block = append(e.block, p...)
	return len(p), nil
}

// AppendBlock appends a response head as a header block, or more of one. The head is in the
// form of HTTP/1.1, with a status line or without: so that there is one place where a head is
// made. What is of HTTP/1.1's connections is left out; so is the length of the content, which
// may be cut off by a window.
func (e *Encoder) AppendBlock(dst, head []byte) []byte {
	e.block = dst
	if status, ok := bytes.CutPrefix(head, []byte("HTTP/1.1 ")); ok {
		e.field(":status", string(status[:len("200")]))
		_, head, _ = bytes.Cut(head, []byte("\r\n"))
	}
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch name := strings.ToLower(string(name)); name {
		case "", "connection", "content-length":
		default:
			e.field(name, string(value))
		}
	}
	dst, e.block = e.block, nil
	return dst
}

// field appends one field.
func (e *Encoder) field(name, value string) {
	e.hpack.WriteField(hpack.HeaderField{Name: name, Value: value}) // which fails only if Write does
}
