package application

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/auth"
)

// Ensure that the application gets this request and no other byte, and that it is made
// anew: what a client says about itself in the query stays there.
func TestRequestBytes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		var lines []string
		for r := bufio.NewReader(nc); ; {
			line, err := r.ReadString('\n')
			if line == "\r\n" || err != nil {
				break
			}
			lines = append(lines, strings.TrimSuffix(line, "\r\n"))
		}
		slices.Sort(lines[1:])
		got <- strings.Join(lines, "\n")
		nc.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n"))
	}()
	a := open(t, Config{URL: "http://" + ln.Addr().String() + "/may-listen?x=1"})
	v := judge(t, a, &auth.Request{
		Channels: []string{"/räume/4 2;x"}, Method: "GET", Path: "/elsewhere",
		Query:  "tag=a+b%26c&channel=/r%C3%A4ume/4+2;x&CHANNEL=/other&%63hannel=/other&ticket=t&Access_Token=t&last-event-id=7&X-Forwarded-User=root&;=%",
		Host:   "events.example.org:8443",
		Secure: true, Client: netip.MustParseAddr("::ffff:192.0.2.7"),
		Authorization: "Bearer abc", Cookie: "session=1; theme=dark", Origin: "https://app.example.org", UserAgent: "Mozilla/5.0", FetchSite: "same-site",
	})
	if v.Status != auth.Granted {
		t.Errorf("verdict: %+v", v)
	}
	want := "GET /may-listen?x=1 HTTP/1.1\n" + strings.Join([]string{
		"Authorization: Bearer abc",
		"Cookie: session=1; theme=dark",
		"Host: " + ln.Addr().String(),
		"Origin: https://app.example.org",
		"User-Agent: Mozilla/5.0",
		"X-Channel-Id: /r%C3%A4ume/4%202%3Bx",
		"X-Forwarded-For: 192.0.2.7",
		"X-Forwarded-Host: events.example.org:8443",
		"X-Forwarded-Method: GET",
		"X-Forwarded-Proto: https",
		"X-Forwarded-Uri: /r%C3%A4ume/4%202%3Bx?tag=a+b%26c&X-Forwarded-User=root",
		"X-Original-Uri: /r%C3%A4ume/4%202%3Bx?tag=a+b%26c&X-Forwarded-User=root",
	}, "\n")
	if text := <-got; text != want {
		t.Errorf("the application got\n%s\nwant\n%s", text, want)
	}
}

// Ensure that no client can split the request, or add a header to it.
func TestSplitting(t *testing.T) {
	app := serve(t, yes())
	a := open(t, Config{URL: app.URL})
	const evil = "x\r\nX-Millrace-User: root"
	for what, change := range map[string]func(*auth.Request){
		"cookie": func(r *auth.Request) { r.Cookie = evil }, "authorization": func(r *auth.Request) { r.Authorization = evil },
		"origin": func(r *auth.Request) { r.Origin = evil }, "user agent": func(r *auth.Request) { r.UserAgent = evil },
		"host": func(r *auth.Request) { r.Host = evil }, "method": func(r *auth.Request) { r.Method = evil },
		"NUL": func(r *auth.Request) { r.Cookie = "a\x00b" }, "a lone LF": func(r *auth.Request) { r.Cookie = "a\nb: c" },
	} {
		r := from("1", "/a")
		change(r)
		if v := judge(t, a, r); v.Status != auth.Unauthorized || v.Reason != "malformed" || app.requests() != 0 {
			t.Errorf("%s: %+v, and %d requests", what, v, app.requests())
		}
	}
	r := from("1", "/a\r\nX-Evil: 1", "/b")
	r.Query = "a\r\nX-Evil: 1=b\r\nX-Evil: 1&c=%0d%0aX-Evil:%201"
	if v := judge(t, a, r); v.Status != auth.Granted {
		t.Errorf("line breaks in a channel and the query: %+v", v)
	}
	for _, asked := range app.asked {
		if asked.Header["X-Evil"] != nil || strings.ContainsAny(asked.Header.Get("X-Forwarded-Uri"), "\r\n ") {
			t.Errorf("the application got %q", asked.Header)
		}
	}
}

