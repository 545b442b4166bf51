package nats

import (
	"strings"
	"testing"

	"millrace/channels"
)

func TestSubjects(t *testing.T) {
	for _, tt := range []struct{ channel, subject string }{
		{"/rooms/42", "rooms.42"},
		{"rooms/42", "=-.rooms.42"},
		{"news", "=-.news"},
		{"/", "="},
		{"//", "=.="},
		{"/a//b/", "a.=.b.="},
		{"/a.b", "a=2Eb"},
		{"/a*b>", "a=2Ab=3E"},
		{"/ü x", "=C3=BC=20x"},
		{"/=", "=3D"},
		{"=-/a", "=-.=3D-.a"},
	} {
		if got := string(appendSubject(nil, tt.channel)); got != tt.subject {
			t.Errorf("subject of %q is %q, want %q", tt.channel, got, tt.subject)
		}
		if got, ok := channelOf(tt.subject); got != tt.channel || !ok {
			t.Errorf("channel of %q is %q, %v, want %q", tt.subject, got, ok, tt.channel)
		}
	}
	for _, subject := range []string{"", "a..b", "a.=2", "a.=2e", "a.=41", "a b", "=-", ".a", "a.=-"} {
		if got, ok := channelOf(subject); ok {
			t.Errorf("channel of %q is %q, want none", subject, got)
		}
	}
}

// Ensure that every channel has a subject of its own that NATS accepts, and that
// it leads back.
func FuzzSubject(f *testing.F) {
	for _, name := range []string{"/rooms/42", "news", "/", "//", "a/", "/=-", "=-", "/.", "/*", "/>", "/ü"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if channels.CheckName([]byte(name)) != nil {
			return
		}
		subject := string(appendSubject(nil, name))
		if got, ok := channelOf(subject); got != name || !ok {
			t.Errorf("%q becomes %q, which leads to %q, %v", name, subject, got, ok)
		}
		for token := range strings.SplitSeq(subject, ".") {
			if token == "" || strings.ContainsAny(token, "*> \t\r\n") {
				t.Errorf("%q becomes %q, which is no subject", name, subject)
			}
		}
	})
}
