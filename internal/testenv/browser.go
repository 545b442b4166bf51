package testenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browserTimeout bounds what a test does in a browser.
const browserTimeout = 2 * time.Minute

// Browser starts Chromium with an empty page, until the test ends, and returns
// the context for chromedp. Without Chromium the test ends. An error on the
// console of a page, or an exception, fails the test, unless its text contains
// one of expected.
func Browser(t testing.TB, expected ...string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		path = Need(t, "google-chrome")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.WSURLReadTimeout(time.Minute)) // a busy machine takes its time
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
	console := chromedp.Console(ctx)
	reading.Go(func() {
		for m, err := range console {
			if err != nil {
				return // the test has ended
			}
			isExpected := func(e string) bool { return strings.Contains(m.Text, e) }
			if complains(m.Type) && !slices.ContainsFunc(expected, isExpected) {
				t.Errorf("the browser's console has %s (%s:%d)", m, m.URL, m.Line+1)
			}
		}
	})
	return ctx
}

// complains tells whether a line of that type on the console says that something
// is wrong.
func complains(kind chromedp.ConsoleType) bool {
	return kind == chromedp.ConsoleError || kind == chromedp.ConsoleWarning || kind == chromedp.ConsoleException
}

// Keep writes what a test has made for people to look at, and logs where: below
// millrace-tests in the directory for temporary files.
func Keep(t testing.TB, name string, data []byte) {
	t.Helper()
	path := filepath.Join(os.TempDir(), "millrace-tests", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("kept %s", path)
}
