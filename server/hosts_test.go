package server

import (
	"errors"
	"testing"
)

func TestHosts(t *testing.T) {
	h := hosts{"events.example.org", "*.example.net", "127.0.0.1", "::1"}
	for host, want := range map[string]bool{
		"events.example.org":       true,
		"EVENTS.example.org:8080":  true,
		"events.example.org:":      true,
		"events.example.org.":      true,
		"events.example.org.:80":   true,
		"a.example.net":            true,
		"a.b.example.net:443":      true,
		"127.0.0.1:8080":           true,
		"[::1]":                    true,
		"[::1]:8080":               true,
		"":                         false,
		":8080":                    false,
		"example.org":              false,
		"example.net":              false,
		".example.net":             false,
		"xevents.example.org":      false,
		"events.example.org.evil":  false,
		"evil:events.example.org":  false,
		"evilexample.net":          false,
		"[::2]:8080":               false,
		"127.0.0.1.nip.io":         false,
		"events.example.org..":     false,
		"127.0.0.1:8080:127.0.0.1": false,
	} {
		if got := h.match([]byte(host)); got != want {
			t.Errorf("the host %q is answered: %v, want %v", host, got, want)
		}
	}
	if !(hosts)(nil).match([]byte("anything")) {
		t.Error("without names, a host is refused")
	}
}

func TestCheckHost(t *testing.T) {
	for host, ok := range map[string]bool{
		"events.example.org": true, "*.example.org": true, "localhost": true, "127.0.0.1": true, "::1": true, "xn--mnchen-3ya.example": true,
		"": false, "*": false, "*.": false, "a.*.org": false, "events.example.org:80": false, "Events.example.org": false,
		"https://example.org": false, "example.org/": false, "münchen.example": false, "[::1]": false, "*.::1": false, "example.org.": false,
	} {
		if err := checkHost(host); (err == nil) != ok || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("checkHost(%q): %v, want it taken: %v", host, err, ok)
		}
	}
}
