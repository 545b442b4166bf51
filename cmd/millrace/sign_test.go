package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Ensure that an address is signed by the first key, of those in files, too.
func TestSign(t *testing.T) {
	key := strings.Repeat("k", 32)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const query = "channel=%2Frooms%2F42&expires=1790003600&signature=olRG5uja0pbCWGqUqThPUZmKBTlMzqaqpbZOnlxtV_E\n"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--sign-key", key, "/rooms/42"}, "/events?" + query},
		{[]string{"--sign-key-file", file, "--url", "https://h/x?a=b", "/rooms/42"}, "https://h/x?a=b&" + query},
		{[]string{"--sign-key", key, "--sign-key", strings.Repeat("x", 32), "--for", "60m", "/rooms/42"}, "/events?" + query},
	} {
		var c commands
		if _, err := newParser(&c).Parse(append([]string{"sign"}, tt.args...)); err != nil {
			t.Fatalf("%q: %v", tt.args, err)
		}
		var out bytes.Buffer
		if err := c.Sign.sign(&out, time.Unix(1_790_000_000, 0)); err != nil || out.String() != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.args, &out, err, tt.want)
		}
	}
}
