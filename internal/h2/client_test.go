package h2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/httpparse"
)

// client is the other side of a connection: golang.org/x/net's Framer, which writes what it is
// told to, right or wrong.
type client struct {
	bytes.Buffer
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// newClient makes a client that has sent its preface and settings.
func newClient() *client {
	c := silentClient()
	c.WriteString(preface)
	c.WriteSettings()
	return c
}

// silentClient makes a client that has sent nothing.
func silentClient() *client {
	c := &client{}
	c.Framer = http2.NewFramer(&c.Buffer, nil)
	c.AllowIllegalWrites = true
	c.encoder = hpack.NewEncoder(&c.block)
	return c
}

// obey has the client use no table any more, and say that it has our settings.
func (c *client) obey() {
	c.encoder.SetMaxDynamicTableSize(0)
	c.WriteSettingsAck()
}

// encode returns a header block of fields, each as "name: value".
func (c *client) encode(fields ...string) []byte {
	c.block.Reset()
	for _, f := range fields {
		name, value, _ := strings.Cut(f[1:], ": ")
		c.encoder.WriteField(hpack.HeaderField{Name: f[:1] + name, Value: value})
	}
	return slices.Clone(c.block.Bytes())
}

// getFields are the fields of a request for a path, and more.
func getFields(path string, more ...string) []string {
	return append([]string{":method: GET", ":scheme: https", ":authority: h", ":path: " + path}, more...)
}

// get asks for a path, on a stream that the client has ended.
func (c *client) get(id uint32, path string, more ...string) {
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, EndHeaders: true, BlockFragment: c.encode(getFields(path, more...)...)})
}

// send sends a header block of fields, on a stream that the client goes on with.
func (c *client) send(id uint32, fields ...string) {
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, BlockFragment: c.encode(fields...)})
}

// reporter is what testing and rapid have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// server is a connection as an event loop has it, with one Reader, and what it was told.
type server struct {
	reader  *Reader
	conn    Conn
	table   *Table
	streams map[uint32]*Stream
	answers bool // requests are answered at once, without content
	travels bool // once the client has acknowledged the settings, each piece comes to another process
	rest    []byte
	told    []string // events, frames that were sent, and last the error
	err     error
}

func newServer() *server {
	s := &server{reader: NewReader(Limits{Streams: 3}), streams: make(map[uint32]*Stream)}
	s.conn.Open(0)
	s.table = s.reader.NewTable()
	return s
}

func (s *server) Stream(id uint32) *Stream { return s.streams[id] }

func (s *server) All() iter.Seq[*Stream] { return maps.Values(s.streams) }

// travel has s go on as a process does that knows of it what can be told, and no more.
func (s *server) travel(t reporter) {
	t.Helper()
	next := &server{reader: NewReader(s.reader.limits), streams: make(map[uint32]*Stream), answers: s.answers, travels: true, told: s.told}
	if err := next.conn.Restore(s.conn.AppendState(nil)); err != nil || next.conn != s.conn {
		t.Fatalf("a connection is restored as %+v, want %+v: %v", next.conn, s.conn, err)
	}
	for id, before := range s.streams {
		stream := new(Stream)
		if err := next.conn.RestoreStream(stream, before.AppendState(nil)); err != nil || *stream != *before {
			t.Fatalf("a stream is restored as %+v, want %+v: %v", *stream, *before, err)
		}
		next.streams[id] = stream
	}
	next.rest = slices.Clone(s.rest)
	*s = *next
}

// feed takes in more bytes, as a loop does, and adds to told.
func (s *server) feed(t reporter, in []byte) {
	t.Helper()
	if s.travels && s.err == nil && s.conn.Acknowledged() {
		s.travel(t)
	}
	s.rest = append(s.rest, in...)
	for s.err == nil {
		ev, n, err := s.reader.Next(&s.conn, s.table, s, 0, s.rest)
		s.rest = s.rest[n:]
		if err != nil {
			s.reader.Out = s.conn.AppendGoAway(s.reader.Out, err)
			s.err = err
		}
		s.told = append(s.told, s.sent(t)...)
		if err == nil {
			s.on(t, ev)
			s.told = append(s.told, s.sent(t)...)
		}
		if err == nil && ev.Kind == NeedMore {
			break
		}
	}
	if s.conn.Acknowledged() {
		s.table = nil
	}
	maxBlock := s.reader.maxBlock
	if most := maxBlock + (1+maxContinuations(maxBlock))*HeaderLen; len(s.rest) > most && s.err == nil {
		t.Errorf("a rest of %d bytes, want %d at most", len(s.rest), most)
	}
	if s.err == nil && s.conn.Streams() != len(s.streams) {
		t.Errorf("%d streams are counted, and %d are open", s.conn.open, len(s.streams))
	}
}

