package abuse

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/internal/testenv"
)

// hostile is a client of HTTP/2 that sends what it likes.
type hostile struct {
	*http2.Framer
	conn  *tls.Conn
	out   *bufio.Writer
	block bytes.Buffer
	hpack *hpack.Encoder

	newest uint32 // stream
}

// hostile opens a connection of HTTP/2, and sends the preface and settings.
func (v *victim) hostile() *hostile {
	v.t.Helper()
	raw, err := net.Dial("tcp", v.secure)
	if err != nil {
		v.t.Fatal(err)
	}
	v.hold(raw)
	raw.SetDeadline(time.Now().Add(patience))
	h := &hostile{conn: tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})}
	h.out = bufio.NewWriterSize(h.conn, 16<<10)
	h.Framer = http2.NewFramer(h.out, h.conn)
	h.AllowIllegalWrites = true
	h.hpack = hpack.NewEncoder(&h.block)
	io.WriteString(h.out, http2.ClientPreface)
	h.WriteSettings()
	return h
}

// encode returns the header block of a request, with a header if that is not empty.
func (h *hostile) encode(path, name, value string) []byte {
	h.block.Reset()
	for _, field := range []string{":method GET", ":scheme https", ":authority localhost", ":path " + path} {
		name, value, _ := strings.Cut(field, " ")
		h.hpack.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	if name != "" {
		h.hpack.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return h.block.Bytes()
}

// get asks for a path by the n-th stream.
func (h *hostile) get(n int, path string, end bool) {
	h.newest = max(h.newest, stream(n))
	h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream(n), EndStream: end, EndHeaders: true, BlockFragment: h.encode(path, "", "")})
}

// stream is the number of the n-th stream of a connection.
func stream(n int) uint32 { return uint32(2*n + 1) }

// answered reads until the connection ends, and returns the last GOAWAY and how many bytes of
// frames came.
func (h *hostile) answered() (code http2.ErrCode, told bool, size int) {
	for {
		f, err := h.ReadFrame()
		if err != nil {
			return code, told, size
		}
		size += int(f.Header().Length)
		if end, ok := f.(*http2.GoAwayFrame); ok {
			code, told = end.ErrCode, true
		}
	}
}

// floods are what a hostile client sends over and over, its n-th time.
var floods = []struct {
	name string
	send func(h *hostile, n int)
}{
	{"PING (CVE-2019-9512)", func(h *hostile, n int) { h.WritePing(false, [8]byte{}) }},
	{"SETTINGS (CVE-2019-9515)", func(h *hostile, n int) { h.WriteSettings() }},
	{"PRIORITY (CVE-2019-9513)", func(h *hostile, n int) { h.WritePriority(stream(n), http2.PriorityParam{}) }},
	{"WINDOW_UPDATE", func(h *hostile, n int) { h.WriteWindowUpdate(0, 1) }},
	{"empty DATA (CVE-2019-9518)", func(h *hostile, n int) {
		if n == 0 {
			h.get(0, "/attacked", false)
		}
		h.WriteData(1, false, nil)
	}},
	{"CONTINUATION (CVE-2024-27316)", func(h *hostile, n int) {
		if n == 0 {
			h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.encode("/attacked", "", "")})
		}
		h.WriteContinuation(1, false, []byte("\x00\x01x\x01y"))
	}},
	{"rapid reset (CVE-2023-44487)", func(h *hostile, n int) {
		h.get(n, "/attacked", true)
		h.WriteRSTStream(stream(n), http2.ErrCodeCancel)
	}},
	{"reset by windows (CVE-2025-8671)", func(h *hostile, n int) {
		h.get(n, "/attacked", true)
		h.WriteWindowUpdate(stream(n), 1<<31-1)
	}},
	{"reset by a malformed request (CVE-2019-9514)", func(h *hostile, n int) {
		h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream(n), EndStream: true, EndHeaders: true, BlockFragment: h.encode("/attacked", "te", "gzip")})
	}},
	{"reset by too many streams", func(h *hostile, n int) { h.get(n, "/attacked", true) }},
	{"an HPACK bomb", func(h *hostile, n int) {
		block := append(h.encode("/attacked", "x", strings.Repeat("x", 3000)), strings.Repeat("\xbe", 10000)...)
		h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream(n), EndStream: true, EndHeaders: true, BlockFragment: block})
	}},
}

