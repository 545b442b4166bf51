package h2

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// conversations are what a client sends after its preface and settings, and what a server is
// told of it and answers, after its acknowledgement of these.
var conversations = []struct {
	name    string
	answers bool
	send    func(c *client)
	want    []string
}{
	{"a request", false, func(c *client) { c.get(1, "/a?b", "accept: text/event-stream") },
		[]string{"opened 1 GET /a?b host=h accept=text/event-stream"}},
	{"requests, with a table and without", false, func(c *client) {
		c.get(1, "/a", "x: y")
		c.get(3, "/a", "x: y")
		c.obey()
		c.get(5, "/a", "x: y")
	}, []string{"opened 1 GET /a host=h x=y", "opened 3 GET /a host=h x=y", "opened 5 GET /a host=h x=y"}},
	{"a table after the acknowledgement", false, func(c *client) {
		c.WriteSettingsAck()
		c.get(1, "/a", "x: y")
		c.get(3, "/a", "x: y")
	}, []string{"opened 1 GET /a host=h x=y", "> GOAWAY 1 COMPRESSION_ERROR a header block that cannot be decoded"}},
	{"cookies one by one", false, func(c *client) { c.get(1, "/", "cookie: a=b", "x: y", "cookie: c=d", "cookie: e=f") },
		[]string{"opened 1 GET / host=h x=y cookie=a=b; c=d; e=f"}},
	{"a block in pieces, padded, with a priority", false, func(c *client) {
		block := c.encode(getFields("/a")...)
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: block[:2], PadLength: 9, Priority: http2.PriorityParam{StreamDep: 7, Weight: 3}})
		c.WriteContinuation(1, false, nil)
		c.WriteContinuation(1, false, block[2:3])
		c.WriteContinuation(1, true, block[3:])
		c.get(3, "/b")
	}, []string{"opened 1 GET /a host=h", "opened 3 GET /b host=h"}},
	{"an answer that is forgotten while content comes", true, func(c *client) {
		c.send(1, getFields("/", "content-length: 6")...)
		c.WriteData(1, false, []byte("abc"))
		c.WriteData(1, true, []byte("def"))
	}, []string{"opened 1 GET / host=h content-length=6", "> HEADERS 1 end :status=404"}},
	{"more content than announced", true, func(c *client) {
		c.send(1, getFields("/", "content-length: 1")...)
		c.WriteData(1, true, []byte("test"))
		c.WriteData(1, true, []byte("ignored"))
	}, []string{"opened 1 GET / host=h content-length=1", "> HEADERS 1 end :status=404", "> RST_STREAM 1 PROTOCOL_ERROR", "refused 1: HTTP/2: more content than announced"}},
	{"less content than announced, on a stream", false, func(c *client) {
		c.send(1, getFields("/", "content-length: 5")...)
		c.WriteData(1, true, []byte("test"))
	}, []string{"opened 1 GET / host=h content-length=5", "> RST_STREAM 1 PROTOCOL_ERROR", "closed 1: HTTP/2: less content than announced"}},
	{"two answers while content comes", true, func(c *client) {
		c.send(1, getFields("/")...)
		c.send(3, getFields("/")...)
		c.WriteData(1, true, []byte("ignored"))
		c.WriteData(3, true, nil)
	}, []string{"opened 1 GET / host=h", "> HEADERS 1 end :status=404", "> RST_STREAM 1 NO_ERROR", "opened 3 GET / host=h", "> HEADERS 3 end :status=404"}},
	{"content beyond the window of its stream", false, func(c *client) {
		c.send(1, getFields("/")...)
		for range 5 {
			c.WriteData(1, false, make([]byte, 16000))
		}
	}, []string{"opened 1 GET / host=h", "> WINDOW_UPDATE 0 48000", "> RST_STREAM 1 FLOW_CONTROL_ERROR", "closed 1: HTTP/2: more content than the window of the stream"}},
	{"trailers", false, func(c *client) {
		c.send(1, getFields("/")...)
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true, BlockFragment: c.encode("x: y")})
		c.WriteRSTStream(1, http2.ErrCodeCancel)
	}, []string{"opened 1 GET / host=h", "closed 1: <nil>"}},
	{"trailers that go on", false, func(c *client) {
		c.send(1, getFields("/")...)
		c.send(1, "x: y")
	}, []string{"opened 1 GET / host=h", "> RST_STREAM 1 PROTOCOL_ERROR", "closed 1: HTTP/2: trailers that are not the end"}},
	{"trailers with a pseudo-header field", false, func(c *client) {
		c.send(1, getFields("/")...)
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true, BlockFragment: c.encode(":path: /")})
	}, []string{"opened 1 GET / host=h", "> RST_STREAM 1 PROTOCOL_ERROR", "closed 1: HTTP/2: a pseudo-header field that no request has"}},
	{"an announced content that is too long to be counted", false, func(c *client) {
		c.send(1, getFields("/", "content-length: 65537")...)
		c.WriteData(1, true, []byte("test"))
	}, []string{"opened 1 GET / host=h content-length=65537"}},
	{"too many streams", false, func(c *client) {
		c.get(1, "/")
		c.get(3, "/")
		c.get(5, "/")
		c.get(7, "/")
		c.WriteRSTStream(3, http2.ErrCodeCancel)
		c.get(9, "/a")
	}, []string{"opened 1 GET / host=h", "opened 3 GET / host=h", "opened 5 GET / host=h",
		"> RST_STREAM 7 REFUSED_STREAM", "refused 7: HTTP/2: more streams than a connection may have", "closed 3: <nil>", "opened 9 GET /a host=h"}},
	{"windows", false, func(c *client) {
		c.get(1, "/")
		c.WriteWindowUpdate(0, 1)
		c.WriteWindowUpdate(1, 1<<31-1-65535)
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		c.WriteWindowUpdate(1, 65536)
	}, []string{"opened 1 GET / host=h", "writable 0", "writable 1", "> SETTINGS ack", "writable 0", "> RST_STREAM 1 FLOW_CONTROL_ERROR", "closed 1: HTTP/2: a window of more than 2^31-1 bytes"}},
	{"settings that open a window too far", false, func(c *client) {
		c.get(1, "/")
		c.WriteWindowUpdate(1, 1<<31-1-65535)
		c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65536})
	}, []string{"opened 1 GET / host=h", "writable 1", "> SETTINGS ack", "> GOAWAY 1 FLOW_CONTROL_ERROR a window of more than 2^31-1 bytes"}},
	{"a window that opens by nothing", false, func(c *client) {
		c.get(1, "/")
		c.WriteWindowUpdate(1, 0)
	}, []string{"opened 1 GET / host=h", "> RST_STREAM 1 PROTOCOL_ERROR", "closed 1: HTTP/2: a WINDOW_UPDATE by 0"}},
	{"what comes late", true, func(c *client) {
		c.get(1, "/")
		c.WriteWindowUpdate(1, 1)
		c.WriteRSTStream(1, http2.ErrCodeCancel)
	}, []string{"opened 1 GET / host=h", "> HEADERS 1 end :status=404"}},
	{"a ping and its like", false, func(c *client) {
		c.WritePing(false, [8]byte([]byte("12345678")))
		c.WritePing(true, [8]byte{})
		c.WriteGoAway(0, http2.ErrCodeNo, []byte("bye"))
		c.WriteRawFrame(0x10, 0xff, 5, []byte("PRIORITY_UPDATE"))
		c.WritePriority(9, http2.PriorityParam{StreamDep: 3})
	}, []string{"> PING ack=true 12345678"}},
}

