package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"millrace/channels"
	"millrace/internal/backplane/link"
	"millrace/internal/testenv/browser"
	"millrace/server"
)

// load keeps some streams open and publishes to them until the test ends.
func (n *node) load() {
	for room := range 12 {
		for range 1 + room*room/4 {
			stream := n.subscribe(fmt.Sprintf("/rooms/%d", room))
			go func() {
				for err := error(nil); err == nil; {
					_, err = stream.Next()
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

// Ensure that the figures of the dashboard are those of the node, and move; that
// what is published shows up in the pane; and that it fits a telephone.
func TestDashboard(t *testing.T) {
	n := start(t, Config{Version: "v0.0.0-test"}, channels.Options{History: 10, Epoch: "E"}, server.Config{Loops: 2})
	n.load()
	page := browser.Chromium(t)
	text := func(id string) string { return fmt.Sprintf("document.getElementById(%q).textContent", id) }

	page.Do("opening", chromedp.Navigate("http://"+n.ops.Addr().String()+"/"))
	streams := n.public.Stats().Streams
	page.Await("the number of streams", fmt.Sprintf("%s == '%d'", text("streams"), streams))
	page.Await("a rate", "parseFloat("+text("deliveries")+") > 0")
	page.Await("the fan-out", text("p99")+".includes('s')")
	page.Await("the busiest channel", "document.querySelector('#channel-rows tr')?.dataset.name == '/rooms/11'")
	n.subscribe("/rooms/11")
	page.Await("one stream more", fmt.Sprintf("%s == '%d'", text("streams"), streams+1))
	page.Await("its rate of events", "parseFloat(document.querySelector('#channel-rows tr').cells[2].textContent) > 0")
	page.Await("plots that move", `document.querySelectorAll(".u-legend .u-value").length >= 14`)
	page.Await("bars", "document.querySelectorAll('[role=meter]').length == 5")

	// By keyboard alone: the filter, and a channel of its answer.
	page.Do("filter", chromedp.KeyEvent("/"), chromedp.KeyEvent("rooms/3"))
	page.Await("the filtered table", "document.querySelectorAll('#channel-rows tr').length == 1")
	page.Do("follow", chromedp.Focus(chromedp.CSS("#channel-rows button")), chromedp.KeyEvent(kb.Enter))
	page.Await("that it follows", text("follow-note")+" == 'Following /rooms/3.'")

	// One who does not read.
	n.subscribe("/slow")
	for deadline := time.Now().Add(patience); n.public.Stats().Behind == 0 && time.Now().Before(deadline); {
		n.broker.Publish("/slow", channels.Event{Data: []byte(strings.Repeat("x", 59<<10))})
	}
	page.Await("the slow reader", "document.querySelector('#slow-rows tr')?.cells[1].textContent == '/slow'")

	const data = "<b>no markup</b>\\nsecond line"
	page.Do("publish",
		chromedp.SetValue(chromedp.CSS("#publish-channel"), "/chat"),
		chromedp.SetValue(chromedp.CSS("#publish-event"), "greeting"),
		chromedp.SetValue(chromedp.CSS("#publish-data"), "<b>no markup</b>\nsecond line"),
		chromedp.SetValue(chromedp.CSS("#follow-channel"), "/chat"),
		chromedp.Evaluate[chromedp.Void]("document.getElementById('follow-channel').dispatchEvent(new Event('input'))"),
		chromedp.Click(chromedp.CSS("#follow-button")))
	page.Await("that it follows", text("follow-note")+" == 'Following /chat.'")
	page.Do("publish", chromedp.Focus(chromedp.CSS("#publish-data")), chromedp.KeyEvent("\r", chromedp.KeyModifiers(kb.ModifierCtrl)))
	page.Await("the answer", text("publish-result")+".startsWith('1 receiver · E-')")
	page.Await("the event in the pane", fmt.Sprintf(
		`document.querySelector("#pane pre")?.textContent == "%s" && document.querySelector("#pane .type").textContent == "greeting"`, data))

	page.Do("no filter", chromedp.Evaluate[chromedp.Void]("document.getElementById('filter').value = ''; document.getElementById('filter').dispatchEvent(new Event('input'))"))
	page.Await("the whole table", "document.querySelectorAll('#channel-rows tr').length > 10")
	page.Picture("dashboard-light.png", 1440, 900, "light")
	page.Picture("dashboard-dark.png", 1440, 900, "dark")
	page.Picture("dashboard-360.png", 360, 740, "light")
	page.Await("no sideways scrolling at 360 px", "document.documentElement.scrollWidth <= 360")
}

// noted has a page note what each of its canvases shows, as texts, in window.shown; and
// take from streams what Safari lacks.
const noted = `
	delete ReadableStream.prototype[Symbol.asyncIterator];
	delete ReadableStream.prototype.values;
	window.shown = new Map();
	const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
	CanvasRenderingContext2D.prototype.clearRect = function (...at) { shown.set(this.canvas, []); clearRect.apply(this, at); };
	CanvasRenderingContext2D.prototype.fillText = function (text, ...at) { if (text) shown.get(this.canvas)?.push(text); fillText.call(this, text, ...at); };
`

// Ensure that the page of a node where nothing happens shows no mark of an axis twice,
// that it says how the engine is and why there should be no new clients, and that it does
// with what Safari has.
func TestDashboardOfAnIdleNode(t *testing.T) {
	var draining atomic.Bool
	var engine atomic.Pointer[link.State]
	engine.Store(&link.State{Engine: "Redis", Up: true, Since: time.Now().Add(-90 * time.Second)})
	n := start(t, Config{Engine: func() link.State { return *engine.Load() }, Ready: func() error {
		if draining.Load() {
			return errors.New("millrace is stopping")
		}
		return nil
	}}, channels.Options{}, server.Config{Loops: 1})
	page := browser.Chromium(t)
	page.Prepare(noted)
	page.Do("opening", chromedp.Navigate("http://"+n.ops.Addr().String()+"/"))
	page.Await("figures", "document.getElementById('streams').textContent == '0'")
	page.Await("the engine", "document.getElementById('engine').textContent.startsWith('Redis up 1 min 3')")
	page.Await("no word of new clients", "document.getElementById('ready').hidden")
	const canvases = "[...shown.entries()].filter(([canvas]) => canvas.isConnected).map(([, texts]) => texts)"
	page.Await("five plots with a zero each", canvases+".length == 5 && "+canvases+".every((texts) => texts.some((text) => text.startsWith('0')))")
	page.Await("no mark twice", canvases+".every((texts) => new Set(texts).size == texts.length)")
	page.Picture("dashboard-idle.png", 1440, 900, "light")
	page.Picture("dashboard-idle-360.png", 360, 740, "light")
	draining.Store(true)
	engine.Store(&link.State{Engine: "Redis", Since: time.Now()})
	page.Await("the drain", "document.getElementById('ready').textContent == 'no new clients: millrace is stopping'")
	page.Await("the engine's end", "document.getElementById('engine').textContent.startsWith('Redis down') && document.getElementById('engine').dataset.state == 'lost'")
	page.Picture("dashboard-drain-360.png", 360, 740, "light")
	page.Await("no sideways scrolling at 360 px", "document.documentElement.scrollWidth <= 360")
}

// Ensure that the page asks for the token, again after a wrong one, and no more
// after the right one.
func TestDashboardToken(t *testing.T) {
	n := start(t, Config{Token: "secret"}, channels.Options{}, server.Config{Loops: 1})
	page := browser.Chromium(t, "401 (Unauthorized)")
	enter := func(token string) {
		page.Do("token", chromedp.WaitVisible(chromedp.CSS("#token")), chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	}
	page.Do("opening", chromedp.Navigate("http://"+n.ops.Addr().String()+"/"))
	enter("wrong")
	page.Await("another question", "document.getElementById('sign-in-error').textContent == 'That is not the token.'")
	enter("secret")
	page.Await("figures", "document.getElementById('streams').textContent == '0'")
	page.Do("reload", chromedp.Reload())
	page.Await("figures", "document.getElementById('streams').textContent == '0'")
	page.Await("no question", "!document.getElementById('sign-in').open")
}
