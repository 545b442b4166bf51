package browser

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"testing"
)

// Pages serves pages to browsers, and takes their reports to the test.
type Pages struct {
	URL     string // of the pages, without a slash at the end
	Reports <-chan Report
}

// Report is what a page or a program has posted to /report, as JSON.
type Report struct{ Client, Type, Data, ID string }

// ServePages serves the files of dir until the test ends, modules also by names without
// .js, as bundlers know them.
func ServePages(t testing.TB, dir string) *Pages {
	reports := make(chan Report, 64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := filepath.Join(dir, path.Clean(r.URL.Path))
		switch r.URL.Path {
		case "/favicon.ico":
			w.WriteHeader(http.StatusNoContent)
		case "/report":
			var got Report
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Errorf("a report: %v", err)
			}
			select {
			case reports <- got:
			case <-t.Context().Done():
			}
		default:
			if _, err := os.Stat(file); err != nil {
				file += ".js"
			}
			http.ServeFile(w, r, file)
		}
	}))
	t.Cleanup(s.Close)
	return &Pages{s.URL, reports}
}
