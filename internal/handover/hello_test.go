package handover

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

var exampleHello = Hello{
	Oldest: 1, Newest: 2, Binary: "1.4.0", Loops: 60, DescriptorLimit: 20000, Memory: 8 << 30,
	Settings: Settings{{"history", "1000"}, {"listen", ":8080"}, Secret("signing-key", "k")},
}

func TestAgree(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(h *Hello) // of the successor
		version int
		why     []string // parts of the refusal
	}{
		{"alike", func(h *Hello) {}, 2, nil},
		{"older", func(h *Hello) { h.Oldest, h.Newest = 0, 1 }, 1, nil},
		{"newer", func(h *Hello) { h.Oldest, h.Newest = 2, 3 }, 2, nil},
		{"too new", func(h *Hello) { h.Oldest, h.Newest = 3, 4 }, 0, []string{"versions 1 to 2", "by 3 to 4", "restart"}},
		{"too old", func(h *Hello) { h.Oldest, h.Newest = 0, 0 }, 0, []string{"versions 1 to 2", "by 0 to 0"}},
		{"other order", func(h *Hello) { h.Settings = Settings{h.Settings[2], h.Settings[0], h.Settings[1]} }, 2, nil},
		{"as many loops as there are", func(h *Hello) { h.Loops = 0 }, 2, nil},
		{"other loops", func(h *Hello) { h.Loops = 59 }, 0, []string{"event loops: 60 in the running process, 59 in the new one"}},
		{"fewer descriptors", func(h *Hello) { h.DescriptorLimit = 1024 }, 0, []string{"descriptor limit: 20000", "1024"}},
		{"more descriptors", func(h *Hello) { h.DescriptorLimit = 30000 }, 2, nil},
		{"less memory", func(h *Hello) { h.Memory = 1 << 30 }, 0, []string{"memory limit: 8589934592 bytes in the running process, 1073741824 bytes in the new one"}},
		{"no memory limit", func(h *Hello) { h.Memory = 0 }, 2, nil},
		{"two others", func(h *Hello) { h.Settings = Settings{{"history", "0"}, {"listen", ""}, h.Settings[2]} }, 0,
			[]string{"history: 1000 in the running process, 0 in the new one; listen: :8080 in the running process, not set in the new one"}},
		{"unknown and not used", func(h *Hello) { h.Settings = append(h.Settings[:3:3], Setting{"decode", ""}) }, 2, nil},
		{"unknown", func(h *Hello) { h.Settings = append(h.Settings[:3:3], Setting{"decode", "json"}) }, 0,
			[]string{"decode: not set in the running process, json in the new one"}},
		{"other secret", func(h *Hello) { h.Settings = append(h.Settings[:2:2], Secret("signing-key", "other")) }, 0, []string{"signing-key: not the same in the running process and in the new one"}},
		{"no secret", func(h *Hello) { h.Settings = append(h.Settings[:2:2], Secret("signing-key", "")) }, 0,
			[]string{"signing-key: set to a secret in the running process, not set in the new one"}},
	} {
		successor := exampleHello
		test.change(&successor)
		version, err := exampleHello.Agree(&successor)
		var refusal *Refusal
		if version != test.version || (err != nil) != (test.why != nil) || err != nil && !errors.As(err, &refusal) {
			t.Errorf("%s: version %d, %v; want %d", test.name, version, err, test.version)
		}
		for _, why := range test.why {
			if err != nil && !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %q, want %q in it", test.name, err, why)
			}
		}
		for _, s := range slices.Concat(exampleHello.Settings[2:3], successor.Settings) {
			if digest, is := strings.CutPrefix(s.Value, secret); is && err != nil && strings.Contains(err.Error(), digest) {
				t.Errorf("%s: %q tells the digest of a secret", test.name, err)
			}
		}
	}
}

// Ensure that a hello whose settings have been changed on the way is refused, and that one
// with more than this binary knows is read.
func TestHelloOfOthers(t *testing.T) {
	payload := Encode(Version, &exampleHello)
	changed := strings.Replace(string(payload), "1000", "9000", 1)
	if err := Decode(Version, []byte(changed), new(Hello)); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("settings that have changed: %v, want an error about their digest", err)
	}
	for tag, want := range map[Tag]error{Optional: nil, Optional - 1: ErrExtra} {
		w := Writer{Version: Version}
		w.Raw(payload[:len(payload)-1])
		w.Extra(tag, []byte("news"))
		w.EndExtras()
		if err := Decode(Version, w.Bytes(), new(Hello)); !errors.Is(err, want) {
			t.Errorf("extra %#x: %v, want %v", tag, err, want)
		}
	}
}