func TestConversations(t *testing.T) {
	for _, c := range conversations {
		t.Run(c.name, func(t *testing.T) {
			peer, s := newClient(), newServer()
			s.answers = c.answers
			c.send(peer)
			s.feed(t, peer.Bytes())
			if want := append([]string{"> SETTINGS ack"}, c.want...); !slices.Equal(s.told, want) {
				t.Errorf("the server was told, and answered,\n%s\nwant\n%s", strings.Join(s.told, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// faults are what ends a connection, after the preface and settings.
var faults = []struct {
	send func(c *client)
	want string // the last frame that is sent
}{
	{func(c *client) { c.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 16385)) }, "0 FRAME_SIZE_ERROR a frame of more than 16384 bytes"},
	{func(c *client) { c.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) }, "0 FRAME_SIZE_ERROR a PING that is not of 8 bytes"},
	{func(c *client) { c.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8)) }, "0 PROTOCOL_ERROR a PING of a stream"},
	{func(c *client) { c.WriteRawFrame(http2.FrameSettings, 0, 1, nil) }, "0 PROTOCOL_ERROR a SETTINGS of a stream"},
	{func(c *client) { c.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) }, "0 FRAME_SIZE_ERROR a SETTINGS of a wrong length"},
	{func(c *client) { c.WriteRawFrame(http2.FrameSettings, 1, 0, make([]byte, 6)) }, "0 FRAME_SIZE_ERROR a SETTINGS of a wrong length"},
	{func(c *client) { c.WriteSettings(http2.Setting{ID: 2, Val: 2}) }, "0 PROTOCOL_ERROR a setting that is neither 0 nor 1"},
	{func(c *client) { c.WriteSettings(http2.Setting{ID: 9, Val: 2}) }, "0 PROTOCOL_ERROR a setting that is neither 0 nor 1"},
	{func(c *client) { c.WriteSettings(http2.Setting{ID: 4, Val: 1 << 31}) }, "0 FLOW_CONTROL_ERROR a window of more than 2^31-1 bytes"},
	{func(c *client) { c.WriteSettings(http2.Setting{ID: 5, Val: 16383}) }, "0 PROTOCOL_ERROR a frame size that is not 2^14 to 2^24-1"},
	{func(c *client) { c.WriteSettings(http2.Setting{ID: 5, Val: 1 << 24}) }, "0 PROTOCOL_ERROR a frame size that is not 2^14 to 2^24-1"},
	{func(c *client) { c.WriteGoAway(0, 0, nil); c.WriteRawFrame(http2.FrameGoAway, 0, 0, make([]byte, 7)) }, "0 FRAME_SIZE_ERROR a GOAWAY of less than 8 bytes"},
	{func(c *client) { c.WriteRawFrame(http2.FrameGoAway, 0, 1, make([]byte, 8)) }, "0 PROTOCOL_ERROR a GOAWAY of a stream"},
	{func(c *client) { c.WriteRawFrame(http2.FramePriority, 0, 0, make([]byte, 5)) }, "0 PROTOCOL_ERROR a PRIORITY of no stream"},
	{func(c *client) { c.WriteRawFrame(http2.FramePriority, 0, 1, make([]byte, 4)) }, "0 FRAME_SIZE_ERROR a PRIORITY that is not of 5 bytes"},
	{func(c *client) { c.WritePriority(3, http2.PriorityParam{StreamDep: 3}) }, "0 PROTOCOL_ERROR a stream that depends on itself"},
	{func(c *client) { c.WriteRSTStream(1, 0) }, "0 PROTOCOL_ERROR a RST_STREAM of no stream"},
	{func(c *client) { c.WriteRSTStream(0, 0) }, "0 PROTOCOL_ERROR a RST_STREAM of no stream"},
	{func(c *client) { c.get(1, "/"); c.WriteRawFrame(http2.FrameRSTStream, 0, 1, make([]byte, 3)) }, "1 FRAME_SIZE_ERROR a RST_STREAM that is not of 4 bytes"},
	{func(c *client) { c.WriteRawFrame(http2.FrameWindowUpdate, 0, 0, make([]byte, 3)) }, "0 FRAME_SIZE_ERROR a WINDOW_UPDATE that is not of 4 bytes"},
	{func(c *client) { c.WriteWindowUpdate(0, 0) }, "0 PROTOCOL_ERROR a WINDOW_UPDATE by 0"},
	{func(c *client) { c.WriteWindowUpdate(1, 1) }, "0 PROTOCOL_ERROR a WINDOW_UPDATE of no stream"},
	{func(c *client) { c.get(3, "/"); c.WriteWindowUpdate(1, 0) }, "3 PROTOCOL_ERROR a WINDOW_UPDATE by 0"},
	{func(c *client) { c.WriteWindowUpdate(0, 1<<31-1) }, "0 FLOW_CONTROL_ERROR a window of more than 2^31-1 bytes"},
	{func(c *client) {
		c.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
	}, "0 PROTOCOL_ERROR a PUSH_PROMISE, or a CONTINUATION outside of a header block"},
	{func(c *client) { c.WriteContinuation(1, true, nil) }, "0 PROTOCOL_ERROR a PUSH_PROMISE, or a CONTINUATION outside of a header block"},
	{func(c *client) { c.WriteData(1, true, nil) }, "0 PROTOCOL_ERROR a DATA of no stream"},
	{func(c *client) { c.WriteData(0, true, nil) }, "0 PROTOCOL_ERROR a DATA of no stream"},
	{func(c *client) { c.get(1, "/"); c.WriteData(1, true, nil) }, "1 STREAM_CLOSED a DATA of a stream that its client has ended"},
	{func(c *client) { c.get(1, "/"); c.WriteRSTStream(1, 0); c.WriteData(1, true, nil) }, "1 STREAM_CLOSED a DATA of a stream that its client has ended"},
	{func(c *client) { c.send(1, getFields("/")...); c.WriteRSTStream(1, 0); c.WriteData(1, true, nil) }, "1 STREAM_CLOSED a DATA of a stream that its client has ended"},
	{func(c *client) {
		c.send(1, getFields("/")...)
		c.WriteRawFrame(http2.FrameData, 8, 1, []byte("\x04abc"))
	}, "1 PROTOCOL_ERROR padding that is longer than its frame"},
	{func(c *client) { c.send(1, getFields("/")...); c.WriteRawFrame(http2.FrameData, 8, 1, nil) }, "1 PROTOCOL_ERROR padding that is longer than its frame"},
	{func(c *client) { c.get(1, "/"); c.get(1, "/") }, "1 STREAM_CLOSED a HEADERS of a stream that its client has ended"},
	{func(c *client) { c.get(5, "/"); c.get(3, "/") }, "5 PROTOCOL_ERROR a HEADERS of a lower stream than the one before"},
	{func(c *client) { c.get(2, "/") }, "0 PROTOCOL_ERROR a HEADERS of a stream that no client may open"},
	{func(c *client) { c.get(0, "/") }, "0 PROTOCOL_ERROR a HEADERS of a stream that no client may open"},
	{func(c *client) { c.WriteRawFrame(http2.FrameHeaders, 0x24, 1, make([]byte, 4)) }, "0 FRAME_SIZE_ERROR a HEADERS frame that is too short for its priority"},
	{func(c *client) { c.WriteRawFrame(http2.FrameHeaders, 0x24, 1, []byte("\x00\x00\x00\x01\x00")) }, "0 PROTOCOL_ERROR a stream that depends on itself"},
	{func(c *client) { c.WriteRawFrame(http2.FrameHeaders, 0x0c, 1, []byte("\x01")) }, "0 PROTOCOL_ERROR padding that is longer than its frame"},
	{func(c *client) { c.WriteRawFrame(http2.FrameHeaders, 5, 1, []byte("\x40")) }, "0 COMPRESSION_ERROR a header block that cannot be decoded"},
	{func(c *client) { c.WriteRawFrame(http2.FrameHeaders, 5, 1, []byte("\xff\xff\xff\xff\x0f")) }, "0 COMPRESSION_ERROR a header block that cannot be decoded"},
	{func(c *client) { c.WriteRawFrame(http2.FrameHeaders, 1, 1, nil); c.WritePing(false, [8]byte{}) }, "0 PROTOCOL_ERROR another frame within a header block"},
	{func(c *client) { c.WriteRawFrame(http2.FrameHeaders, 1, 1, nil); c.WriteContinuation(3, true, nil) }, "0 PROTOCOL_ERROR another frame within a header block"},
	{func(c *client) {
		c.WriteRawFrame(http2.FrameHeaders, 1, 1, nil)
		c.WriteRawFrame(http2.FrameContinuation, 0, 1, make([]byte, 16385))
	}, "0 FRAME_SIZE_ERROR a frame of more than 16384 bytes"},
	{func(c *client) {
		c.WriteRawFrame(http2.FrameHeaders, 1, 1, make([]byte, 16384))
		c.WriteRawFrame(http2.FrameContinuation, 0, 1, make([]byte, 16384))
		c.WriteRawFrame(http2.FrameContinuation, 0, 1, make([]byte, 1))
	}, "0 ENHANCE_YOUR_CALM a header block that is too long, or of too many frames"},
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		c := newClient()
		f.send(c)
		told := tell(t, c.Bytes())
		if got, want := told[len(told)-1], "> GOAWAY "+f.want; got != want {
			t.Errorf("the last frame of\n%s\nis %s; want %s", strings.Join(told, "\n"), got, want)
		}
	}
}

