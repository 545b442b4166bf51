package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
	"unsafe"

	"millrace/channels"
	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that a broadcast reaches the streams of its channel, byte for byte as
// documented, and nobody else, and that publish tells how many they are.
func TestBroadcast(t *testing.T) {
	s, b := start(t, Config{Loops: 3, Aliases: map[string]string{"/": "/sse/test"}}, channels.Options{})
	publish(t, b, "/sse/test", "nobody hears", 0)
	root, direct, other := subscribe(t, s, "/"), subscribe(t, s, "/sse/test"), subscribe(t, s, "/other")
	publish(t, b, "/sse/test", `{"foo":"bar"}`, 2)
	publish(t, b, "/other", "two\nlines", 1)
	root.want("data: {\"foo\":\"bar\"}\n\n")
	direct.want("data: {\"foo\":\"bar\"}\n\n")
	other.want("data: two\ndata: lines\n\n")

	root.Close()
	testenv.Eventually(t, "the stream that left is forgotten", func() bool { return b.Ports().Subscribers("/sse/test") == 1 })
	publish(t, b, "/sse/test", "again", 1)
	direct.want("data: again\n\n")
	testenv.Eventually(t, "4 deliveries to what are now 2 streams", func() bool {
		got := s.Stats()
		return got.Deliveries == 4 && got.Streams == 2
	})
}

// Ensure that paths and ?channel= name channels after decoding.
func TestChannelNames(t *testing.T) {
	tests := []struct {
		target string
		want   []string
	}{
		{"/rooms/42", []string{"/rooms/42"}},
		{"/a%20b%2Fc", []string{"/a b/c"}},
		{"/a+b", []string{"/a+b"}},
		{"/%E2%82%AC", []string{"/€"}},
		{"http://test/x?y=1", []string{"/x"}}, // the host of the Host header, or it is refused
		{"/x?channel=rooms:1&channel=b+c&other=d", []string{"/x", "rooms:1", "b c"}},
		{"/x?channel=%2Fx&channel=y&channel=y", []string{"/x", "y"}},
		{"/x?" + strings.Repeat("channel=same&", 200), []string{"/x", "same"}},
	}
	for _, tt := range tests {
		s, b := start(t, Config{Loops: 1}, channels.Options{})
		c := subscribe(t, s, tt.target)
		if got := b.Ports().Channels(); fmt.Sprint(len(got), got) != fmt.Sprint(len(tt.want), sorted(tt.want)) {
			t.Errorf("GET %s subscribes to %q, want %q", tt.target, got, tt.want)
		}
		for _, name := range tt.want {
			publish(t, b, name, name, 1)
			c.want("data: " + name + "\n\n")
		}
		c.Close()
		testenv.Eventually(t, "no channel is left", func() bool { return len(b.Ports().Channels()) == 0 })
	}
}

// Ensure that a stream on several channels sees their messages in the order in
// which they were published, whichever way they were batched.
func TestSeveralChannelsOneOrder(t *testing.T) {
	s, b := start(t, Config{Loops: 2}, channels.Options{})
	all := subscribe(t, s, "/a?channel=/b&channel=/c")
	two := subscribe(t, s, "/b?channel=/c")
	one := subscribe(t, s, "/c")
	const events = 3000
	var wantAll, wantTwo, wantOne strings.Builder
	for i := range events {
		channel := []string{"/a", "/b", "/c"}[i*7%3]
		event := fmt.Sprintf("data: %d\n\n", i)
		wantAll.WriteString(event)
		receivers := 1
		if channel != "/a" {
			wantTwo.WriteString(event)
			receivers++
		}
		if channel == "/c" {
			wantOne.WriteString(event)
			receivers++
		}
		publish(t, b, channel, fmt.Sprint(i), receivers)
	}
	all.want(wantAll.String())
	two.want(wantTwo.String())
	one.want(wantOne.String())
}

// Ensure that whatever way a client leaves, its stream is forgotten at once and
// counted under its reason.
func TestClientsLeave(t *testing.T) {
	s, b := start(t, Config{Loops: 2}, channels.Options{})
	const each = 20
	for i := range 3 * each {
		c := subscribe(t, s, "/x")
		switch i % 3 {
		case 0:
			c.Close()
		case 1:
			c.Conn.(*ssetest.Conn).Abort() // a reset
			c.Close()
		case 2:
			c.Conn.(*ssetest.Conn).CloseWrite()
		}
	}
	testenv.Eventually(t, "nobody is left", func() bool { return b.Ports().Subscribers("/x") == 0 && s.Stats().Connections == 0 })
	if got := s.Stats().Closed[reasonClient.String()]; got != 3*each {
		t.Errorf("%d connections closed by their clients, want %d", got, 3*each)
	}
}

