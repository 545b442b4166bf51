package ssetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// ErrHTTP2 is wrapped by the error about what a server of HTTP/2 must not send, or millrace
// does not.
var ErrHTTP2 = errors.New("HTTP/2 as it should not be")

// HTTP2 is a client's end of an HTTP/2 connection without its socket: what the server has sent
// goes in by Take, and what it is to be sent comes out by Out. It is not safe for concurrent
// use.
type HTTP2 struct {
	GoAway      *http2.GoAwayFrame // what has come of that, without its text
	MaxStreams  uint32             // that the server allows
	in, out     bytes.Buffer
	framer      *http2.Framer
	block       bytes.Buffer
	encoder     *hpack.Encoder
	streams     map[uint32]*Stream
	next        uint32 // stream id
	window      int    // what the server may send on all streams
	each        uint32 // on each stream, at first
	owed        int    // what it may send more on all of them, and was not told yet
	hasSettings bool
}

// defaultWindow is what the protocol begins with, of a connection and of a stream.
const defaultWindow = 65_535

// NewHTTP2 begins a connection whose streams have a window of that many bytes each, 0 for
// the protocol's.
func NewHTTP2(window uint32) *HTTP2 {
	if window == 0 {
		window = defaultWindow
	}
	h := &HTTP2{streams: make(map[uint32]*Stream), next: 1, window: defaultWindow, each: window, MaxStreams: 1 << 31}
	h.framer = http2.NewFramer(&h.out, &h.in)
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.encoder = hpack.NewEncoder(&h.block)
	h.out.WriteString(http2.ClientPreface)
	h.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	if window > defaultWindow {
		h.window = int(window)
		h.framer.WriteWindowUpdate(0, window-defaultWindow)
	}
	return h
}

// Out returns what is to be sent.
func (h *HTTP2) Out() []byte { return bytes.Clone(h.out.Next(h.out.Len())) }

// Framer makes frames as a client should not: what it writes comes out by Out.
func (h *HTTP2) Framer() *http2.Framer { return h.framer }

// Request asks for target on a new stream, with fields as "Name: value".
func (h *HTTP2) Request(target string, fields ...string) *Stream {
	s := &Stream{conn: h, ID: h.next, window: int(h.each)}
	h.next += 2
	h.streams[s.ID] = s
	h.block.Reset()
	for _, f := range append([]string{":method: GET", ":scheme: https", ":authority: test", ":path: " + target}, fields...) {
		i := 1 + strings.Index(f[1:], ": ")
		h.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(f[:i]), Value: f[i+2:]})
	}
	h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.ID, BlockFragment: h.block.Bytes(), EndStream: true, EndHeaders: true})
	return s
}

// Take takes in what the server has sent.
func (h *HTTP2) Take(p []byte) error {
	h.in.Write(p)
	for {
		b := h.in.Bytes()
		if len(b) < 9 {
			return nil
		}
		n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if n > 1<<14 {
			return fmt.Errorf("%w: a frame of %d bytes", ErrHTTP2, n)
		}
		if len(b) < 9+n {
			return nil
		}
		if b[3] == byte(http2.FrameHeaders) && b[4]&byte(http2.FlagHeadersEndHeaders) == 0 {
			return fmt.Errorf("%w: a head in several frames", ErrHTTP2) // which the Framer would wait for
		}
		frame, err := h.framer.ReadFrame()
		if err == nil {
			err = h.take(frame)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrHTTP2, err)
		}
	}
}

