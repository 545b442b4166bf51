package dialect

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"millrace/channels"
	"millrace/httpparse"
)

// all are the dialects as a server has them that knows Turbo's key.
var all = []Dialect{Turbo{}, Plain{map[string]string{"/alias": "by alias", "/two words": "/other"}}}

// read parses a request for target and reads it in dialects.
func read(t testing.TB, dialects []Dialect, target, headers string) (Asked, error) {
	t.Helper()
	var r httpparse.Request
	head := "GET " + target + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n"
	if _, err := httpparse.Parse(&r, []byte(head), 0, httpparse.Limits{}); err != nil {
		t.Skipf("%s: %v", target, err)
	}
	path, err := httpparse.AppendPathDecoded(nil, r.Path)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	var a Asked
	err = a.Read(dialects, &r, string(path), 3)
	return a, err
}

func TestRead(t *testing.T) {
	for _, tt := range []struct{ target, want string }{
		{"/x", "[/x] []"},
		{"/", "[/] []"},
		{"/a%20b/+", "[/a b/+] []"},
		{"/x?channel=room&channel=/y", "[/x room /y] []"},
		{"/x?channel=a+b%2fc", "[/x a b/c] []"},
		{"/x?channel=%2fx&channel=/x", "[/x] []"},
		{"/x?Channel=y&channels=z&other", "[/x] []"},
		{"/x?channel=1&channel=2&channel=3", "more than 3 channels in one stream, ask for fewer or raise --max-channels-per-stream"},
		{"/x?channel=1&channel=2&channel=1", "[/x 1 2] []"},
		{"/x?" + strings.Repeat("a&", 64), "[/x] []"},
		{"/x?" + strings.Repeat("a&", 65), "more than 64 parameters beside channels, want fewer"},
		{"/x?" + strings.Repeat("channel=y&", 1000), "[/x y] []"},
		{"/x?channel", "bad channel name: it is empty, want 1 to 255 bytes"},
		{"/x?channel=%zz", "percent sign without two hexadecimal digits"},
		{"/x?channel=%ff", `bad channel name: "\xff" is not valid UTF-8`},
		{"/x%00", `bad channel name: "/x\x00" has the control character U+0000 at byte 2`},
		{"/" + strings.Repeat("x", 255), `bad channel name: "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"... has 256 bytes, want at most 255`},

		{"/alias", "alias [by alias] []"},
		{"/alias?channel=/x", "alias [by alias /x] []"},
		{"/two%20words", "alias [/other] []"},
		{"/alias/", "[/alias/] []"},

		{"/turbo?signed_stream_name=a--b", "[] [a--b]"},
		{"/turbo?signed_stream_name=a%3d+b&channel=/c&signed_stream_name=d&signed_stream_name=d", "[/c] [a= b d]"},
		{"/turbo?channel=/c", "[/c] []"},
		{"/turbo?signed_stream=a--b&turbo_signed_stream_name=c&signed_stream_name=c", "[] [a--b c]"},
		{"/turbo", "/turbo without the parameter signed_stream_name"},
		{"/turbo?signed_stream_name=%zz", "percent sign without two hexadecimal digits"},
		{"/turbo?signed_stream_name=1&signed_stream_name=2&channel=3&signed_stream_name=4", "more than 3 channels in one stream, ask for fewer or raise --max-channels-per-stream"},
		{"/x?signed_stream_name=a", "[/x] []"},
		{"/turbo/?signed_stream_name=a", "[/turbo/] []"},
	} {
		a, err := read(t, all, tt.target, "")
		got := fmt.Sprint(a.Channels, " ", a.Signed)
		if a.Aliased {
			got = "alias " + got
		}
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.target, got, tt.want)
		}
	}
}