// Ensure that above the limit a stream request is told when to come back, that
// other requests are still answered, and that a place that becomes free is
// given away again.
func TestConnectionLimit(t *testing.T) {
	s, b := start(t, Config{Loops: 2, MaxConnections: 2}, channels.Options{})
	first := subscribe(t, s, "/x")
	subscribe(t, s, "/x")

	turnedAway := dial(t, s)
	io.WriteString(turnedAway, "GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
	answer, err := io.ReadAll(turnedAway)
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	var ms int
	fmt.Sscanf(body, "retry: %d\n\n", &ms)
	delay := time.Duration(ms) * time.Millisecond
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n") ||
		body != fmt.Sprintf("retry: %d\n\n", ms) || delay < turnAwayDelay || delay > 3*turnAwayDelay {
		t.Errorf("at the limit: %q, %v; want 200 with a retry of %v to %v", answer, err, turnAwayDelay, 3*turnAwayDelay)
	}
	health := dial(t, s)
	io.WriteString(health, "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
	if got := health.line(); got != "HTTP/1.1 200 OK\r\n" {
		t.Errorf("/healthz at the limit: %q", got)
	}
	publish(t, b, "/x", "for two", 2)

	first.Close()
	testenv.Eventually(t, "the first is forgotten", func() bool { return b.Ports().Subscribers("/x") == 1 })
	subscribe(t, s, "/x")
	publish(t, b, "/x", "for two again", 2)
	turnedAway.Close()
	testenv.Eventually(t, "the one turned away is counted", func() bool { return s.Stats().Closed[reasonOverload.String()] == 1 })
}

// Ensure that Close ends every stream and frees the port.
func TestClose(t *testing.T) {
	s, b := start(t, Config{Loops: 2}, channels.Options{})
	streams := make([]*client, 50)
	for i := range streams {
		streams[i] = subscribe(t, s, fmt.Sprintf("/%d", i%7))
	}
	dial(t, s) // one that never says a word
	s.Close()
	s.Close() // is harmless
	for _, c := range streams {
		if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil {
			t.Fatalf("after Close a stream had %q, %v; want its end", rest, err)
		}
	}
	if got := s.Stats(); got.Connections != 0 || got.Streams != 0 || len(b.Ports().Channels()) != 0 {
		t.Errorf("after Close: %+v, channels %q", got, b.Ports().Channels())
	}
	if conn, err := net.Dial("tcp", s.Addr().String()); err == nil {
		conn.Close()
		t.Error("after Close the port still answers")
	}
}

// Ensure that a taken port is an error, though SO_REUSEPORT would allow it.
func TestPortInUse(t *testing.T) {
	s, b := start(t, Config{}, channels.Options{})
	descriptors := testenv.Descriptors(t)
	second, err := New(Config{Listen: s.Addr().String()}, b)
	if err == nil {
		second.Close()
	}
	if !IsInUse(err) {
		t.Errorf("a second server on %s: %v, want that the port is in use", s.Addr(), err)
	}
	if now := testenv.Descriptors(t); now != descriptors {
		t.Errorf("%d descriptors left open", now-descriptors)
	}
}

// Ensure that a refused configuration names what is wrong.
func TestConfigRefused(t *testing.T) {
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{Listen: "8080"}, `"8080"`},
		{Config{Loops: -1}, "-1 loops"},
		{Config{MaxConnections: -5}, "-5 connections"},
		{Config{Keepalive: -time.Second}, "keepalive of -1s"},
		{Config{Keepalive: time.Millisecond}, "keepalive of 1ms"},
		{Config{HeaderTimeout: 1 << 62}, "header timeout of"},
		{Config{AllowOrigins: []string{"*", "example.org"}}, `"example.org"`},
		{Config{AllowOrigins: []string{"https://example.org/"}}, `"https://example.org/"`},
		{Config{AllowOrigins: []string{"https://Example.org"}}, `"https://Example.org"`},
		{Config{Aliases: map[string]string{"x": "/y"}}, `"x"="/y"`},
		{Config{Aliases: map[string]string{"/x": ""}}, `"/x"=""`},
		{Config{Hosts: []string{"example.org:80"}}, `"example.org:80"`},
		{Config{Aliases: map[string]string{"/x": "__sentinel__:hello"}}, `"/x"="__sentinel__:hello"`},
		{Config{Aliases: map[string]string{"/x": "/y"}, Channels: mustParse("/z")}, `"/x"="/y"`},
		{Config{Aliases: map[string]string{"/healthz": "/y"}}, "reserved"},
	}
	for _, tt := range tests {
		if tt.cfg.Listen == "" {
			tt.cfg.Listen = "127.0.0.1:0"
		}
		s, err := New(tt.cfg, channels.NewBroker(channels.Options{}))
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want an ErrConfig that says %s", tt.cfg, err, tt.want)
		}
	}
}

// Ensure that an idle connection costs one cache line in the table.
func TestSlotSize(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size != 64 {
		t.Errorf("a slot has %d bytes, want 64", size)
	}
}

// Ensure that the life of a stream is logged when asked for, and only then.
func TestLogConnections(t *testing.T) {
	for _, asked := range []bool{true, false} {
		var log strings.Builder
		s, b := start(t, Config{Loops: 1, LogConnections: asked, Logger: slog.New(slog.NewTextHandler(&log, nil))}, channels.Options{})
		c := subscribe(t, s, "/x?channel=/y")
		peer := c.LocalAddr().String()
		c.Close()
		testenv.Eventually(t, "the stream is forgotten", func() bool { return b.Ports().Subscribers("/x") == 0 })
		s.Close() // after which nothing is logged any more
		begin := strings.Index(log.String(), `msg="client connected" peer=`+peer+` channels="/x /y"`)
		end := strings.Index(log.String(), `msg="client disconnected" reason="client closed" peer=`+peer+` channels="/x /y"`)
		if (begin >= 0) != asked || (end > begin) != asked {
			t.Errorf("LogConnections %v: %q", asked, log.String())
		}
	}
}
