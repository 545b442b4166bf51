package bench

import "fmt"

// chunks takes the chunked transfer coding (RFC 9112, 7.1) off the body of one
// stream, in pieces of any size. It has no pointers.
type chunks struct {
	left int32 // bytes of the chunk's data that are to come, or its size so far
	part chunkPart
}

// chunkPart is the part that the next byte belongs to.
type chunkPart uint8

const (
	chunkNone chunkPart = iota // the body is not chunked
	chunkSize                  // hexadecimal digits
	chunkLine                  // the rest of the line that has the size
	chunkData
	chunkEnd // CR and LF after the data
)

// maxChunk bounds the size of a chunk, in bytes.
const maxChunk = 1 << 26

// next returns the first run of p that is of the body, and the rest after it.
func (c *chunks) next(p []byte) (body, rest []byte, err error) {
	if c.part == chunkNone {
		return p, nil, nil
	}
	for i, b := range p {
		switch c.part {
		case chunkSize:
			digit, ok := hexDigit(b)
			switch {
			case ok && c.left <= maxChunk:
				c.left = c.left<<4 | digit
			case b == '\n' || b == '\r' || b == ';':
				c.part = chunkLine
				if b == '\n' {
					c.part = chunkData
				}
			default:
				return nil, nil, fmt.Errorf("%w: %q in the size of a chunk", ErrGarbled, b)
			}
		case chunkLine:
			if b == '\n' {
				c.part = chunkData
			}
		case chunkData:
			n := min(int(c.left), len(p)-i)
			if c.left -= int32(n); c.left == 0 {
				c.part = chunkEnd
			}
			return p[i : i+n], p[i+n:], nil
		case chunkEnd:
			switch b {
			case '\r':
			case '\n':
				c.part = chunkSize
			default:
				return nil, nil, fmt.Errorf("%w: %q after a chunk", ErrGarbled, b)
			}
		}
		if c.part == chunkData && c.left == 0 {
			return nil, nil, fmt.Errorf("%w: the last chunk", ErrEnded)
		}
	}
	return nil, nil, nil
}

func hexDigit(b byte) (int32, bool) {
	switch {
	case '0' <= b && b <= '9':
		return int32(b - '0'), true
	case 'a' <= b && b <= 'f':
		return int32(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return int32(b-'A') + 10, true
	}
	return 0, false
}
