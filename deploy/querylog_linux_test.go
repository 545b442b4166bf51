package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testenv"
)

// Ensure that no proxy logs a query string, which has signed names and tickets: neither when
// all is well, nor when millrace cannot be reached.
func TestNoQueryStringsInLogs(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		const ticket = "a-ticket-that-nobody-must-see"
		well := newSite(t, p, startMillrace(t, 0).address)
		response, leave := well.get("/a?ticket=" + ticket)
		response.Body.Close()
		leave()
		down := newSite(t, p, freeAddress(t))
		for range 3 {
			response, leave := down.get("/a?ticket="+ticket, "Referer", "http://h/?ticket="+ticket)
			response.Body.Close()
			leave()
		}
		if p.tool == "nginx" {
			testenv.Eventually(t, "nginx logs the failures", func() bool {
				text, _ := os.ReadFile(filepath.Join(down.dir, "failures.log"))
				return strings.Count(string(text), "GET /a ") == 3
			})
		}
		for _, s := range []*site{well, down} {
			err := filepath.WalkDir(s.dir, func(name string, d os.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				text, err := os.ReadFile(name)
				if err == nil && strings.Contains(string(text), ticket) {
					t.Errorf("%s has the ticket: %.600s", filepath.Base(name), text)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}
