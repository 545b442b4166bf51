package certs

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/internal/testenv"
)

// Ensure that the log tells of files of keys that every user of the host can read, when they
// are read and when they are read again.
func TestExposedKeys(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	cert, key := testenv.Certificate(t, "localhost")
	tickets := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(tickets, []byte(strings.Repeat("ab", 32)), 0o640); err != nil {
		t.Fatal(err)
	}
	store, err := Load(logger, Files{cert, key})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := LoadTicketKeys(logger, tickets, func([][32]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	const warning = "can be read by every user of this host"
	if strings.Contains(log.String(), warning) {
		t.Errorf("files that only their owner and their group can read are told of:\n%s", &log)
	}
	for _, tt := range []struct {
		file   string
		reload func()
	}{{key, store.Reload}, {tickets, keys.Reload}} {
		log.Reset()
		if err := os.Chmod(tt.file, 0o604); err != nil {
			t.Fatal(err)
		}
		tt.reload()
		if got := log.String(); !strings.Contains(got, warning) || !strings.Contains(got, "chmod o-r "+tt.file) {
			t.Errorf("%s is read with mode 604, and the log has\n%s", tt.file, got)
		}
	}
	log.Reset()
	_, first := Load(logger, Files{cert, key})
	_, second := LoadTicketKeys(logger, tickets, func([][32]byte) {})
	if n := strings.Count(log.String(), warning); n != 2 || first != nil || second != nil {
		t.Errorf("at the start the log tells of %d files, want 2 (%v, %v):\n%s", n, first, second, &log)
	}
}
