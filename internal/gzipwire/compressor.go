package gzipwire

import "github.com/klauspost/compress/flate"

// MaxDictionary is how much of the text before a compressed form refers to, in bytes.
const MaxDictionary = 8 << 10

// Compressor makes compressed forms. It keeps memory from one to the next, but nothing of
// the texts. Not safe for concurrent use. The zero value is ready.
type Compressor struct{ out []byte }

// Append appends the compressed form of text after a dictionary, of which the last
// MaxDictionary bytes count. If that is no shorter than the text, it appends nothing, and
// returns false.
func (c *Compressor) Append(dst, text, dictionary []byte) (_ []byte, ok bool) {
	if !c.deflate(text, dictionary) || len(c.out) >= len(text) {
		return dst, false
	}
	return append(dst, c.out...), true
}

// deflate sets c.out, which ends with an empty stored block.
func (c *Compressor) deflate(text, dictionary []byte) (ok bool) {
	c.out = c.out[:0]
	return flate.StatelessDeflate(c, text, false, dictionary) == nil
}

// Write is for deflate: StatelessDeflate writes there.
func (c *Compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}
