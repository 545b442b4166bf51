package server

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/channels"
	"millrace/internal/gzipwire"
	"millrace/internal/pattern"
	"millrace/internal/testenv"
)

// gzipOf returns the channels of patterns for Config.Gzip.
func gzipOf(t testing.TB, patterns ...string) pattern.List {
	t.Helper()
	list, err := pattern.ParseList(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Ensure that streams have the content coding where their clients want it and their only
// channel allows it, and that all answers about such a channel say what they depend on.
func TestCodingOfAnswers(t *testing.T) {
	allowed, err := pattern.ParseList([]string{"/z/*", "/plain"})
	if err != nil {
		t.Fatal(err)
	}
	h := turnByHand(t, Config{Gzip: gzipOf(t, "/z/*", "/secret"), Channels: allowed}, channels.Options{})
	for _, tt := range []struct {
		request, headers string
		status           int
		coded, varies    bool
	}{
		{"GET /z/1 HTTP/1.1", "Accept-Encoding: gzip\r\n", 200, true, true},
		{"GET /z/1 HTTP/1.1", "Accept-Encoding: br, x-gzip;q=0.5\r\n", 200, true, true},
		{"GET /z/1?channel=/z/1 HTTP/1.1", "Accept-Encoding: gzip\r\n", 200, true, true},
		{"HEAD /z/1 HTTP/1.1", "Accept-Encoding: gzip\r\n", 200, true, true},
		{"GET /z/1 HTTP/1.1", "", 200, false, true},
		{"HEAD /z/1 HTTP/1.1", "", 200, false, true},
		{"GET /z/1 HTTP/1.1", "Accept-Encoding: gzip;q=0\r\n", 200, false, true},
		{"GET /z/1 HTTP/1.1", "Accept-Encoding: identity, gzip;q=0.5\r\n", 200, false, true},
		{"GET /z/1 HTTP/1.0", "Accept-Encoding: gzip\r\n", 200, false, true},
		{"GET /z/1?channel=/z/2 HTTP/1.1", "Accept-Encoding: gzip\r\n", 200, false, false},
		{"GET /plain HTTP/1.1", "Accept-Encoding: gzip\r\n", 200, false, false},
		{"GET /secret HTTP/1.1", "Accept-Encoding: gzip\r\n", 403, false, true},
		{"GET /healthz HTTP/1.1", "Accept-Encoding: gzip\r\n", 200, false, false},
	} {
		fd, peer := h.connect()
		unixWrite(t, peer, tt.request+"\r\nHost: test\r\n"+tt.headers+"\r\n")
		h.on(fd, true, false)
		head, body, _ := strings.Cut(received(peer), "\r\n\r\n")
		head += "\r\n"
		if want := fmt.Sprintf("HTTP/1.1 %d ", tt.status); !strings.HasPrefix(head, want) {
			t.Errorf("%s, %q: %q, want %s", tt.request, tt.headers, head, want)
		}
		coded := strings.Contains(head, "\r\nContent-Encoding: gzip\r\n")
		varies := strings.Contains(head, "\r\nVary: Accept-Encoding\r\n")
		if coded != tt.coded || varies != tt.varies {
			t.Errorf("%s, %q: Content-Encoding: gzip: %v, want %v; Vary: %v, want %v", tt.request, tt.headers, coded, tt.coded, varies, tt.varies)
		}
		isGzip := strings.HasPrefix(body, gzipwire.Header)
		if want := tt.coded && !strings.HasPrefix(tt.request, "HEAD"); isGzip != want {
			t.Errorf("%s, %q: the body begins with %.20q", tt.request, tt.headers, body)
		}
	}
}

// Ensure that a client that is told to come back gets plain text.
func TestTurnedAwayWithoutCoding(t *testing.T) {
	h := turnByHand(t, Config{Gzip: gzipOf(t, "/*"), MaxChannels: 1}, channels.Options{})
	h.stream("/first")
	fd, peer := h.connect()
	unixWrite(t, peer, "GET /second HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
	h.on(fd, true, false)
	head, body, _ := strings.Cut(received(peer), "\r\n\r\n")
	if strings.Contains(head, "Content-Encoding") || !strings.Contains(head, "\r\nVary: Accept-Encoding") || !strings.HasPrefix(body, "retry: ") {
		t.Errorf("%q\n%q, want plain text that depends on Accept-Encoding", head, body)
	}
}

// Ensure that pings of a gzip stream are empty blocks, but that it has text every 30 s.
func TestGzipPings(t *testing.T) {
	const period = 10 * time.Second
	h := turnByHand(t, Config{Gzip: gzipOf(t, "/*"), Keepalive: period}, channels.Options{})
	fd, peer := h.connect()
	unixWrite(t, peer, "GET /a HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
	h.on(fd, true, false)
	_, body, _ := strings.Cut(received(peer), "\r\n\r\n")
	silence, hush := time.Duration(0), time.Duration(0)
	empty, text := 0, 0
	for range 1000 {
		h.pass(100 * time.Millisecond)
		silence, hush = silence+100*time.Millisecond, hush+100*time.Millisecond
		if got := received(peer); got != "" {
			silence = 0
			if body += got; got == gzipwire.Empty {
				empty++
			} else {
				text, hush = text+1, 0
			}
		}
		if silence > period+time.Second || hush > textPing+time.Second {
			t.Fatalf("nothing for %v, no text for %v", silence, hush)
		}
	}
	if want := strings.Repeat(":keepalive\n\n", text); !strings.HasSuffix(inflated(t, body), want) || empty < text {
		t.Errorf("%d empty blocks and %d pings with text: %q", empty, text, inflated(t, body))
	}
}

// Ensure that loops which compress for each other give every stream all of the text.
func TestGzipOnManyLoops(t *testing.T) {
	s, b := start(t, Config{Loops: 4, Gzip: gzipOf(t, "/*")}, channels.Options{History: 10, Epoch: "E"})
	const streams, events = 24, 300
	var reading sync.WaitGroup
	random := rand.New(rand.NewPCG(1, 2))
	var want strings.Builder
	data := make([]string, events)
	for i := range data {
		data[i] = fmt.Sprintf(`{"n":%d,"text":"%s"}`, i, strings.Repeat(fmt.Sprint(random.IntN(1000), " words "), 1+random.IntN(40)))
		fmt.Fprintf(&want, "data: %s\nid: E-%d\n\n", data[i], i+1)
	}
	for range streams {
		c := dial(t, s)
		fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n")
		c.skipTo("\r\n")
		reading.Go(func() {
			r, err := gzip.NewReader(c.r)
			if err != nil {
				t.Error(err)
				return
			}
			text := bufio.NewReader(r)
			for line := ""; line != "id: E-0\n" && err == nil; {
				line, err = text.ReadString('\n')
			}
			text.ReadString('\n')
			for at := 0; at < want.Len(); {
				line, err := text.ReadString('\n')
				if err != nil || !strings.HasPrefix(want.String()[at:], line) {
					t.Errorf("after %d bytes: %.100q, %v, want %.100q", at, line, err, want.String()[at:])
					return
				}
				at += len(line)
			}
		})
	}
	testenv.Eventually(t, "all streams", func() bool { return s.Stats().Gzip == streams })
	for i := range data {
		publish(t, b, "/a", data[i], streams)
		if i%7 == 0 { // so that loops sleep, and wake together
			testenv.Eventually(t, "all deliveries", func() bool { return s.Stats().Deliveries == uint64(i+1)*streams || t.Failed() })
		}
	}
	reading.Wait()
	if stats := s.Stats(); stats.Compressed < stats.Stored {
		t.Errorf("%d messages were sent compressed, %d stored", stats.Compressed, stats.Stored)
	}
}
