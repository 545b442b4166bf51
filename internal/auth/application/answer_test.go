package application

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/auth"
)

// Ensure that each status has its verdict, that nobody follows a redirect, and that
// trouble is asked for again though the answer says how long it may be kept.
func TestStatus(t *testing.T) {
	var status atomic.Int32
	elsewhere := serve(t, yes())
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", elsewhere.URL)
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(int(status.Load()))
	})
	a := open(t, Config{URL: app.URL})
	for code, want := range map[int]auth.Verdict{
		200: {}, 204: {}, 299: {},
		301: {Status: auth.Unauthorized, Reason: "redirected"}, 302: {Status: auth.Unauthorized, Reason: "redirected"},
		304: {Status: auth.Unauthorized, Reason: "redirected"}, 307: {Status: auth.Unauthorized, Reason: "redirected"},
		401: {Status: auth.Unauthorized, Reason: "unauthorized"},
		400: {Status: auth.Forbidden, Reason: "forbidden"}, 403: {Status: auth.Forbidden, Reason: "forbidden"}, 404: {Status: auth.Forbidden, Reason: "forbidden"},
		410: {Status: auth.Forbidden, Reason: "forbidden"}, 431: {Status: auth.Forbidden, Reason: "forbidden"},
		408: {Status: auth.Later, Reason: "trouble"}, 429: {Status: auth.Later, Reason: "trouble"}, 500: {Status: auth.Later, Reason: "trouble"},
		502: {Status: auth.Later, Reason: "trouble"}, 503: {Status: auth.Later, Reason: "trouble"}, 599: {Status: auth.Later, Reason: "trouble"},
	} {
		status.Store(int32(code))
		before := app.requests()
		for range 2 {
			v := judge(t, a, from(strconv.Itoa(code), "/a"))
			if v.Status != want.Status || v.Reason != want.Reason {
				t.Errorf("%d: %+v, want %v %q", code, v, want.Status, want.Reason)
			}
			if v.Status == auth.Granted && !slices.Equal(v.Channels, []string{"/a"}) {
				t.Errorf("%d: %+v, want /a", code, v)
			}
		}
		asked := 1
		if want.Status == auth.Later {
			asked = 2
		}
		if got := app.requests() - before; got != asked {
			t.Errorf("%d: %d requests for two streams, want %d", code, got, asked)
		}
	}
	if n := elsewhere.requests(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// Ensure that headers of an answer say what they say, and that those which say nothing
// clear let nobody in.
func TestHeaders(t *testing.T) {
	soon := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	past := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprint("/", i)
	}
	for _, tt := range []struct {
		headers  []string
		channels string // none: it is refused
		user     string
		status   auth.Status
	}{
		{nil, "/a", "", auth.Granted},
		{[]string{"X-Millrace-User", "Grüße"}, "/a", "Grüße", auth.Granted},
		{[]string{"X-Millrace-User", "u", "X-Millrace-User", "u"}, "/a", "u", auth.Granted},
		{[]string{"X-Millrace-User", "u", "X-Millrace-User", "v"}, "", "", auth.Later},
		{[]string{"X-Millrace-User", strings.Repeat("u", 256)}, "", "", auth.Later},
		{[]string{"X-Millrace-User", "\xff"}, "", "", auth.Later},
		{[]string{"X-Millrace-Expires", soon}, "/a", "", auth.Granted},
		{[]string{"X-Millrace-Expires", past}, "", "", auth.Unauthorized},
		{[]string{"X-Millrace-Expires", "3600"}, "", "", auth.Later},
		{[]string{"X-Millrace-Expires", "tomorrow"}, "", "", auth.Later},
		{[]string{"X-Millrace-Expires", "99999999999999999999"}, "", "", auth.Later},
		{[]string{"Grip-Hold", "stream", "Grip-Channel", "/b"}, "/b", "", auth.Granted},
		{[]string{"Grip-Channel", "/b, room 1;prev-id=7", "Grip-Channel", "/b,/c"}, "/b|room 1|/c", "", auth.Granted},
		{[]string{"Grip-Channel", "Grüße"}, "Grüße", "", auth.Granted},
		{[]string{"Grip-Channel", ""}, "", "", auth.Later},
		{[]string{"Grip-Channel", "/b,,/c"}, "", "", auth.Later},
		{[]string{"Grip-Channel", strings.Repeat("x", 256)}, "", "", auth.Later},
		{[]string{"Grip-Channel", "\xff"}, "", "", auth.Later},
		{[]string{"Grip-Channel", strings.Join(many, ",")}, "", "", auth.Later},
		{[]string{"Grip-Channel", strings.Join(many[1:], ",")}, strings.Join(many[1:], "|"), "", auth.Granted},
		{[]string{"Set-Cookie", "session=stolen", "X-Millrace-Admin", "yes"}, "/a", "", auth.Granted},
		{[]string{"X-Filler", strings.Repeat("x", maxHead)}, "", "", auth.Later},
	} {
		a := open(t, Config{URL: serve(t, yes(tt.headers...)).URL})
		v := judge(t, a, from("1", "/a"))
		if v.Status != tt.status || v.User != tt.user || strings.Join(v.Channels, "|") != tt.channels {
			t.Errorf("%.200q: %+v, want %v, %q, %q", tt.headers, v, tt.status, tt.user, tt.channels)
		}
		if expires := len(tt.headers) > 1 && tt.headers[1] == soon; expires != !v.Expires.IsZero() {
			t.Errorf("%q: it expires %v", tt.headers, v.Expires)
		}
	}
}

