package certs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Ensure that keys are read in both forms, and that nothing that is no key is taken, or shown.
func TestParseTicketKeys(t *testing.T) {
	var a, b [32]byte
	for i := range a {
		a[i], b[i] = byte(i), byte(255-i)
	}
	hexed, based := fmt.Sprintf("%x", a), base64.StdEncoding.EncodeToString(b[:])
	for text, want := range map[string][][32]byte{
		hexed:                                    {a},
		strings.ToUpper(hexed) + "\r\n":          {a},
		based + "\n\n" + hexed + "\n":            {b, a},
		"":                                       nil,
		"\n \n":                                  nil,
		hexed[1:]:                                nil,
		hexed + "00":                             nil,
		"x" + hexed[1:]:                          nil,
		based[1:]:                                nil,
		base64.StdEncoding.EncodeToString(b[1:]): nil,
		hexed + " " + hexed:                      nil,
		hexed + "\nfile":                         nil,
		strings.Repeat(hexed+"\n", MaxTicketKeys+1): nil,
	} {
		got, err := parseTicketKeys(text)
		if fmt.Sprint(got) != fmt.Sprint(want) || (err == nil) != (want != nil) {
			t.Errorf("%q: got %x, %v; want %x", text, got, err, want)
		}
		if err != nil && (!errors.Is(err, ErrTicketKeys) || strings.Contains(err.Error(), hexed[1:])) {
			t.Errorf("%q: the error is %q, want %q in it and nothing of a key", text, err, ErrTicketKeys)
		}
	}
}

// Ensure that keys that change are used, and that a bad file leaves those before in use.
func TestTicketKeysWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	key := func(c string) string { return strings.Repeat(c, 64) }
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		write(key("1"))
		var used [][32]byte
		k, err := LoadTicketKeys(quiet, file, func(keys [][32]byte) { used = keys })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Watch(ctx, time.Minute)
		want := func(what string, failures uint64, keys ...string) {
			t.Helper()
			time.Sleep(time.Minute + time.Second)
			synctest.Wait()
			got := make([]string, len(used))
			for i := range used {
				got[i] = fmt.Sprintf("%x", used[i])
			}
			if fmt.Sprint(got) != fmt.Sprint(keys) || k.Failures() != failures {
				t.Errorf("%s: the keys are %v, %d failures; want %v, %d", what, got, k.Failures(), keys, failures)
			}
		}
		want("at first", 0, key("1"))
		write(key("2") + "\n" + key("1"))
		want("a new one first", 0, key("2"), key("1"))
		write("nothing")
		want("no key", 1, key("2"), key("1"))
		want("the same still", 1, key("2"), key("1"))
		os.Remove(file)
		want("no file", 2, key("2"), key("1"))
		k.Reload()
		want("no file when asked to", 3, key("2"), key("1"))
		write(key("2"))
		want("right again", 3, key("2"))
	})
}
