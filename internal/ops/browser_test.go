package ops

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"millrace/channels"
	"millrace/internal/testenv"
	"millrace/server"
)

// load keeps some streams open and publishes to them until the test ends.
func (n *node) load() {
	for room := range 12 {
		for range 1 + room*room/4 {
			lines := n.subscribe(fmt.Sprintf("/rooms/%d", room))
			go func() {
				for lines.Scan() {
				}
			}()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				n.broker.Publish(fmt.Sprintf("/rooms/%d", i%12), channels.Event{Data: []byte(`{"n":1}`)})
			}
		}
	})
	n.t.Cleanup(publishing.Wait)
	n.t.Cleanup(cancel)
}

// run does something in a browser.
func run(t *testing.T, ctx context.Context, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// awaitPage waits until an expression is true in the page.
func awaitPage(t *testing.T, ctx context.Context, what, expression string) {
	t.Helper()
	err := chromedp.Do(ctx, chromedp.Poll[chromedp.Void](expression,
		chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
		t.Fatalf("waiting for %s (%s): %v; the page has\n%s", what, expression, err, text)
	}
}

// look keeps a picture of the whole page.
func look(t *testing.T, ctx context.Context, name string, width, height int64, scheme string) {
	t.Helper()
	dress := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	run(t, ctx, "size of "+name, dress, chromedp.EmulateViewport(width, height),
		chromedp.Poll[chromedp.Void](`[...document.querySelectorAll(".plot")].every((p) => p.querySelector("canvas").clientWidth == Math.max(p.clientWidth, 200))`))
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatalf("picture %s: %v", name, err)
	}
	testenv.Keep(t, name, picture)
}

// Ensure that the figures of the dashboard are those of the node, and move; that
// what is published shows up in the pane; and that it fits a telephone.
func TestDashboard(t *testing.T) {
	n := start(t, Config{Version: "v0.0.0-test"}, channels.Options{History: 10, Epoch: "E"}, server.Config{Loops: 2})
	n.load()
	ctx := testenv.Browser(t)
	text := func(id string) string { return fmt.Sprintf("document.getElementById(%q).textContent", id) }

	run(t, ctx, "opening", chromedp.Navigate("http://"+n.ops.Addr().String()+"/"))
	streams := n.public.Stats().Streams
	awaitPage(t, ctx, "the number of streams", fmt.Sprintf("%s == '%d'", text("streams"), streams))
	awaitPage(t, ctx, "a rate", "parseFloat("+text("deliveries")+") > 0")
	awaitPage(t, ctx, "the fan-out", text("p99")+".includes('s')")
	awaitPage(t, ctx, "the busiest channel", "document.querySelector('#channel-rows tr')?.dataset.name == '/rooms/11'")
	n.subscribe("/rooms/11")
	awaitPage(t, ctx, "one stream more", fmt.Sprintf("%s == '%d'", text("streams"), streams+1))
	awaitPage(t, ctx, "its rate of events", "parseFloat(document.querySelector('#channel-rows tr').cells[2].textContent) > 0")
	awaitPage(t, ctx, "plots that move", `document.querySelectorAll(".u-legend .u-value").length >= 13`)
	awaitPage(t, ctx, "bars", "document.querySelectorAll('[role=meter]').length == 5")

	// By keyboard alone: the filter, and a channel of its answer.
	run(t, ctx, "filter", chromedp.KeyEvent("/"), chromedp.KeyEvent("rooms/3"))
	awaitPage(t, ctx, "the filtered table", "document.querySelectorAll('#channel-rows tr').length == 1")
	run(t, ctx, "follow", chromedp.Focus(chromedp.CSS("#channel-rows button")), chromedp.KeyEvent(kb.Enter))
	awaitPage(t, ctx, "that it follows", text("follow-note")+" == 'Following /rooms/3.'")

	// One who does not read.
	n.subscribe("/slow")
	for deadline := time.Now().Add(patience); n.public.Stats().Behind == 0 && time.Now().Before(deadline); {
		n.broker.Publish("/slow", channels.Event{Data: []byte(strings.Repeat("x", 60<<10))})
	}
	awaitPage(t, ctx, "the slow reader", "document.querySelector('#slow-rows tr')?.cells[1].textContent == '/slow'")

	const data = "<b>no markup</b>\\nsecond line"
	run(t, ctx, "publish",
		chromedp.SetValue(chromedp.CSS("#publish-channel"), "/chat"),
		chromedp.SetValue(chromedp.CSS("#publish-event"), "greeting"),
		chromedp.SetValue(chromedp.CSS("#publish-data"), "<b>no markup</b>\nsecond line"),
		chromedp.SetValue(chromedp.CSS("#follow-channel"), "/chat"),
		chromedp.Evaluate[chromedp.Void]("document.getElementById('follow-channel').dispatchEvent(new Event('input'))"),
		chromedp.Click(chromedp.CSS("#follow-button")))
	awaitPage(t, ctx, "that it follows", text("follow-note")+" == 'Following /chat.'")
	run(t, ctx, "publish", chromedp.Focus(chromedp.CSS("#publish-data")), chromedp.KeyEvent("\r", chromedp.KeyModifiers(kb.ModifierCtrl)))
	awaitPage(t, ctx, "the answer", text("publish-result")+".startsWith('1 receiver · E-')")
	awaitPage(t, ctx, "the event in the pane", fmt.Sprintf(
		`document.querySelector("#pane pre")?.textContent == "%s" && document.querySelector("#pane .type").textContent == "greeting"`, data))

	run(t, ctx, "no filter", chromedp.Evaluate[chromedp.Void]("document.getElementById('filter').value = ''; document.getElementById('filter').dispatchEvent(new Event('input'))"))
	awaitPage(t, ctx, "the whole table", "document.querySelectorAll('#channel-rows tr').length > 10")
	look(t, ctx, "dashboard-light.png", 1440, 900, "light")
	look(t, ctx, "dashboard-dark.png", 1440, 900, "dark")
	look(t, ctx, "dashboard-360.png", 360, 740, "light")
	awaitPage(t, ctx, "no sideways scrolling at 360 px", "document.documentElement.scrollWidth <= 360")
}

// Ensure that the page asks for the token, again after a wrong one, and no more
// after the right one.
func TestDashboardToken(t *testing.T) {
	n := start(t, Config{Token: "secret"}, channels.Options{}, server.Config{Loops: 1})
	ctx := testenv.Browser(t, "401 (Unauthorized)")
	enter := func(token string) {
		run(t, ctx, "token", chromedp.WaitVisible(chromedp.CSS("#token")), chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	}
	run(t, ctx, "opening", chromedp.Navigate("http://"+n.ops.Addr().String()+"/"))
	enter("wrong")
	awaitPage(t, ctx, "another question", "document.getElementById('sign-in-error').textContent == 'That is not the token.'")
	enter("secret")
	awaitPage(t, ctx, "figures", "document.getElementById('streams').textContent == '0'")
	run(t, ctx, "reload", chromedp.Reload())
	awaitPage(t, ctx, "figures", "document.getElementById('streams').textContent == '0'")
	awaitPage(t, ctx, "no question", "!document.getElementById('sign-in').open")
}
