// Package gzipwire makes the wire forms that text has in a stream with the content coding
// gzip (RFC 1952): one member whose header is the same for all, and then blocks of deflate
// (RFC 1951) that begin and end at whole bytes. So the blocks of a text can be made once and
// stand in any number of streams, one text after the other in any order of forms.
//
// A text has two forms. The stored one is the text itself with some bytes around it, and
// refers to nothing. The compressed one, of a [Compressor], refers to a dictionary: the
// text that every stream which gets this form must have had just before, with nothing
// between. It is nothing but the window of deflate, of which both forms are a part.
//
// Each form ends with an empty stored block. Without it readers (Go's, for one) hold the
// end of a text back until the next one comes. There is no trailer: a stream ends when its
// connection does, as it does without a content coding, and what checks the trailer of a
// member would have to be told of the end before.
//
// Everything here is pure; functions are safe for concurrent use.
package gzipwire

import "encoding/binary"

// Header begins a stream: deflate, no name, no time, an unknown system.
const Header = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// Empty is a stored block without text (RFC 1951, 3.2.4). It ends each form, and stands
// for a ping: readers get nothing of it.
const Empty = "\x00\x00\x00\xff\xff"

const (
	// MaxBlock is the most text that one stored block has, in bytes.
	MaxBlock = 65535
	// blockHeader is the length of what stands before the text of a stored block: a
	// byte that says so, the length, and the length with all bits changed.
	blockHeader = 5
)

// StoredSize returns the length of the stored form of a text of n bytes.
func StoredSize(n int) int {
	blocks := (n + MaxBlock - 1) / MaxBlock
	return n + blocks*blockHeader + len(Empty)
}

// AppendStored appends the stored form of text, but for its first skip bytes, which are at
// most StoredSize(len(text)).
func AppendStored(dst, text []byte, skip int) []byte {
	for len(text) > 0 {
		block := text[:min(len(text), MaxBlock)]
		text = text[len(block):]
		switch {
		case skip >= blockHeader+len(block):
			skip -= blockHeader + len(block)
		case skip >= blockHeader:
			dst = append(dst, block[skip-blockHeader:]...)
			skip = 0
		default:
			header := storedHeader(len(block))
			dst = append(append(dst, header[skip:]...), block...)
			skip = 0
		}
	}
	return append(dst, Empty[skip:]...)
}

// StoreTail makes the stored form of the text dst[from:], in its place.
func StoreTail(dst []byte, from int) []byte {
	n := len(dst) - from
	if n > MaxBlock {
		text := append([]byte(nil), dst[from:]...)
		return AppendStored(dst[:from], text, 0)
	}
	dst = append(dst, Empty...) // the room of a block's header, which comes before the text
	if n == 0 {
		return dst
	}
	copy(dst[from+blockHeader:], dst[from:from+n])
	header := storedHeader(n)
	copy(dst[from:], header[:])
	return append(dst, Empty...)
}

// storedHeader returns the header of a stored block of n bytes, MaxBlock at most.
func storedHeader(n int) (h [blockHeader]byte) {
	binary.LittleEndian.PutUint16(h[1:], uint16(n))
	binary.LittleEndian.PutUint16(h[3:], ^uint16(n))
	return h
}
