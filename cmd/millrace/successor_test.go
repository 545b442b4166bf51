package main

import (
	"slices"
	"strings"
	"testing"
)

// Ensure that flags which are given for a successor take the place of those of the same name,
// whatever their form, and that all others stay.
func TestFlagsOfSuccessor(t *testing.T) {
	for _, tt := range []struct{ args, given, want string }{
		{"", "", ""},
		{"serve", "", "serve"},
		{"serve --listen :1", "--log-level debug", "serve --listen :1 --log-level debug"},
		{"--listen :1 --history 5 --admin off", "--history 7", "--listen :1 --admin off --history 7"},
		{"--listen :1 --history=5 --admin off", "--history=7", "--listen :1 --admin off --history=7"},
		{"serve --history=5", "--history 7", "serve --history 7"},
		{"--proxy-protocol --trusted-proxies a --trusted-proxies b --listen :1", "--trusted-proxies c", "--proxy-protocol --listen :1 --trusted-proxies c"},
		{"--proxy-protocol --listen :1", "--proxy-protocol=false", "--listen :1 --proxy-protocol=false"},
		{"--history", "--ops off", "--history --ops off"}, // for the parser to refuse
		{"--listen :1", "--new-flag 1", "--listen :1 --new-flag 1"},
	} {
		got := merge(newParser(new(commands)), strings.Fields(tt.args), strings.Fields(tt.given))
		if want := strings.Fields(tt.want); !slices.Equal(got, want) {
			t.Errorf("%q with %q: %q, want %q", tt.args, tt.given, got, want)
		}
	}
}
