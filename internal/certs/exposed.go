package certs

import (
	"log/slog"
	"os"
)

// Exposed tells whether a file of keys can be read by every user of the host. That its group
// can read it is how servers share a key.
func Exposed(file string) bool {
	const others = 0o004
	info, err := os.Stat(file)
	return err == nil && info.Mode().Perm()&others != 0
}

// warnExposed logs that a file is Exposed, if it is.
func warnExposed(log *slog.Logger, file string) {
	if Exposed(file) {
		log.Warn("a file of keys can be read by every user of this host", "file", file, "remedy", "chmod o-r "+file)
	}
}