// Ensure that every channel is asked about by itself, under an address that everybody
// takes for the same.
func TestOneRequestAChannel(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X-Forwarded-Uri"), "/private/") {
			w.WriteHeader(403)
		}
	})
	a := open(t, Config{URL: app.URL})
	if v := judge(t, a, from("1", "/public/1", "/public/2")); v.Status != auth.Granted || !slices.Equal(v.Channels, []string{"/public/1", "/public/2"}) {
		t.Errorf("two that are granted: %+v", v)
	}
	if v := judge(t, a, from("1", "/public/1", "/private/1")); v.Status != auth.Forbidden || v.Channels != nil {
		t.Errorf("one that is, and one that is not: %+v", v)
	}
	if n := app.requests(); n != 4 {
		t.Errorf("%d requests for twice two channels", n)
	}
	for channel, good := range map[string]bool{
		"/": true, "/a/": true, "/a//b": false, "//a": false, "/a/../private/1": false, "/./a": false, "/..": false, "/...": true, "/a/..b": true,
		"chat:1": false, "a/b": false, "/a%2e%2e": true, "/a\\..\\b": true,
	} {
		before := app.requests()
		v := judge(t, a, from("1", channel))
		if (v.Status == auth.Granted) != good || !good && (v.Status != auth.Forbidden || v.Reason != "path" || app.requests() != before) {
			t.Errorf("%q: %+v, want granted %v", channel, v, good)
		}
	}
	nine := []string{"/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"}
	before := app.requests()
	if v := judge(t, a, from("1", nine...)); v.Status != auth.Forbidden || v.Reason != "channels" || app.requests() != before {
		t.Errorf("nine channels: %+v", v)
	}
	if v := judge(t, a, from("1", nine[1:]...)); v.Status != auth.Granted || app.requests() != before+8 {
		t.Errorf("eight channels: %+v, %d requests", v, app.requests()-before)
	}
}

// Ensure that only the cookie that is wanted is passed on, and none for a page of another
// site.
func TestCookies(t *testing.T) {
	app := serve(t, yes())
	all, one := open(t, Config{URL: app.URL}), open(t, Config{URL: app.URL, Cookie: "session"})
	for _, tt := range []struct {
		a             *Application
		cookie, site  string
		originAllowed bool
		want          string
	}{
		{all, "a=1; session=2", "", false, "a=1; session=2"},
		{all, "a=1; session=2", "same-origin", false, "a=1; session=2"},
		{all, "a=1; session=2", "cross-site", false, ""},
		{all, "a=1; session=2", "none", false, ""},
		{all, "a=1; session=2", "cross-site", true, "a=1; session=2"},
		{one, "a=1; session=2; b=session", "same-site", false, "session=2"},
		{one, "a=1;session=2;\tsession = 3 ;Session=4; sessions=5", "", false, "session=2; session = 3"},
		{one, "a=1", "", false, ""},
		{one, "", "", false, ""},
	} {
		r := from("", "/a")
		r.Cookie, r.FetchSite, r.OriginAllowed = tt.cookie, tt.site, tt.originAllowed
		judge(t, tt.a, r)
		if got := app.last().Header.Get("Cookie"); got != tt.want {
			t.Errorf("%q of %q: passed on %q, want %q", tt.cookie, tt.site, got, tt.want)
		}
	}
}

// Ensure that an answer is kept for requests that the application could not tell apart, and
// for no others.
func TestKey(t *testing.T) {
	a := open(t, Config{URL: "http://127.0.0.1:1"})
	key := func(change func(*auth.Request)) key {
		r := &auth.Request{
			Channels: []string{"/a"}, Method: "GET", Path: "/a", Query: "x=1", Host: "h", Client: netip.MustParseAddr("192.0.2.7"),
			Authorization: "A", Cookie: "C", Origin: "O", UserAgent: "U",
		}
		change(r)
		q, v := a.questions(r, r.Channels)
		if len(q) != 1 {
			t.Fatalf("%+v: %+v", r, v)
		}
		return q[0].key
	}
	same := key(func(*auth.Request) {})
	for what, change := range map[string]func(*auth.Request){
		"nothing":      func(r *auth.Request) {},
		"user agent":   func(r *auth.Request) { r.UserAgent = "V" },
		"address":      func(r *auth.Request) { r.Client = netip.MustParseAddr("2001:db8::1") },
		"last event":   func(r *auth.Request) { r.Query = "x=1&lastEventId=7" },
		"own path":     func(r *auth.Request) { r.Path = "/events" },
		"its encoding": func(r *auth.Request) { r.Query = "%78=%31" },
	} {
		if key(change) != same {
			t.Errorf("%s: another key, want the same", what)
		}
	}
	seen := map[[2]uint64]string{same: "nothing"}
	for what, change := range map[string]func(*auth.Request){
		"channel": func(r *auth.Request) { r.Channels = []string{"/b"} }, "method": func(r *auth.Request) { r.Method = "HEAD" },
		"query": func(r *auth.Request) { r.Query = "x=2" }, "no query": func(r *auth.Request) { r.Query = "" },
		"host": func(r *auth.Request) { r.Host = "i" }, "secure": func(r *auth.Request) { r.Secure = true },
		"authorization": func(r *auth.Request) { r.Authorization = "B" }, "cookie": func(r *auth.Request) { r.Cookie = "D" },
		"origin": func(r *auth.Request) { r.Origin = "P" }, "no cookie": func(r *auth.Request) { r.Cookie = "" },
		"a shifted field":  func(r *auth.Request) { r.Cookie, r.Authorization = "CA", "" },
		"fields exchanged": func(r *auth.Request) { r.Cookie, r.Authorization = "A", "C" },
		"foreign":          func(r *auth.Request) { r.FetchSite = "cross-site"; r.Authorization = "" },
	} {
		k := key(change)
		if other, ok := seen[k]; ok {
			t.Errorf("%s: the key of %s", what, other)
		}
		seen[k] = what
	}
}

