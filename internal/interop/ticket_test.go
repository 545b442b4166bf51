package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/redis/go-redis/v9"

	"millrace/channels"
	"millrace/internal/node"
	"millrace/internal/testenv"
	"millrace/internal/testenv/browser"
)

// Ensure that the page and the application of the docs work together in a browser: a
// stream by a ticket, one by its renewal when the connection is lost, and the application
// asked anew when that is void, until it refuses.
func TestTicketPage(t *testing.T) {
	dir := withModules(t)
	page := browser.Chromium(t, "Failed to load resource", "401")
	port := freePort(t)
	n := startAccess(t, node.Access{TicketKeys: node.RandomKey}, "http://127.0.0.1:"+port)
	const section = "I have neither"
	html := example(t, section, "html")
	write(t, filepath.Join(dir, "app.mjs"), example(t, section, "js")+"\nconsole.log('ready')\n")
	write(t, filepath.Join(dir, "page.html"), strings.Replace(html, "https://events.example.org", "http://"+n.PublicAddr(), 1))
	app := command(t, "node", "app.mjs")
	app.Dir = dir
	app.Env = append(os.Environ(), "PORT="+port, "MILLRACE_ADMIN=redis://"+n.AdminAddr())
	background(t, app, "(ready)")
	awaitListener(t, port)

	publish := func(text string) string {
		t.Helper()
		if _, err := n.Broker().Publish("/rooms/1", channels.Event{Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("document.querySelector('#messages').innerText.split('\\n').filter((line) => line === %q).length === 1", text)
	}
	client := redis.NewClient(&redis.Options{Addr: n.AdminAddr()})
	defer client.Close()
	kick := func(args ...any) {
		t.Helper()
		if ended, err := client.Do(t.Context(), append([]any{"SSE.KICK"}, args...)...).Int(); ended != 1 || err != nil {
			t.Fatalf("SSE.KICK %v: %d, %v, want 1", args, ended, err)
		}
	}
	issued := func() int64 { return n.Tickets().Issued }

	page.Do("opening the page", chromedp.Navigate("http://127.0.0.1:"+port+"/"))
	page.Await("being told to log in", "document.body.innerText.includes('log in')")
	page.Do("logging in", chromedp.Evaluate[chromedp.Void]("document.cookie = 'user=alice'"), chromedp.Reload())
	awaitOpened(t, n, 1)
	page.Await("the first message", publish("one"))

	kick("CHANNEL", "/rooms/1") // the page comes back with the renewal
	seen := publish("two")      // which it may have missed
	awaitOpened(t, n, 2)
	page.Await("what was missed", seen)
	if issued() != 1 {
		t.Errorf("%d tickets, want 1: the second stream is by the renewal", issued())
	}

	kick("USER", "alice") // the renewal is void, so the page asks the application
	seen = publish("three")
	awaitOpened(t, n, 3)
	page.Await("what was missed", seen)
	if issued() != 2 {
		t.Errorf("%d tickets, want 2: the third stream is by a new one", issued())
	}

	page.Do("logging out", chromedp.Evaluate[chromedp.Void]("document.cookie = 'user=; max-age=0'"))
	kick("USER", "alice")
	page.Await("being told to log in", "document.body.innerText.includes('log in')")
	awaitOpened(t, n, 3)
}

// awaitOpened waits until a node has opened so many streams, and no more.
func awaitOpened(t *testing.T, n *node.Node, streams uint64) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprint(streams, " streams are opened"), func() bool { return n.Streams().Stats().Opened >= streams })
	if opened := n.Streams().Stats().Opened; opened > streams {
		t.Fatalf("%d streams were opened, want %d", opened, streams)
	}
}
