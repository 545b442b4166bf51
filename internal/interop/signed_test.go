package interop

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"millrace/channels"
	"millrace/internal/node"
	"millrace/internal/testenv/browser"
)

const signSection = "I have a key to sign with"

// signers run the lines of the docs that sign an address, by the language that the docs
// have them in.
var signers = map[string]func(t *testing.T, file string) *exec.Cmd{
	"ruby":   func(t *testing.T, file string) *exec.Cmd { return command(t, "ruby", file) },
	"php":    func(t *testing.T, file string) *exec.Cmd { return command(t, "php", file) },
	"python": func(t *testing.T, file string) *exec.Cmd { return command(t, "/usr/bin/python3", file) },
	"js": func(t *testing.T, file string) *exec.Cmd {
		return command(t, "node", "--input-type=module", "-e", read(t, file))
	},
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// signedQuery is what the docs' lines of a language print.
func signedQuery(t *testing.T, language string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sign."+language)
	write(t, file, example(t, signSection, language))
	cmd := signers[language](t, file)
	cmd.Env = append(os.Environ(), "SIGN_KEY="+signingSecret, "LANG=C.UTF-8")
	return strings.TrimSuffix(output(t, cmd), "\n")
}

// Ensure that the lines of the docs sign what a node takes, in every language, and that
// nothing of it can be changed.
func TestSignedAddresses(t *testing.T) {
	n := startAccess(t, node.Access{SignKeys: []string{"ffffffffffffffffffffffffffffffff", signingSecret}})
	streams := "http://" + n.PublicAddr()
	for language := range signers {
		t.Run(language, func(t *testing.T) {
			query := signedQuery(t, language)
			wantStatus(t, streams+"/events?"+query, 200, "")
			wantStatus(t, streams+"/rooms/42?"+query, 200, "") // the same channels
			wantStatus(t, streams+"/rooms/43?"+query, 401, "signature")
			wantStatus(t, streams+"/events?channel=/x&"+query, 401, "signature")
			wantStatus(t, streams+"/events?"+strings.Replace(query, "expires=1", "expires=2", 1), 401, "signature")
		})
	}
}

// Ensure that the page of the docs listens from another site, by an address that its
// application has signed.
func TestSignedAddressOfAnotherSite(t *testing.T) {
	const section = "Another site's cookies do not arrive"
	page := browser.Chromium(t)
	query := signedQuery(t, "python")
	var html string
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/signed-query" {
			fmt.Fprint(w, query)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, html)
	}))
	defer pages.Close()
	_, port, _ := net.SplitHostPort(pages.Listener.Addr().String())
	origin := "http://app.elsewhere.test:" + port
	n := startAccess(t, node.Access{SignKeys: []string{signingSecret}}, origin)
	_, streams, _ := net.SplitHostPort(n.PublicAddr())
	html = strings.Replace(example(t, section, "html"), "https://events.example.org", "http://events.example.test:"+streams, 1)
	page.Do("opening the page", chromedp.Navigate(origin+"/"))
	f := &fixture{t, n.Streams(), n.Broker(), n.PublicAddr(), n.AdminAddr()}
	f.awaitSubscribersOf("/rooms/42", 1)
	if _, err := n.Broker().Ports().Publish("größer", channels.Event{Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	page.Await("what was published", `document.querySelector("#messages").textContent === "hello"`)
}

// Ensure that the application of the docs has its page listen by the token in its cookie,
// from another host of its site, to what the token grants; and that a page of another site
// does not, in the same browser.
func TestTokenInCookie(t *testing.T) {
	dir := withModules(t)
	page := browser.Chromium(t, "Failed to load resource", "CORS", "401")
	port := freePort(t)
	same, other := "http://app.example.test:"+port, "http://www.elsewhere.test:"+port
	n := startAccess(t, node.Access{JWT: node.JWT{Keys: []string{signingSecret}, Cookie: "mercureAuthorization", Grants: []string{"channels"}}}, same)
	_, streams, _ := net.SplitHostPort(n.PublicAddr())
	write(t, filepath.Join(dir, "app.mjs"), strings.Replace(example(t, "I have JWT", "js"), ".listen(PORT, '127.0.0.1')", ".listen(PORT, '127.0.0.1', () => console.log('listening'))", 1))
	app := command(t, "node", "app.mjs")
	app.Dir = dir
	app.Env = append(os.Environ(), "JWT_KEY="+signingSecret, "DOMAIN=example.test", "STREAMS=http://events.example.test:"+streams, "PORT="+port)
	background(t, app, "(listening)")

	f := &fixture{t, n.Streams(), n.Broker(), n.PublicAddr(), n.AdminAddr()}
	page.Do("opening the page", chromedp.Navigate(same+"/?user=alice"))
	f.awaitSubscribersOf("/rooms/1", 1)
	if _, err := n.Broker().Ports().Publish("/rooms/1", channels.Event{Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	page.Await("what was published", `document.querySelector("#messages").textContent === "hello"`)

	listen := fmt.Sprintf(`
		window.state = ''
		const source = new EventSource('http://events.example.test:%s/rooms/1', {withCredentials: true})
		source.onopen = () => state = 'open'
		source.onerror = () => state = source.readyState === EventSource.CLOSED ? 'refused' : 'lost'`, streams)
	for _, tt := range []struct{ target, state string }{
		{same + "/favicon.ico", "open"},     // a page with nothing on it, and alice's cookie
		{same + "/?user=bob", "refused"},    // whose token grants another room
		{other + "/favicon.ico", "refused"}, // of another site
	} {
		page.Do("opening "+tt.target, chromedp.Navigate(tt.target), chromedp.Evaluate[chromedp.Void](listen))
		page.Await(tt.state+" at "+tt.target, "state === '"+tt.state+"'")
	}
}