// Ensure that each kind of flood over HTTP/2 is refused before it has cost much, and that its
// client is told why.
func TestHTTP2Floods(t *testing.T) {
	v := start(t, setup{flags: []string{"--drain", "0s"}})
	v.bears(len(floods)*(64<<10)+logRoom, func() {
		for _, flood := range floods {
			h := v.hostile()
			over := make(chan struct{})
			go func() {
				defer close(over)
				for n := range 20000 {
					flood.send(h, n)
					if n%50 == 0 && h.out.Flush() != nil { // so that some go in a record together
						return
					}
				}
				h.out.Flush()
			}()
			code, told, size := h.answered()
			if !told || code != http2.ErrCodeEnhanceYourCalm || size > 64<<10 {
				t.Errorf("%s: GOAWAY %v with %v, after %d bytes; want it with %v after %d at most", flood.name, told, code, size, http2.ErrCodeEnhanceYourCalm, 64<<10)
			}
			h.conn.NetConn().Close()
			<-over
		}
		testenv.Eventually(t, "their streams have gone", func() bool {
			answer, _ := request(v.admin, "PUBLISH /attacked x\r\nQUIT\r\n", patience)
			return strings.HasPrefix(answer, ":0\r\n")
		})
	})
	v.stop()
}

// Ensure that a client that asks and reads nothing is ended, however it asks, before its answers
// fill the memory (CVE-2019-9517).
func TestHTTP2AnswersNotRead(t *testing.T) {
	v := start(t, setup{flags: []string{"--drain", "0s"}})
	const clients, perClient = 4, 256 << 10
	v.bears(clients*perClient+logRoom, func() {
		all(clients, func(i int) {
			h := v.hostile()
			h.conn.NetConn().(*net.TCPConn).SetReadBuffer(16 << 10)
			for n := range 1 << 20 {
				h.get(n, "/favicon.ico", true)
				if n%8 == 0 && h.out.Flush() != nil {
					return
				}
			}
			t.Error("2^20 requests were taken of a client that reads nothing")
		})
	})
	v.stop()
}

// Ensure that nothing that a client sends over HTTP/2 does harm: frames that are right and wrong,
// in any order, while messages come that its windows do not take.
func TestHTTP2Anything(t *testing.T) {
	v := start(t, setup{flags: []string{"--drain", "0s", "--keepalive", "1s", "--header-timeout", "2s"}})
	const clients, channel = 8, "/anything"
	connections := 20
	if testenv.Full() {
		connections = 500
	}
	v.bears(clients*(1<<20)+logRoom, func() {
		publisher := v.publisher()
		defer publisher.Close()
		all(clients, func(i int) {
			for k := range connections {
				h := v.hostile()
				go h.answered()
				random := rand.New(rand.NewPCG(uint64(i), uint64(k)))
				for n := range random.IntN(200) {
					h.sendAnything(random, n, channel)
					if random.IntN(4) == 0 && h.out.Flush() != nil {
						break
					}
				}
				h.out.Flush()
				if i == 0 {
					fmt.Fprintf(publisher, "PUBLISH %s %s\r\n", channel, strings.Repeat("x", random.IntN(30000)))
					fmt.Fscanln(publisher)
				}
				h.conn.NetConn().Close()
			}
		})
	})
	v.stop()
}

// sendAnything sends the n-th frame, mostly one that is right.
func (h *hostile) sendAnything(random *rand.Rand, n int, channel string) {
	id, end := stream(random.IntN(n+1)), random.IntN(2) == 0 // of one that is open, or was
	path := []string{channel, channel + "?channel=/b", "/favicon.ico", "/%", "/healthz"}[random.IntN(5)]
	switch kind := random.IntN(1000); {
	case kind < 400 || n == 0:
		h.get(n, path, end)
	case kind < 500:
		h.newest = stream(n)
		h.WriteHeaders(http2.HeadersFrameParam{StreamID: h.newest, EndStream: end, BlockFragment: h.encode(path, "last-event-id", "x-1")})
		h.WriteContinuation(stream(n), true, nil)
	case kind < 600:
		h.WriteRSTStream(h.below(id), http2.ErrCodeCancel)
	case kind < 700:
		h.WriteWindowUpdate(h.below(id), uint32(1+random.IntN(100000)))
	case kind < 800:
		h.WriteWindowUpdate(0, uint32(1+random.IntN(100000)))
	case kind < 900:
		h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(random.IntN(70000))})
	case kind < 980:
		h.WritePing(false, [8]byte{})
	case kind < 985:
		h.WriteData(h.below(id), end, make([]byte, random.IntN(100)))
	case kind < 990:
		h.WriteRawFrame(http2.FrameType(random.IntN(16)), http2.Flags(random.IntN(256)), id, make([]byte, random.IntN(20)))
	case kind < 995:
		h.out.Flush()
		h.conn.Write([]byte("\x00\x00"))
	default:
		h.get(0, path, end) // again
	}
}

// below returns id, or the newest stream where that is lower.
func (h *hostile) below(id uint32) uint32 { return min(id, h.newest) }
