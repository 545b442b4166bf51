package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// firefoxes are the programs that will do.
var firefoxes = []string{"firefox-esr", "firefox"}

// firefoxPrefs keep it from opening pages of its own, and from calling home.
const firefoxPrefs = `
user_pref("app.update.disabledForTesting", true);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("marionette.port", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
user_pref("toolkit.telemetry.enabled", false);
`

// Fox is a page in Firefox.
type Fox struct {
	t      testing.TB
	driver *marionette // of all pages
	handle string
}

// Firefox starts Firefox with an empty page, until the test ends. Without Firefox the test
// ends.
func Firefox(t testing.TB) *Fox {
	t.Helper()
	return Options{}.Firefox(t)
}

// Firefox starts Firefox with an empty page, until the test ends. Without Firefox the test
// ends.
func (o Options) Firefox(t testing.TB) *Fox {
	t.Helper()
	path := find(t, firefoxes)
	profile, err := os.MkdirTemp("", "millrace-firefox-")
	if err != nil {
		t.Fatal(err)
	}
	prefs := fmt.Sprintf("%suser_pref(\"network.http.http2.enabled\", %v);\n", firefoxPrefs, !o.NoHTTP2)
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(prefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--marionette", "--profile", profile)
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		for range 500 { // its other processes end with it, in a moment
			if err = os.RemoveAll(profile); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("Firefox's profile stays: %v", err)
	})
	driver, err := dialMarionette(profile, time.Now().Add(browserTimeout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { driver.conn.Close() })
	f := &Fox{t: t, driver: driver}
	f.call("WebDriver:NewSession", map[string]any{"acceptInsecureCerts": true}, nil)
	var handle struct{ Value string }
	f.call("WebDriver:GetWindowHandle", nil, &handle)
	f.handle = handle.Value
	return f
}

func (f *Fox) call(command string, args map[string]any, result any) {
	f.t.Helper()
	if err := f.driver.call(command, args, result); err != nil {
		f.t.Fatal(err)
	}
}

// front has what follows be done on this page.
func (f *Fox) front() {
	f.t.Helper()
	f.call("WebDriver:SwitchToWindow", map[string]any{"handle": f.handle}, nil)
}

// Open goes to a page, and waits until it is there.
func (f *Fox) Open(url string) {
	f.t.Helper()
	f.front()
	f.call("WebDriver:Navigate", map[string]any{"url": url}, nil)
}

// Await waits until a JavaScript expression is true in the page. After an error it asks
// again.
func (f *Fox) Await(what, expression string) {
	f.t.Helper()
	f.front()
	ask := func(expression string) (value any, err error) {
		var result struct{ Value any }
		// What the page has declared by let or const, only its own code sees.
		err = f.driver.call("WebDriver:ExecuteScript", map[string]any{"script": "return window.eval(arguments[0])", "args": []any{expression}}, &result)
		return result.Value, err
	}
	for deadline := time.Now().Add(pageTimeout); ; time.Sleep(50 * time.Millisecond) {
		isTrue, err := ask("Boolean(" + expression + ")")
		if isTrue == true {
			return
		}
		if time.Now().After(deadline) {
			text, _ := ask("document.body.innerText")
			f.t.Fatalf("waiting for %s (%s): not within %v, at last %v; the page has\n%v", what, expression, pageTimeout, err, text)
		}
	}
}

// NewTab opens an empty page beside this one.
func (f *Fox) NewTab() Tab {
	f.t.Helper()
	var opened struct{ Handle string }
	f.call("WebDriver:NewWindow", map[string]any{"type": "tab", "focus": true}, &opened)
	return &Fox{f.t, f.driver, opened.Handle}
}
