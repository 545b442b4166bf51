package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"millrace/internal/ssetest"
	"millrace/internal/testenv"
)

// Ensure that a node that drains is healthy still, and wants no new clients.
func TestReadyUntilDrain(t *testing.T) {
	p := launch(t, testenv.Program(t, false), "--ops", "127.0.0.1:0", "--drain", "1m", "--loops", "2")
	get := func(path string) (int, string) {
		t.Helper()
		response, err := http.Get("http://" + p.ops + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := get(path); status != 200 {
			t.Errorf("GET %s: %d %q, want 200", path, status, text)
		}
	}
	for range 20 { // of which the last is told after a minute, or near it
		stream := ssetest.Client{Target: "/x"}
		if err := stream.Open(p.public, time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	p.signal()
	p.logged("draining")
	if status, text := get("/readyz"); status != 503 || !strings.Contains(text, "millrace is stopping") {
		t.Errorf("GET /readyz during the drain: %d %q, want 503, with the reason", status, text)
	}
	if status, text := get("/healthz"); status != 200 {
		t.Errorf("GET /healthz during the drain: %d %q, want 200", status, text)
	}
	p.signal() // ends it at once
}
