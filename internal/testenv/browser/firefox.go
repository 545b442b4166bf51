package browser

import (
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
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
user_pref("toolkit.telemetry.enabled", false);
`

// Firefox opens a page in Firefox until the test ends. The test does not drive it: the
// page has to report by itself. Without Firefox the test ends.
func Firefox(t testing.TB, url string) {
	t.Helper()
	path := find(t, firefoxes)
	profile, err := os.MkdirTemp("", "millrace-firefox-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, url)
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
}
