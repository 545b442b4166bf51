package demo

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"go.uber.org/goleak"

	"millrace/channels"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// start runs a demo until the test ends, and returns its address.
func start(t *testing.T) (*channels.Broker, *server.Server, string) {
	broker, streams, _, url := startDemo(t)
	return broker, streams, url
}

func startDemo(t *testing.T) (*channels.Broker, *server.Server, *Server, string) {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	log := slog.New(slog.DiscardHandler)
	n, err := node.Start(node.Options{
		Public: server.Config{Listen: "127.0.0.1:0", Loops: 1}, Broker: channels.Options{History: 128},
	})
	if err != nil {
		t.Fatal(err)
	}
	broker, streams := n.Broker(), n.Streams()
	d, err := Listen("127.0.0.1:0", Config{
		Broker: broker, Streams: streams.Addr().String(), Admin: "127.0.0.1:7379", Ops: "off", Logger: log,
	})
	if err != nil {
		n.Close()
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve() }()
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		n.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		// net/http lets a connection linger for half a second.
		testenv.Eventually(t, "every goroutine has ended", func() bool { return goleak.Find(leaks) == nil })
	})
	return broker, streams, d, "http://" + d.Addr().String()
}

// Ensure that a newcomer sees prices move, can chat, and after a break misses
// nothing.
func TestDemo(t *testing.T) {
	broker, _, url := start(t)
	say := func(text string) {
		t.Helper()
		data := fmt.Appendf(nil, `{"name":"Heron","text":%q}`, text)
		if _, err := broker.Publish(chatChannel, channels.Event{Data: data, Type: "chat"}); err != nil {
			t.Fatal(err)
		}
	}
	say("before anybody came")
	page := browser.Chromium(t)
	text := func(id string) string { return fmt.Sprintf("document.getElementById(%q).textContent", id) }
	chat := func(i int, line string) string {
		return fmt.Sprintf("document.querySelectorAll('#chat li')[%d]?.textContent == %q", i, line)
	}

	page.Do("opening", chromedp.Navigate(url))
	page.Await("the stream", text("state")+" == 'live'")
	page.Await("what was said before", chat(0, "Heronbefore anybody came"))
	page.Await("prices of all", "document.querySelectorAll('#shares tr').length == 5")
	count := "Number(" + text("count") + ")"
	page.Await("prices that move", count+" > 8 && "+text("last")+".includes('-')")

	page.Do("saying", chromedp.SetValue(chromedp.CSS("#name"), "Otter"), chromedp.SendKeys(chromedp.CSS("#text"), "<i>hello</i>"+kb.Enter))
	page.Await("who received it", text("answer")+" == 'received by 1 page'")
	page.Await("what was said", chat(1, "Otter<i>hello</i>"))

	page.Do("cut", chromedp.Click(chromedp.CSS("#cut")))
	page.Await("that the line is cut", text("state")+" == 'cut'")
	say("while it was cut")
	page.Await("that nothing is lost", text("caught")+".endsWith('none lost')")
	page.Await("what was said meanwhile", chat(2, "Heronwhile it was cut"))
	page.Await("that each is there once", "document.querySelectorAll('#chat li').length == 3")

	page.Await("colours that agree with signs", `[...document.querySelectorAll('#shares tr')].every((row) => {
		const [, , price, change] = row.cells, sign = change.textContent[0];
		const want = sign == '+' ? 'up' : sign == '−' ? 'down' : '';
		return [price, change].every((cell) => ['up', 'down'].filter((c) => cell.classList.contains(c)).join() == want);
	})`)
	for i := range 40 {
		say(fmt.Sprintf("line %d of many", i))
	}
	page.Await("all of it", "document.querySelectorAll('#chat li').length == 43")
	page.Picture("demo-light.png", 1180, 800, "light")
	page.Picture("demo-dark.png", 1180, 800, "dark")
	page.Picture("demo-360.png", 360, 740, "light")
	page.Await("the chat at its height", "document.getElementById('chat').getBoundingClientRect().height == 250")
	page.Await("no sideways scrolling at 360 px", "document.documentElement.scrollWidth <= 360")
}

func TestSay(t *testing.T) {
	_, _, url := start(t)
	for _, tt := range []struct {
		body, site string
		status     int
		text       string
	}{
		{`{"name":"Vole","text":"hello"}`, "same-origin", 200, `{"receivers":0}`},
		{`{"name":"Vole","text":"` + strings.Repeat("ä", maxSaid) + `"}`, "", 200, `{"receivers":0}`},
		{`{"name":" ","text":"hello"}`, "", 400, "want a name and a text"},
		{`{"name":"Vole"}`, "", 400, "want a name and a text"},
		{`hello`, "", 400, "invalid character"},
		{`{"name":"Vole","text":"` + strings.Repeat("x", 4*(maxSaid+maxName)) + `"}`, "", 400, "too large"},
		{`{"name":"Vole","text":"hello"}`, "cross-site", 403, "cross-origin"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", url+"/demo/say", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Sec-Fetch-Site", tt.site)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != tt.status || !bytes.Contains(text, []byte(tt.text)) {
			t.Errorf("saying %.60q from %q: %d %q, want %d with %q", tt.body, tt.site, response.StatusCode, text, tt.status, tt.text)
		}
	}
}

// Ensure that every other path is a channel, with its slashes, and that a stream
// ends when its client leaves; and that without a server, an EventSource is
// told to come back.
func TestStreamsBehind(t *testing.T) {
	broker, streams, url := start(t)
	response, err := http.Get(url + "//a//b")
	if err != nil {
		t.Fatal(err)
	}
	if n := broker.Ports().Subscribers("//a//b"); n != 1 {
		t.Errorf("%d subscribers of //a//b, want 1", n)
	}
	response.Body.Close()
	testenv.Eventually(t, "the stream ends with its client", func() bool { return broker.Ports().Subscribers("//a//b") == 0 })
	streams.Close()
	if response, err = http.Get(url + "/a"); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if response.StatusCode != 200 || string(text) != "retry: 2000\n\n" {
		t.Errorf("without a server behind: %s %q, want 200 and a retry", response.Status, text)
	}
}

// Ensure that connections that ask for nothing keep nobody out, and that streams leave
// room for the page.
func TestFull(t *testing.T) {
	broker, _, d, url := startDemo(t)
	d.streams.SetMost(2)
	for range maxConnections + 20 {
		conn, err := net.Dial("tcp", d.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for i := range 3 {
		response, err := http.Get(url + "/a")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		line, _ := bufio.NewReader(response.Body).ReadString('\n')
		if refused := strings.HasPrefix(line, "retry: "); response.StatusCode != 200 || refused != (i == 2) {
			t.Errorf("stream %d: %s %q, want the third told to come back", i+1, response.Status, line)
		}
	}
	if n := broker.Ports().Subscribers("/a"); n != 2 {
		t.Errorf("%d subscribers, want 2", n)
	}
	response, err := http.Get(url)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("the page: %v, %v", response, err)
	}
	response.Body.Close()
	if got := d.places.Stats(); got.Open > maxConnections || got.Displaced == 0 {
		t.Errorf("%+v, want %d open at most, and some displaced", got, maxConnections)
	}
}