func (h *HTTP2) take(frame http2.Frame) error {
	if _, ok := frame.(*http2.SettingsFrame); !ok && !h.hasSettings {
		return fmt.Errorf("%v before the server's SETTINGS", frame)
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		h.hasSettings = true
		if size, ok := f.Value(http2.SettingHeaderTableSize); ok {
			h.encoder.SetMaxDynamicTableSizeLimit(size)
		}
		if n, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
			h.MaxStreams = n
		}
		return h.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return h.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		h.GoAway = &http2.GoAwayFrame{LastStreamID: f.LastStreamID, ErrCode: f.ErrCode}
	case *http2.WindowUpdateFrame, *http2.UnknownFrame:
	case *http2.MetaHeadersFrame:
		return h.streams[f.StreamID].takeHead(f)
	case *http2.DataFrame:
		return h.takeData(f)
	case *http2.RSTStreamFrame:
		s := h.streams[f.StreamID]
		if s == nil {
			return fmt.Errorf("%v, of a stream that there never was", f)
		}
		s.end(http2.StreamError{StreamID: f.StreamID, Code: f.ErrCode})
	default:
		return fmt.Errorf("%v", f)
	}
	return nil
}

func (h *HTTP2) takeData(f *http2.DataFrame) error {
	s, n := h.streams[f.StreamID], int(f.Length)
	switch {
	case s == nil || s.Status == 0 || s.err != nil:
		return fmt.Errorf("%v, of a stream that is not open", f)
	case n != len(f.Data()):
		return fmt.Errorf("%v, padded", f)
	case n > s.window || n > h.window:
		return fmt.Errorf("%v, with windows of %d and %d bytes", f, s.window, h.window)
	}
	s.window -= n
	h.window -= n
	if s.abandoned {
		h.giveBack(n)
	} else {
		s.body = append(s.body, f.Data()...)
	}
	if f.StreamEnded() {
		s.end(io.EOF)
	}
	return nil
}

// giveBack lets the server send n bytes more on all streams.
func (h *HTTP2) giveBack(n int) {
	if h.owed += n; h.owed > defaultWindow/4 {
		h.framer.WriteWindowUpdate(0, uint32(h.owed))
		h.window += h.owed
		h.owed = 0
	}
}

// Stream is one request of an HTTP2 and its answer.
type Stream struct {
	ID        uint32
	Status    int // 0 until the answer's head has come
	Header    http.Header
	conn      *HTTP2
	body      []byte // has come and was not read
	window    int    // what the server may send
	owed      int    // what it may send more, and was not told yet
	err       error  // why nothing more will come
	abandoned bool
}

func (s *Stream) takeHead(f *http2.MetaHeadersFrame) error {
	switch {
	case s == nil || s.err != nil:
		return fmt.Errorf("%v, of a stream that is not open", f)
	case s.Status != 0:
		return fmt.Errorf("%v, a second head", f)
	}
	var err error
	if s.Status, err = strconv.Atoi(f.PseudoValue("status")); err != nil {
		return err
	}
	s.Header = make(http.Header)
	for _, field := range f.RegularFields() {
		s.Header.Add(field.Name, field.Value)
	}
	if f.StreamEnded() {
		s.end(io.EOF)
	}
	return nil
}

func (s *Stream) end(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Read reads what has come of the answer's body, and lets the server send as much more. With
// neither bytes nor an error, more is to come.
func (s *Stream) Read(p []byte) (n int, err error) {
	n = copy(p, s.body)
	s.body = s.body[n:]
	if n == 0 {
		return 0, s.err
	}
	s.conn.giveBack(n)
	if s.owed += n; s.owed > int(s.conn.each)/4 && s.err == nil {
		s.conn.framer.WriteWindowUpdate(s.ID, uint32(s.owed))
		s.window += s.owed
		s.owed = 0
	}
	return n, nil
}

// isReadable tells whether Read returns something.
func (s *Stream) isReadable() bool { return len(s.body) > 0 || s.err != nil }

// Cancel resets the stream. What comes of it is dropped.
func (s *Stream) Cancel() {
	if s.err == nil {
		s.conn.framer.WriteRSTStream(s.ID, http2.ErrCodeCancel)
	}
	s.conn.giveBack(len(s.body))
	s.body, s.abandoned = nil, true
}