func TestPreface(t *testing.T) {
	for _, c := range []struct {
		send func(c *client)
		want string
	}{
		{func(c *client) { c.WriteString("GET / HTTP/1.1\r\n\r\n") }, "> GOAWAY 0 PROTOCOL_ERROR no preface"},
		{func(c *client) { c.WriteString("P\r") }, "> GOAWAY 0 PROTOCOL_ERROR no preface"},
		{func(c *client) { c.WriteString(preface[:23]) }, ""},
		{func(c *client) { c.WriteString(preface); c.WritePing(false, [8]byte{}) }, "> GOAWAY 0 PROTOCOL_ERROR another frame before the first SETTINGS"},
		{func(c *client) { c.WriteString(preface); c.WriteSettingsAck() }, "> GOAWAY 0 PROTOCOL_ERROR another frame before the first SETTINGS"},
		{func(c *client) { c.WriteString(preface); c.WriteSettings() }, "> SETTINGS ack"},
	} {
		peer := silentClient()
		c.send(peer)
		if got := strings.Join(tell(t, peer.Bytes()), "\n"); got != c.want {
			t.Errorf("after %q: %s; want %s", peer.Bytes(), got, c.want)
		}
	}
}

// Ensure that what still comes of streams is ignored that were reset by us, or opened after a
// GOAWAY of ours.
func TestIgnored(t *testing.T) {
	c, s := newClient(), newServer()
	for id := uint32(1); id <= 5; id += 2 {
		c.send(id, getFields("/")...)
	}
	s.feed(t, c.Next(c.Len()))
	s.reader.Out = s.conn.AppendReset(nil, s.streams[1], RefusedStream)
	delete(s.streams, 1)
	s.told = nil
	c.WriteData(1, true, []byte("ignored"))
	c.WriteWindowUpdate(1, 1)
	s.feed(t, c.Next(c.Len()))

	s.reader.Out = s.conn.AppendGoAway(s.reader.Out, nil)
	c.send(7, getFields("/")...)
	c.WriteData(7, true, []byte("ignored"))
	c.WriteWindowUpdate(7, 1)
	c.WriteRSTStream(7, http2.ErrCodeCancel)
	c.WriteWindowUpdate(5, 1)
	s.feed(t, c.Next(c.Len()))
	if want := []string{"> RST_STREAM 1 REFUSED_STREAM", "> GOAWAY 5 NO_ERROR ", "writable 5"}; !slices.Equal(s.told, want) {
		t.Errorf("the server was told, and sent, %q; want %q", s.told, want)
	}
}
