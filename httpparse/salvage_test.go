package httpparse

import (
	"strings"
	"testing"
)

// Ensure that a header of a refused head is found as far as its lines are good.
func TestSalvage(t *testing.T) {
	const origin = "Origin: https://a.example"
	for _, c := range []struct {
		head, want string
		ok         bool
	}{
		{get(origin, "X Y: bad"), "https://a.example", true},
		{"\r\n" + get("origin:https://a.example \t", "X Y: bad"), "https://a.example", true},
		{crlf("GARBAGE", origin), "https://a.example", true},
		{crlf("GET / HTTP/1.1", origin, "Origin: https://b.example"), "https://a.example", true},
		{get("Origin:", "X Y: bad"), "", true},
		{get("X Y: bad", origin), "", false},
		{get("NoColon", origin), "", false},
		{get("X: a\x00", origin), "", false},
		{get("Origin: a\rb"), "", false},
		{"GET / HTTP/1.1\r\n" + origin, "", false}, // the line may not be whole
		{"GET / HTTP/1.1\r\n\r\n" + origin + "\r\n\r\n", "", false},
		{"GET / HTTP/1.1\n" + origin + "\n\n", "", false},
		{get(strings.Repeat("X: a\r\n", 1000) + origin), "", false}, // beyond the limit
		{"", "", false},
	} {
		got, ok := Salvage([]byte(c.head), "Origin", Limits{MaxBytes: 1000})
		if string(got) != c.want || ok != c.ok {
			t.Errorf("Salvage(%.200q) = %q, %v; want %q, %v", c.head, got, ok, c.want, c.ok)
		}
	}
}