func TestConfig(t *testing.T) {
	for cfg, want := range map[Config]string{
		{URL: "http://127.0.0.1:3000/x?y=z"}: "", {URL: "https://app.example.org", Cookie: "_app-session"}: "",
		{}: "want one such as", {URL: "app.example.org/x"}: "want one such as", {URL: "ftp://h/"}: "want one such as", {URL: "http:///x"}: "want one such as",
		{URL: "http://u:geheim@h/"}:          "names a user",
		{URL: "http://h/", Concurrency: -1}:  "want 1 or more",
		{URL: "http://h/", Cookie: "a=b"}:    "want the name of one",
		{URL: "http://h/", Cookie: "a\r\nb"}: "want the name of one",
	} {
		a, err := New(cfg)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim")) {
			t.Errorf("New(%+v): %v, want %q", cfg, err, want)
		}
		if err == nil {
			a.Close()
		}
	}
}

// Ensure that a query that is not ours has a bound, and what is ours has none but that of heads.
func TestLongQuery(t *testing.T) {
	a := open(t, Config{URL: serve(t, yes()).URL})
	for query, want := range map[string]auth.Status{
		"a=" + strings.Repeat("x", maxRest-3):                       auth.Granted,
		"a=" + strings.Repeat("x", maxRest-2):                       auth.Forbidden,
		strings.Repeat("a&", maxRest):                               auth.Forbidden,
		strings.Repeat("Last--Event_id=1&", maxRest):                auth.Granted,
		"lastEventId=" + strings.Repeat("x", maxRest) + "&a=1":      auth.Granted,
		"access_token=" + strings.Repeat("x", maxRest) + "&channel": auth.Granted,
	} {
		r := from("1", "/a")
		r.Query = query
		if v := judge(t, a, r); v.Status != want || want == auth.Forbidden && v.Reason != "query" {
			t.Errorf("%.30s (%d bytes): %+v, want %v", query, len(query), v, want)
		}
	}
}

// FuzzURI ensures that what the application is asked about has one reading, which is the
// channel, that it can stand in a header, and that no parameter of ours is left in it.
func FuzzURI(f *testing.F) {
	f.Add("/räume/42", "channel=/x&a=b")
	f.Add("/a b%2f?#", "%43hannel=1&a=%zz&;=1&a;channel=2")
	f.Fuzz(func(t *testing.T, channel, query string) {
		if !isPath(channel) {
			return
		}
		rest, ok := restOfQuery(query)
		if !ok && len(query) <= maxRest {
			t.Errorf("%q is too much", query)
		}
		uri := encodePath(channel) + rest
		u, err := url.ParseRequestURI(uri)
		if err != nil || u.Path != channel || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("%q and %q: %q is %+v, %v", channel, query, uri, u, err)
		}
		for name := range u.Query() {
			if slices.Contains(ours, strings.ToLower(name)) {
				t.Errorf("%q has %q", uri, name)
			}
		}
	})
}

// BenchmarkJudge is what a loop does for a stream whose answer is kept: it may take 10 µs.
func BenchmarkJudge(b *testing.B) {
	app := serve(b, yes("Cache-Control", "max-age=86400", "X-Millrace-User", "u"))
	a := open(b, Config{URL: app.URL})
	r := from(strings.Repeat("x", 1024), "/rooms/42")
	judge(b, a, r)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := a.Judge(r, "", r.Channels, now, nil); !ok {
			b.Fatal("asked again")
		}
	}
}
