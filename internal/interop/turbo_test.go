package interop

import (
	"bufio"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"millrace/channels"
	"millrace/internal/auth"
	"millrace/internal/dialect"
	"millrace/internal/testenv"
	"millrace/internal/testenv/browser"
	"millrace/internal/turbo"
	"millrace/server"
)

// turboPage is what an application would render: Turbo, and a source of streams.
var turboPage = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html><head><script type="module" src="/turbo.js"></script></head>
<body><ul id="list"></ul><turbo-stream-source src="{{.}}"></turbo-stream-source></body></html>`))

// Ensure that Turbo's own JavaScript applies, in a browser, what Rails broadcasts
// to a stream whose name Rails has signed, and that other names are refused.
func TestTurboStreams(t *testing.T) {
	const script = "testdata/node/node_modules/@hotwired/turbo/dist/turbo.es2017-esm.js"
	testenv.NeedFile(t, script, "run `npm ci` in internal/interop/testdata/node")
	const secret, name = "0123456789abcdef", "Z2lkOi8vYXBwL1Jvb20vMQ:comments"
	forms, err := turbo.ParseForms([]string{"Z2lkOi8v*=turbo"})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := turbo.NewDerivedVerifier(secret)
	if err != nil {
		t.Fatal(err)
	}
	f := startRun(t, server.Config{
		Listen:       "127.0.0.1:0",
		AllowOrigins: []string{"*"},
		Dialects:     []dialect.Dialect{dialect.Turbo{}},
		Authorizer:   auth.Turbo{Verifier: func() *turbo.Verifier { return verifier }},
	}, channels.Options{Decode: forms.Decode})
	page := browser.Chromium(t) // it takes long to start, so it comes before what is bounded
	cmd := ruby(t, []string{"actioncable", "redis"}, "turbo.rb", "redis://"+f.admin+"/1", secret, name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(printed(t, cmd))
	line := func() string {
		t.Helper()
		text, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("Rails printed %q: %v", text, err)
		}
		return strings.TrimSuffix(text, "\n")
	}

	var good string
	for _, want := range []struct {
		kind   string
		status int
	}{
		{"sha1", 200}, {"sha256", 200}, {"sha1-signature", 200}, {"lasting", 200},
		{"expired", 403}, {"purpose", 403}, {"tampered", 403},
	} {
		kind, signed, _ := strings.Cut(line(), " ")
		target := "http://" + f.public + "/turbo?" + url.Values{"signed_stream_name": {signed}}.Encode()
		response, err := http.Get(target)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if kind != want.kind || response.StatusCode != want.status {
			t.Errorf("%s (%s): status %d, want %s, %d", kind, signed, response.StatusCode, want.kind, want.status)
		}
		if kind == "sha256" {
			good = target
		}
	}
	http.DefaultClient.CloseIdleConnections()
	f.awaitSubscribersOf(name, 0)

	site := http.NewServeMux()
	site.HandleFunc("/turbo.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, script) })
	site.HandleFunc("/favicon.ico", func(http.ResponseWriter, *http.Request) {})
	site.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { turboPage.Execute(w, good) })
	application := httptest.NewServer(site)
	defer application.Close()
	page.Do("opening the page", chromedp.Navigate(application.URL))
	f.awaitSubscribersOf(name, 1)
	for i, action := range []string{
		`<turbo-stream action="append" target="list"><template>\n  <li id="one">Grüße &amp; 世界</li>\n</template></turbo-stream>`,
		`<turbo-stream action="append" target="list"><template><li id="two">second</li></template></turbo-stream>`,
		`<turbo-stream action="replace" target="one"><template><li id="one">replaced</li></template></turbo-stream>`,
	} {
		io.WriteString(stdin, action+"\n")
		if got := line(); got != "1" {
			t.Errorf("broadcast %d returned %s, want 1", i, got)
		}
	}
	page.Await("what was broadcast", `[...document.querySelectorAll("#list li")].map((li) => li.id + " " + li.textContent).join() === "one replaced,two second"`)

	_, err = f.broker.Publish(name, channels.Event{Data: []byte(`{"type":"no HTML"}`)})
	if want := "not of the form that its channel has: want turbo, a JSON string: it begins"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("publishing what is no HTML: %v, want %s", err, want)
	}
	stdin.Close()
	if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
		t.Errorf("and then it printed %q (%v)", rest, err)
	}
}
