package ssetest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"millrace/internal/testenv"
)

// startHTTP starts a server of net/http that speaks all transports.
func startHTTP(t *testing.T, handler http.HandlerFunc) (addressOf func(Transport) string) {
	plain := httptest.NewServer(handler)
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2, secure.TLS = true, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	return func(via Transport) string {
		return via.Of(plain.Listener.Addr().String(), secure.Listener.Addr().String())
	}
}

// Ensure that answers of a server that others have written are read as they are over each
// transport, and that their end is told.
func TestGet(t *testing.T) {
	large := strings.Repeat("x", 200_000) // more than the windows of HTTP/2
	address := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(203)
		io.WriteString(w, r.URL.Path+r.Header.Get("Last-Event-Id"))
		w.(http.Flusher).Flush()
		io.WriteString(w, large)
	})
	for _, via := range []Transport{Plain, TLS, H2} {
		conn, err := Dialer{Via: via, Deadline: time.Now().Add(testenv.Patience)}.Dial(t.Context(), address(via))
		if err != nil {
			t.Fatalf("%v: %v", via, err)
		}
		answer, err := conn.Get("/a", "Last-Event-ID: 7")
		if err != nil || answer.Status != 203 {
			t.Fatalf("%v: %+v, %v, want 203", via, answer, err)
		}
		body, err := io.ReadAll(answer.Body)
		if got := strings.ReplaceAll(string(body), "\r\n", ""); !strings.Contains(got, "/a7") || strings.Count(got, "x") != len(large) || err != nil {
			t.Errorf("%v: %d bytes, %v", via, len(body), err)
		}
		conn.Close()
	}
}

// Ensure that streams of one connection of HTTP/2 are read at once, each with its own.
func TestGetManyOverH2(t *testing.T) {
	address := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 1000 {
			fmt.Fprintf(w, "%s %d\n", r.URL.Path, i)
		}
	})
	conn, err := Dialer{Via: H2, Deadline: time.Now().Add(testenv.Patience), Window: 2000}.Dial(t.Context(), address(H2))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var reading sync.WaitGroup
	for i := range 20 {
		path, want := fmt.Sprint("/", i), new(strings.Builder)
		for line := range 1000 {
			fmt.Fprintf(want, "%s %d\n", path, line)
		}
		answer, err := conn.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			if body, err := io.ReadAll(answer.Body); string(body) != want.String() || err != nil {
				t.Errorf("%s: %d bytes, %v, want %d", path, len(body), err, want.Len())
			}
		})
	}
	reading.Wait()
}

// Ensure that a TLS connection that ends without close_notify is told from one that ends in
// order.
func TestCut(t *testing.T) {
	for _, inOrder := range []bool{false, true} {
		address := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nwhole")
			if inOrder {
				conn.Close()
			} else {
				conn.(*tls.Conn).NetConn().Close()
			}
		})
		conn, err := Dialer{Via: TLS, Deadline: time.Now().Add(testenv.Patience)}.Dial(t.Context(), address(TLS))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := conn.Get("/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if string(body) != "whole" || errors.Is(err, ErrCut) == inOrder {
			t.Errorf("in order: %v: read %q, %v", inOrder, body, err)
		}
		conn.Close()
	}
}

// Ensure that an HTTP2 refuses what no server may send, and what millrace does not.
func TestHTTP2Refuses(t *testing.T) {
	var block bytes.Buffer
	hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	head := http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}
	for name, send := range map[string]func(f *http2.Framer){
		"before SETTINGS":         func(f *http2.Framer) { f.WritePing(false, [8]byte{}) },
		"a stream that never was": func(f *http2.Framer) { f.WriteSettings(); f.WriteRSTStream(3, 0) },
		"data before a head":      func(f *http2.Framer) { f.WriteSettings(); f.WriteData(1, false, nil) },
		"data behind the end": func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteHeaders(head)
			f.WriteData(1, true, nil)
			f.WriteData(1, true, nil)
		},
		"more than the window": func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteHeaders(head)
			f.WriteData(1, false, make([]byte, 101))
		},
		"padding": func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteHeaders(head)
			f.WriteDataPadded(1, false, []byte("x"), []byte{0})
		},
		"two heads":                func(f *http2.Framer) { f.WriteSettings(); f.WriteHeaders(head); f.WriteHeaders(head) },
		"a head in several frames": func(f *http2.Framer) { f.WriteSettings(); part := head; part.EndHeaders = false; f.WriteHeaders(part) },
		"a promise": func(f *http2.Framer) {
			f.WriteSettings()
			f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		},
	} {
		h := NewHTTP2(100)
		h.Request("/x")
		var out bytes.Buffer
		send(http2.NewFramer(&out, nil))
		var err error
		for _, c := range out.Bytes() { // wherever it is cut
			err = errors.Join(err, h.Take([]byte{c}))
		}
		if !errors.Is(err, ErrHTTP2) {
			t.Errorf("%s: %v, want %v", name, err, ErrHTTP2)
		}
	}
}
