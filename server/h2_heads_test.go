package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/channels"
	"millrace/internal/testenv"
)

// Ensure that a client may open as many streams at once as a connection may have, and resume all
// of them, though its socket takes only what the first of them have missed.
func TestH2ManyResumeAtOnce(t *testing.T) {
	const streams, events, size = DefaultMaxStreamsPerConnection, 20, 4000
	s, b := start(t, withTLS(t, Config{Loops: 1, AllowOrigins: []string{"https://*.example.org"}}), channels.Options{History: events})
	for i := range events {
		publish(t, b, "/x", fmt.Sprint(i, strings.Repeat(" ", size)), 0)
	}
	raw, err := net.Dial("tcp", s.TLSAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&out, conn)
	f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	f.WriteWindowUpdate(0, 1<<30)
	encoder := hpack.NewEncoder(&block)
	for i := range streams {
		block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/x"},
			{"origin", fmt.Sprintf("https://%s.example.org", strings.Repeat("x", 60))}, {"last-event-id", channels.Earliest}} {
			encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	}
	if _, err := io.Copy(conn, &out); err != nil { // all in one record
		t.Fatal(err)
	}
	testenv.Eventually(t, "the socket is full", func() bool { return s.Stats().Behind > streams/2 })
	left := streams * events
	for left > 0 {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("with %d events to come: %v; %v", left, err, s.Stats().Closed)
		}
		if data, ok := frame.(*http2.DataFrame); ok {
			left -= bytes.Count(data.Data(), []byte("data: "))
		}
	}
}