// on does what a loop does for an event.
func (s *server) on(t reporter, ev Event) {
	switch ev.Kind {
	case Opened:
		told := fmt.Sprintf("opened %d %s", ev.ID, describe(ev.Request))
		if ev.Err != nil {
			told = fmt.Sprintf("opened %d refused: %v", ev.ID, ev.Err)
		}
		s.told = append(s.told, told)
		stream := ev.Stream
		if stream.ID() != ev.ID {
			t.Errorf("stream %d was opened with the state of %d", ev.ID, stream.ID())
		}
		if s.answers {
			s.reader.Out = s.conn.AppendHead(s.reader.Out, &stream, NewEncoder().AppendBlock(nil, []byte("HTTP/1.1 404 Not Found\r\n")), true)
		} else {
			s.streams[ev.ID] = &stream
		}
	case Closed:
		if s.streams[ev.ID] == nil {
			t.Errorf("stream %d was closed, and is not open", ev.ID)
		}
		delete(s.streams, ev.ID)
		s.told = append(s.told, fmt.Sprintf("closed %d: %v", ev.ID, ev.Err))
	case Refused:
		s.told = append(s.told, fmt.Sprintf("refused %d: %v", ev.ID, ev.Err))
	case Writable:
		s.told = append(s.told, fmt.Sprintf("writable %d", ev.ID))
	}
}

// sent empties Out, and returns its frames as texts.
func (s *server) sent(t reporter) []string {
	frames := framesIn(t, s.reader.Out)
	s.reader.Out = s.reader.Out[:0]
	return frames
}

// framesIn reads frames by golang.org/x/net's Framer.
func framesIn(t reporter, out []byte) (frames []string) {
	t.Helper()
	reader := http2.NewFramer(io.Discard, bytes.NewReader(out))
	reader.SetMaxReadFrameSize(MaxPayload)
	reader.ReadMetaHeaders = hpack.NewDecoder(0, nil)
	for {
		f, err := reader.ReadFrame()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatalf("frames %x cannot be read: %v", out, err)
		}
		frames = append(frames, "> "+frameText(f))
	}
}

// frameText is a frame as a text.
func frameText(f http2.Frame) string {
	h := f.Header()
	end := ""
	if (h.Type == http2.FrameData || h.Type == http2.FrameHeaders) && h.Flags.Has(http2.FlagDataEndStream) {
		end = " end"
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		var settings []string
		f.ForeachSetting(func(s http2.Setting) error { settings = append(settings, s.String()); return nil })
		return strings.Join(settings, " ")
	case *http2.PingFrame:
		return fmt.Sprintf("PING ack=%v %s", f.IsAck(), f.Data[:])
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", h.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v %s", f.LastStreamID, f.ErrCode, f.DebugData())
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", h.StreamID, f.Increment)
	case *http2.DataFrame:
		return fmt.Sprintf("DATA %d%s %q", h.StreamID, end, f.Data())
	case *http2.MetaHeadersFrame:
		text := fmt.Sprintf("HEADERS %d%s", h.StreamID, end)
		for _, field := range f.Fields {
			text += fmt.Sprintf(" %s=%s", field.Name, field.Value)
		}
		return text
	}
	return fmt.Sprint(f)
}

// describe is a request as a text.
func describe(r *httpparse.Request) string {
	text := fmt.Sprintf("%s %s host=%s", r.Method, r.Target, r.Host)
	for _, h := range r.Headers() {
		text += fmt.Sprintf(" %s=%s", h.Name, h.Value)
	}
	return text
}

// tell feeds a new server with bytes, and returns what it is told.
func tell(t reporter, in []byte) []string {
	s := newServer()
	s.feed(t, slices.Clone(in))
	return s.told
}
