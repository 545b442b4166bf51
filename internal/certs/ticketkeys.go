package certs

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxTicketKeys bounds the keys of a file: a ticket that none has sealed is tried with all.
const MaxTicketKeys = 16

// maxTicketFile bounds a file of keys, in bytes.
const maxTicketFile = 64 << 10

// ErrTicketKeys is wrapped by errors about what is in a file of keys. They never show it.
var ErrTicketKeys = errors.New("want keys of 32 bytes, one a line as 64 hexadecimal digits or in base64")

// TicketKeys are the keys of session tickets, from a file that nodes behind one name share:
// the first seals, all open. Safe for concurrent use.
type TicketKeys struct {
	log      *slog.Logger
	file     string
	use      func([][32]byte)
	failures atomic.Uint64

	mu   sync.Mutex // one reads the file at a time
	seen os.FileInfo
	keys int
}

// LoadTicketKeys reads file and hands its keys to use, as it does each time they are read
// again. log gets to know what that brings.
func LoadTicketKeys(log *slog.Logger, file string, use func([][32]byte)) (*TicketKeys, error) {
	k := &TicketKeys{log: log, file: file, use: use}
	warnExposed(log, file)
	return k, k.read()
}

// read reads the file anew. With an error the keys are as before.
func (k *TicketKeys) read() error {
	seen, err := os.Stat(k.file)
	k.seen = seen
	if err != nil {
		return err
	}
	keys, err := ReadTicketKeys(k.file)
	if err != nil {
		return err
	}
	k.keys = len(keys)
	k.use(keys)
	return nil
}

// ReadTicketKeys returns the keys that are in a file.
func ReadTicketKeys(name string) ([][32]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTicketFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxTicketFile:
		return nil, fmt.Errorf("%s has more than %d bytes: %w", name, maxTicketFile, ErrTicketKeys)
	}
	keys, err := parseTicketKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keys, nil
}

// parseTicketKeys reads keys line by line. Empty lines are passed over.
func parseTicketKeys(text string) (keys [][32]byte, err error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		decode := base64.StdEncoding.DecodeString
		if len(line) == hex.EncodedLen(32) {
			decode = hex.DecodeString
		}
		key, err := decode(line)
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("line %d has %d characters and is no key: %w", number, len(line), ErrTicketKeys)
		}
		keys = append(keys, [32]byte(key))
	}
	if n := len(keys); n == 0 || n > MaxTicketKeys {
		return nil, fmt.Errorf("%d keys, want 1 to %d: %w", n, MaxTicketKeys, ErrTicketKeys)
	}
	return keys, nil
}

// Reload reads the file again. If it is not right, the keys stay as they were; that is logged
// and counted.
func (k *TicketKeys) Reload() { k.reload(func() bool { return true }) }

// Watch reads the file again when it has changed, which it looks for at every interval, until
// ctx is done.
func (k *TicketKeys) Watch(ctx context.Context, interval time.Duration) {
	every(ctx, interval, func() { k.reload(k.hasChanged) })
}

// hasChanged tells whether the file is another than when it was read.
func (k *TicketKeys) hasChanged() bool {
	now, _ := os.Stat(k.file)
	return differs(now, k.seen)
}

func (k *TicketKeys) reload(due func() bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !due() {
		return
	}
	if err := k.read(); err != nil {
		k.failures.Add(1)
		k.log.Error("the keys of session tickets cannot be read again, those before are used on", "error", err, "keys", k.keys)
		return
	}
	warnExposed(k.log, k.file)
	k.log.Info("the keys of session tickets were read again", "file", k.file, "keys", k.keys)
}

// Failures counts how often the file could not be read again.
func (k *TicketKeys) Failures() uint64 { return k.failures.Load() }
