package interop

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"millrace/internal/auth/application"
	"millrace/internal/node"
	"millrace/internal/testenv/browser"
)

// Ensure that a page gets its streams by its application's cookie from another host of the
// same site, and that a page of another site does not, with the cookie in the same browser.
func TestCookiesOfASite(t *testing.T) {
	app := rails(t)
	page := browser.Chromium(t, "Failed to load resource", "CORS", "401")
	session, _ := strings.CutPrefix(logIn(t, app, "alice"), "Cookie: ")
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "app.") { // as Rails has it with domain: :all
			w.Header().Set("Set-Cookie", session+"; domain=example.test; path=/; HttpOnly; SameSite=Lax")
		}
		fmt.Fprint(w, "<!DOCTYPE html><title>x</title>")
	}))
	defer pages.Close()
	_, port, _ := net.SplitHostPort(pages.Listener.Addr().String())
	same, other := "http://app.example.test:"+port, "http://www.elsewhere.test:"+port
	n := startAccess(t, node.Access{Application: application.Config{URL: app + "/may-listen"}}, same, other)
	_, streams, _ := net.SplitHostPort(n.PublicAddr())
	listen := fmt.Sprintf(`
		window.state = ''
		const source = new EventSource('http://events.example.test:%s/rooms/1', {withCredentials: true})
		source.onopen = () => state = 'open'
		source.onerror = () => state = source.readyState === EventSource.CLOSED ? 'refused' : 'lost'`, streams)
	for _, tt := range []struct{ origin, state string }{{same, "open"}, {other, "refused"}} {
		page.Do("opening "+tt.origin, chromedp.Navigate(tt.origin+"/"), chromedp.Evaluate[chromedp.Void](listen))
		page.Await(tt.state+" at "+tt.origin, "state === '"+tt.state+"'")
	}
}
