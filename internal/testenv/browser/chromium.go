// Package browser has tests look at pages as people do, in Chromium and in Firefox. Where a
// browser is missing, the test ends as package testenv has it.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"millrace/internal/testenv"
)

const (
	// browserTimeout bounds all that a test does in a browser, and pageTimeout
	// each wait for something on a page. A busy machine takes its time.
	browserTimeout = 4 * time.Minute
	pageTimeout    = time.Minute
)

// chromiums are the programs that will do.
var chromiums = []string{"chromium", "chromium-browser", "google-chrome"}

// find returns the path of the first of programs that there is. Without any the test ends.
func find(t testing.TB, programs []string) string {
	t.Helper()
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	testenv.Lack(t, fmt.Sprintf("no browser: %q, want one of them", programs))
	return ""
}

// Page is a page in Chromium. Its methods end the test when they fail.
type Page struct {
	t        testing.TB
	ctx      context.Context
	expected []string        // parts of what the console may complain of
	reading  *sync.WaitGroup // of the consoles of all pages
}

// Chromium starts Chromium with an empty page, until the test ends. Without
// Chromium the test ends. Its Options have what is expected.
func Chromium(t testing.TB, expected ...string) *Page {
	t.Helper()
	return Options{Expected: expected}.Chromium(t)
}

// Chromium starts Chromium with an empty page, until the test ends. Without
// Chromium the test ends. Hosts whose names end in .test are this one.
func (o Options) Chromium(t testing.TB) *Page {
	t.Helper()
	path := find(t, chromiums)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.WSURLReadTimeout(pageTimeout), chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"), chromedp.Flag("disable-http2", o.NoHTTP2))
	if o.Trusted != "" {
		options = append(options, chromedp.Flag("ignore-certificate-errors-spki-list", keyOf(t, o.Trusted)))
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	bounded, stop := context.WithTimeout(context.Background(), browserTimeout)
	allocator, release := chromedp.NewExecAllocator(bounded, options...)
	ctx, end := chromedp.NewContext(allocator)
	var reading sync.WaitGroup
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("ending the browser: %v", err)
		}
		end()
		release()
		stop()
		reading.Wait()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	p := &Page{t, ctx, o.Expected, &reading}
	p.watchConsole()
	return p
}

// watchConsole has the test fail for what the console complains of, unless it is expected.
func (p *Page) watchConsole() {
	console := chromedp.Console(p.ctx)
	p.reading.Go(func() {
		for m, err := range console {
			if err != nil {
				return // the test has ended
			}
			isExpected := func(e string) bool { return strings.Contains(m.Text, e) }
			if complains(m.Type) && !slices.ContainsFunc(p.expected, isExpected) {
				p.t.Errorf("the browser's console has %s (%s:%d)", m, m.URL, m.Line+1)
			}
		}
	})
}

// NewTab opens an empty page beside this one.
func (p *Page) NewTab() Tab {
	p.t.Helper()
	ctx, end := chromedp.NewContext(p.ctx)
	p.t.Cleanup(end)
	tab := &Page{p.t, ctx, p.expected, p.reading}
	tab.Open("about:blank")
	tab.watchConsole()
	return tab
}

// Open goes to a page, and waits until it is there.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.Do("opening "+url, chromedp.Navigate(url))
}

// keyOf returns the hash of the key that the certificate in a file is for, as Chromium has it.
func keyOf(t testing.TB, certFile string) string {
	t.Helper()
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(key[:])
}

// Do does something on the page.
func (p *Page) Do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// Prepare has a script run before those of every page to come.
func (p *Page) Prepare(script string) {
	p.t.Helper()
	p.Do("preparing", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

// Await waits until a JavaScript expression is true in the page. It asks again after an
// error, so that it may begin before the page is there. (A poll
// within the page would end with the page that it was sent to.)
func (p *Page) Await(what, expression string) {
	p.t.Helper()
	for deadline := time.Now().Add(pageTimeout); ; time.Sleep(50 * time.Millisecond) {
		isTrue, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if isTrue {
			return
		}
		if time.Now().After(deadline) || p.ctx.Err() != nil {
			text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			p.t.Fatalf("waiting for %s (%s): not within %v, at last %v; the page has\n%s", what, expression, pageTimeout, err, text)
		}
	}
}

// Picture keeps a picture of the whole page, in a window of that size and with
// the colour scheme "light" or "dark".
func (p *Page) Picture(name string, width, height int64, scheme string) {
	p.t.Helper()
	dress := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	// Two frames later, what follows from the size and the colours has been done.
	const settled = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
	p.Do("size of "+name, dress, chromedp.EmulateViewport(width, height),
		chromedp.Evaluate[chromedp.Void](settled, chromedp.EvalAwaitPromise))
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatalf("picture %s: %v", name, err)
	}
	Keep(p.t, name, picture)
}

// complains tells whether a line of that type on the console says that something
// is wrong.
func complains(kind chromedp.ConsoleType) bool {
	return kind == chromedp.ConsoleError || kind == chromedp.ConsoleWarning || kind == chromedp.ConsoleException
}

// Keep writes a file that a test has made for people to look at, and logs where: in a
// directory of the user's among the temporary files.
func Keep(t testing.TB, name string, data []byte) {
	t.Helper()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("millrace-tests-%d", os.Getuid()), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("kept %s", path)
}