// Ensure that the application may name the channels of an address that names none, and
// has to.
func TestNoChannels(t *testing.T) {
	a := open(t, Config{URL: serve(t, yes("Grip-Channel", "/rooms/42")).URL})
	if v := judge(t, a, from("1")); v.Status != auth.Granted || !slices.Equal(v.Channels, []string{"/rooms/42"}) {
		t.Errorf("with Grip-Channel: %+v", v)
	}
	app := serve(t, yes())
	if v := judge(t, open(t, Config{URL: app.URL}), from("1")); v.Status != auth.Forbidden || v.Reason != "no_channel" {
		t.Errorf("without: %+v", v)
	}
	if h := app.last().Header; h.Get("X-Forwarded-Uri") != "/events" || h["X-Channel-Id"] != nil {
		t.Errorf("it was asked %q", h)
	}
}

func TestMaxAge(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "max-age=60": time.Minute, "Max-Age=60": time.Minute, `max-age="60"`: time.Minute, "private, max-age=60": time.Minute,
		"max-age=0, private, must-revalidate": 0, "max-age=-1": 0, "max-age=x": 0, "max-age": 0, "max-age=9999999999999": 0,
		"max-age=31536000": maxKeep, "no-store, max-age=60": 0, "max-age=60, no-cache": 0, "s-maxage=60": 0, "x-max-age=60": 0,
	} {
		if got := maxAge(http.Header{"Cache-Control": {value}}); got != want {
			t.Errorf("%q: kept for %v, want %v", value, got, want)
		}
	}
	if got := maxAge(http.Header{"Cache-Control": {"max-age=60", "no-store"}}); got != 0 {
		t.Errorf("two lines: kept for %v, want 0", got)
	}
}

// Ensure that an application which is slow, gone, or no web server has clients come back,
// and that a body which never ends holds up nobody.
func TestTrouble(t *testing.T) {
	wait := make(chan struct{})
	defer close(wait)
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	})
	gone := serve(t, yes())
	gone.Close()
	for what, tt := range map[string]struct{ url, reason string }{
		"slow":         {slow.URL, "timeout"},
		"gone":         {gone.URL, "unreachable"},
		"silent":       {says(t, ""), "unreachable"},
		"no HTTP":      {says(t, "+PONG\r\n"), "unreachable"},
		"switching":    {says(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "trouble"},
		"endless head": {says(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)), "unreachable"},
		"endless 1xx":  {says(t, strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: x\r\n\r\n", 1<<16)), "unreachable"},
	} {
		var log bytes.Buffer
		a := open(t, Config{URL: tt.url + "/may?key=hidden", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		a.timeout = time.Second
		if v := judge(t, a, from("1", "/a")); v.Status != auth.Later || v.Reason != tt.reason {
			t.Errorf("%s: %+v, want to come back later for %q", what, v, tt.reason)
		}
		a.Close()
		if text := log.String(); text == "" || strings.Contains(text, "hidden") {
			t.Errorf("%s: the log is %q, want an entry without the URL's query", what, text)
		}
	}
	endless := open(t, Config{URL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		for r.Context().Err() == nil {
			w.Write(make([]byte, 4096))
		}
	}).URL})
	began := time.Now()
	if v := judge(t, endless, from("1", "/a")); v.Status != auth.Granted {
		t.Errorf("a body without end, after %v: %+v", time.Since(began), v)
	}
}

// says runs a server that answers a request with text and closes, until the test ends.
func says(t *testing.T, text string) (url string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(5 * time.Second))
			nc.Read(make([]byte, 4096))
			nc.Write([]byte(text))
			nc.Close()
		}
	}()
	return "http://" + ln.Addr().String()
}
