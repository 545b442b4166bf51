package redis

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
)

// Bounds of a server's replies. Real replies are far below them, except events of other
// programs: these are cut at maxText, which is more than any event may have, so that
// their channel gets a gap.
const (
	maxLine     = 16 << 10  // bytes
	maxText     = 24 << 20  // bytes of a string: base64 of the largest event, and more
	maxDepth    = 16        // arrays within arrays
	maxElements = 4 << 20   // in all arrays of a reply
	maxReply    = 512 << 20 // bytes of all strings of a reply
)

// frames is a connection that hands on no reply which its reader would take too much
// memory or stack for, or panic by: the client library makes room for as much as a
// server announces, has a frame of its stack for each level, and takes what comes for
// subscriptions to have their form, in goroutines of its own.
type frames struct {
	net.Conn
	buf        []byte // bytes that have come; those from read to filled are to be handed on
	read       int
	filled     int
	line       []byte // to be handed on first
	text, skip int    // of a string: bytes to hand on, and then to leave out
	inText     bool
	left       [maxDepth]int // elements to come, of each level
	depth      int
	elements   int // of the reply
	bytes      int
	shape      shape // of the reply
	err        error

	// The questions that were asked: the writer sets these while another goroutine reads.
	subscriber atomic.Bool // subscriptions
	master     atomic.Bool // where the master is
}

func newFrames(conn net.Conn) net.Conn {
	f := &frames{Conn: conn, buf: make([]byte, maxLine)}
	if raw, ok := conn.(syscall.Conn); ok {
		return &rawFrames{f, raw}
	}
	return f
}

// rawFrames is frames over a socket, at which the library looks to see whether the
// server has ended the connection.
type rawFrames struct {
	*frames
	raw syscall.Conn
}

func (f *rawFrames) SyscallConn() (syscall.RawConn, error) { return f.raw.SyscallConn() }

// Write notes the questions. A published payload that looks like one does no harm, since
// answers to publishers have another form.
func (f *frames) Write(p []byte) (int, error) {
	if len(p) > 0 && p[0] == '*' {
		command := p[:min(len(p), 64)]
		if bytes.Contains(command, []byte("subscribe\r\n")) {
			f.subscriber.Store(true)
		}
		f.master.Store(bytes.Contains(command, []byte("\r\nget-master-addr-by-name\r\n")))
	}
	return f.Conn.Write(p)
}

func (f *frames) Read(p []byte) (n int, err error) {
	for f.err == nil && n < len(p) {
		switch {
		case len(f.line) > 0:
			c := copy(p[n:], f.line)
			n, f.line = n+c, f.line[c:]
		case f.inText && f.text+f.skip == 0:
			f.inText, f.line = false, []byte("\r\n")
			f.err = f.end()
		case f.read == f.filled && n > 0:
			return n, nil
		case f.read == f.filled:
			err = f.fill()
		case f.text > 0:
			c := copy(p[n:], f.buf[f.read:min(f.filled, f.read+f.text)])
			f.shape.text(f.buf[f.read : f.read+c])
			n, f.read, f.text = n+c, f.read+c, f.text-c
		case f.skip > 0:
			c := min(f.skip, f.filled-f.read)
			f.read, f.skip = f.read+c, f.skip-c
		default:
			end := bytes.IndexByte(f.buf[f.read:f.filled], '\n')
			if end >= 0 {
				end += f.read + 1
				f.line = f.buf[f.read:end]
				f.err = f.begin(f.line)
				f.read = end
			} else if n > 0 {
				return n, nil
			} else {
				err = f.fill()
			}
		}
		if err != nil {
			return n, err
		}
	}
	return n, f.err
}

// fill reads more bytes after those that have yet to be handed on, which are a part of a
// line. It overwrites bytes that were handed on.
func (f *frames) fill() error {
	f.filled = copy(f.buf, f.buf[f.read:f.filled])
	f.read = 0
	if f.filled == len(f.buf) {
		f.err = fmt.Errorf("%w: a line of more than %d bytes", errReply, maxLine)
		return f.err
	}
	n, err := f.Conn.Read(f.buf[f.filled:])
	f.filled += n
	if n > 0 {
		return nil
	}
	return err
}

// begin takes in the line that an element begins with, and most often is.
func (f *frames) begin(line []byte) error {
	if f.depth == 0 {
		f.elements, f.bytes, f.shape = 0, 0, shape{}
	}
	kind := line[0]
	switch kind {
	case '+', '-', ':', '_', ',', '#', '(':
		f.shape.element(f.depth, kind)
		return f.end()
	case '$', '=', '!', '*', '~', '>', '%':
	default: // attributes too, which no server sends unasked
		return fmt.Errorf("%w: %.64q", errReply, line)
	}
	n, err := strconv.Atoi(string(bytes.TrimSuffix(line[1:], []byte("\r\n"))))
	const nonsense = 1 << 30
	switch {
	case err != nil || n < -1 || n > nonsense:
		return fmt.Errorf("%w: the length in %.64q", errReply, line)
	case n == -1:
		f.shape.element(f.depth, '_')
		return f.end()
	}
	f.shape.element(f.depth, kind)
	switch kind {
	case '$', '=', '!':
		return f.beginText(kind, n)
	case '%':
		n *= 2
	}
	return f.beginArray(n)
}

func (f *frames) beginText(kind byte, n int) error {
	f.text = min(n, maxText)
	f.skip, f.inText = n-f.text+len("\r\n"), true
	if f.bytes += f.text; f.bytes > maxReply {
		return fmt.Errorf("%w: more than %d bytes", errReply, maxReply)
	}
	if f.text < n { // the reader is to know no better
		f.line = fmt.Appendf(nil, "%c%d\r\n", kind, f.text)
	}
	return nil
}

func (f *frames) beginArray(n int) error {
	if f.elements += n; f.elements > maxElements || f.depth == maxDepth {
		return fmt.Errorf("%w: more than %d elements, or %d arrays within each other", errReply, maxElements, maxDepth)
	}
	if n == 0 {
		return f.end()
	}
	f.left[f.depth] = n
	f.depth++
	return nil
}

// end takes in that an element has ended, and with it perhaps those that it is the last
// of.
func (f *frames) end() error {
	for f.depth > 0 {
		if f.left[f.depth-1]--; f.left[f.depth-1] > 0 {
			return nil
		}
		f.depth--
	}
	switch {
	case !f.shape.isArray():
	case f.subscriber.Load() || f.shape.whole == '>':
		return f.shape.checkMessage()
	case f.master.Load():
		return f.shape.checkMaster()
	}
	return nil
}
