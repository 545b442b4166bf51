package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"millrace/internal/testenv"
)

// Ensure that `millrace demo` serves its page, and streams beside it, on the
// public port.
func TestDemo(t *testing.T) {
	p := launchCommand(t, testenv.Program(t, false), "demo")
	get := func(path string) *http.Response {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+p.public+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	text, err := io.ReadAll(get("/").Body)
	if err != nil || !strings.Contains(string(text), "new EventSource(") || !strings.Contains(string(text), p.admin) {
		t.Errorf("the page: %v, %d bytes, want an EventSource and the address %s for publishers", err, len(text), p.admin)
	}
	events := get("/demo/ticker").Body
	for seen := ""; !strings.Contains(seen, "event: tick\ndata: {\"symbol\":"); {
		b := make([]byte, 1024)
		n, err := events.Read(b)
		if err != nil {
			t.Fatalf("the ticker ended: %v after %q", err, seen)
		}
		seen += string(b[:n])
	}
	p.signal()
	p.logged("millrace has stopped")
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the end: %v, want exit status 0", err)
	}
}