// Ensure that where streams take grants, / and /events are no channels, unless they stand
// for one.
func TestNameless(t *testing.T) {
	for _, tt := range []struct{ target, want string }{
		{"/", "[] []"},
		{"/events?x=y", "[] []"},
		{"/events?channel=/a&channel=b&channel=/a", "[/a b] []"},
		{"/?signed_stream=a--b&turbo_signed_stream_name=c&channel=d", "[d] [a--b c]"},
		{"/events/", "[/events/] []"},
		{"/events?channel", "bad channel name: it is empty, want 1 to 255 bytes"},
	} {
		a, err := read(t, []Dialect{Nameless{}, Plain{}}, tt.target, "")
		if got := fmt.Sprint(a.Channels, " ", a.Signed); got != tt.want && (err == nil || err.Error() != tt.want) {
			t.Errorf("%s: %s, %v, want %s", tt.target, got, err, tt.want)
		}
	}
	aliases := map[string]string{"/events": "news"}
	if a, err := read(t, []Dialect{Nameless{aliases}, Plain{aliases}}, "/events", ""); err != nil || fmt.Sprint(a.Channels) != "[news]" {
		t.Errorf("an alias: %v, %v", a.Channels, err)
	}
}

// Ensure that a path of no dialect is refused.
func TestReadInNoDialect(t *testing.T) {
	if _, err := read(t, []Dialect{Turbo{}}, "/x", ""); err == nil || err.Error() != `"/x" is no path of a stream` {
		t.Errorf("/x, with Turbo alone: %v", err)
	}
}

// Ensure that the last event id is found however a client spells it.
func TestLastEventID(t *testing.T) {
	for _, tt := range []struct{ target, header, want string }{
		{"/x", "", ""},
		{"/x?last_event_id=e-1", "", "e-1"},
		{"/x?lastEventID=e-1", "", "e-1"},
		{"/x?lastEventId=e-1", "", "e-1"},
		{"/x?Last-Event-ID=e-1", "", "e-1"},
		{"/x?last-event-id=e-1", "", "e-1"},
		{"/x?LASTEVENTID=e-1", "", "e-1"},
		{"/x?lastEventId=a%20b", "", "a b"},
		{"/x?lastEventId=%zz", "", "%zz"},
		{"/x?last_event_id=e-1&channel=/y&lastEventId=e-2", "", "e-2"},
		{"/x?last_event_id=e-1&lastEventId=", "", "e-1"},
		{"/x?last_event_id=e-1", "e-3", "e-3"},
		{"/x?last_event_id=e-1", " ", "e-1"},
		{"/x?lastEvent=e-1&eventid=e-1&lastEventIds=e-1&xlastEventId=e-1&l=e-1&=e-1&_-=e-1", "", ""},
		{"/turbo?signed_stream_name=a&lastEventId=e-1", "", "e-1"},
	} {
		headers := ""
		if tt.header != "" {
			headers = "Last-Event-ID: " + tt.header + "\r\n"
		}
		if a, err := read(t, all, tt.target, headers); err != nil || string(a.LastEventID) != tt.want {
			t.Errorf("%s with the header %q: %q, %v, want %q", tt.target, tt.header, a.LastEventID, err, tt.want)
		}
	}
}

// Ensure that all names asked for are within the bound, each once, and are names that a
// channel can have.
func FuzzRead(f *testing.F) {
	for _, target := range []string{
		"/x?channel=a&channel=a&channel=%62", "/turbo?signed_stream_name=%ff&channel=c", "/alias?channel=by+alias", "/turbo?channel=%00",
	} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		a, err := read(t, all, target, "")
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Errorf("%q: the error is no text: %q", target, err)
			}
			return
		}
		if n := len(a.Channels) + len(a.Signed); n < 1 || n > 3 {
			t.Errorf("%q: %d names, want 1 to 3: %+v", target, n, a)
		}
		seen := make(map[string]bool)
		for _, name := range a.Channels {
			if err := channels.CheckName([]byte(name)); err != nil || seen[name] {
				t.Errorf("%q: the channel %q: %v, or twice", target, name, err)
			}
			seen[name] = true
		}
	})
}
