package bench

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Streams of HTTP/2, some on a connection, get every event of net/http, more of them than the
// windows have room for.
func TestStreamsOfHTTP2(t *testing.T) {
	const streams, events, size = 8, 22, 300_000
	certificate := testCertificate(t, H2)
	server, err := NewNetHTTP(certificate)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s, err := Open(trusting(Config{
		Addr: server.Addrs().Streams, Protocol: H2, PerConnection: 6, Streams: streams, Loops: 2, PayloadSize: size, Timeout: patience,
	}, certificate))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	publisher := newPoster("http://" + server.Addrs().Publish)
	defer publisher.Close()
	for n := range uint64(events) {
		if err := publisher.Publish([][]byte{AppendPayload(nil, n, size)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Await(events-1, patience); err != nil {
		t.Fatal(err)
	}
	if r := s.Report(); r.Open != streams || r.Ended != 0 || r.Events != streams*events {
		t.Errorf("%s, want %d streams with %d events each", r, streams, events)
	}
}

// Ensure that a server of HTTP/2 that does something else is refused, with the reason.
func TestHTTP2Refusals(t *testing.T) {
	stream := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
	}
	certificate := testCertificate(t, H2)
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		change  func(*Config)
		want    string
	}{
		{"status", http.NotFound, nil, "status 404"},
		{"type", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, nil, `"text/plain`},
		{"end", func(w http.ResponseWriter, _ *http.Request) { stream(w) }, nil, "END_STREAM"},
		{"reset", func(w http.ResponseWriter, _ *http.Request) { stream(w); panic(http.ErrAbortHandler) }, nil, "RST_STREAM"},
		{"garbled", func(w http.ResponseWriter, r *http.Request) {
			stream(w)
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, nil, ErrGarbled.Error()},
		{"another certificate", http.NotFound, func(cfg *Config) { cfg.Certificate = []byte("another") }, "not the server's"},
		{"an unknown certificate", http.NotFound, func(cfg *Config) { cfg.Certificate = nil }, "unknown authority"},
	} {
		server := httptest.NewUnstartedServer(c.handler)
		server.EnableHTTP2 = true
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		var err error
		if server.TLS, err = certificate.serverTLS(); err != nil {
			t.Fatal(err)
		}
		server.StartTLS()
		cfg := trusting(Config{Addr: server.Listener.Addr().String(), Protocol: H2, PerConnection: 2, Streams: 4, Timeout: patience}, certificate)
		if c.change != nil {
			c.change(&cfg)
		}
		s, err := Open(cfg)
		if err == nil { // it has ended since
			err = s.Await(0, patience)
			s.Close()
		}
		server.Close()
		if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %v and %q", c.name, err, ErrEnded, c.want)
		}
	}
	f := startFloor(t, 1, certificate) // which knows no HTTP/2
	_, err := Open(trusting(Config{Addr: f.Addr().String(), Protocol: H2, Timeout: patience}, certificate))
	if !errors.Is(err, ErrEnded) {
		t.Errorf("without HTTP/2: %v, want %v", err, ErrEnded)
	}
}

// Ensure that frames are understood in whatever pieces they come.
func TestFramesInPieces(t *testing.T) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "text/event-stream; charset=utf-8"}} {
		e.WriteField(f)
	}
	var wire []byte
	add := func(kind, flags byte, stream uint32, payload string) {
		wire = append(appendFrame(wire, kind, flags, stream, len(payload)), payload...)
	}
	add(frameHeaders, flagEndHeaders, 1, block.String())
	add(frameData, 0, 1, ":\n\n"+string(AppendEvent(nil, 0, 20)))
	add(frameHeaders, flagEndHeaders|flagPadded, 3, "\x02"+block.String()+"xx")
	add(0xbe, 0, 0, "unknown")
	add(frameData, flagPadded, 3, "\x03"+string(AppendEvent(nil, 0, 20))+"xxx")
	add(frameWindowUpdate, 0, 0, "\x00\x00\x00\x01")
	add(frameData, 0, 1, "")
	add(frameData, 0, 1, string(AppendEvent(nil, 1, 20)[:9]))
	add(frameData, 0, 1, string(AppendEvent(nil, 1, 20)[9:]))
	for size := 1; size <= len(wire); size++ {
		c := &client{
			cfg:     &Config{PerConnection: 2, Streams: 2, PayloadSize: 20},
			conns:   []conn{{streams: 2, phase: phaseOpen}},
			streams: make([]stream, 2),
			next:    2, connecting: 2,
			frames: newFrames("/", "x", 2),
			report: Report{Connects: NewHistogram(), Latency: NewHistogram(), PingsOff: NewHistogram()},
		}
		c.frames.begin(0, 2, 2)
		for rest := bytes.Clone(wire); len(rest) > 0; {
			n := min(size, len(rest))
			if err := c.takeFrames(0, bytes.Clone(rest[:n])); err != nil {
				t.Fatalf("in pieces of %d bytes: %v", size, err)
			}
			rest = rest[n:]
		}
		if a, b := c.streams[0].due, c.streams[1].due; a != 2 || b != 1 || c.live != 2 || len(c.frames.parts) > 0 {
			t.Fatalf("in pieces of %d bytes: %d and %d events on %d streams, %d frames are left; want 2 and 1 on 2, none", size, a, b, c.live, len(c.frames.parts))
		}
	}
}

// Ensure that names of servers are understood, and what is none is refused.
func TestServerNames(t *testing.T) {
	for name, want := range map[string]struct {
		kind string
		p    Protocol
		per  int
	}{
		"millrace":                         {"millrace", Plain, 1},
		"millrace+tls":                     {"millrace", TLS, 1},
		"net/http+h2":                      {"net/http", H2, 1},
		"millrace+h2x6":                    {"millrace", H2, 6},
		"millrace+h2x":                     {},
		"millrace+h2x0":                    {},
		"millrace+h2x-1":                   {},
		"millrace+h2x99999999999999999999": {},
		"millrace+h3":                      {},
	} {
		kind, p, per, err := splitName(name)
		if bad := want.kind == ""; bad != (err != nil) || kind != want.kind || p != want.p || per != want.per {
			t.Errorf("%q: %q, %q, %d, %v; want %+v", name, kind, p, per, err, want)
		}
	}
	for _, c := range []struct {
		lab        Lab
		name, want string
	}{
		{Lab{}, NameMillrace, "millrace"},
		{Lab{}, "millrace+tls", "millrace+tls"},
		{Lab{Protocol: TLS}, NameFloor, "floor+tls"},
		{Lab{Protocol: TLS}, "millrace+h2", "millrace+h2"},
		{Lab{Protocol: H2, PerConnection: 1}, NameMillrace, "millrace+h2"},
		{Lab{Protocol: H2, PerConnection: 6}, NameMillrace, "millrace+h2x6"},
		{Lab{Protocol: H2, PerConnection: 6}, NameFloor, "floor+tls"},
		{Lab{Protocol: H2, External: &External{URL: "https://x"}}, NameMillrace, "https://x"},
	} {
		if got := c.lab.named(c.name); got != c.want {
			t.Errorf("%s of %+v is named %q, want %q", c.name, cmp.Or(c.lab.Protocol, "no protocol"), got, c.want)
		}
	}
}
