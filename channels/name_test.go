package channels

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{
		"/", "/rooms/42", "a b", "x:y", "größe", "日本", "\u00a0", "\u2028", "\ufffd", "\U0010ffff",
		strings.Repeat("n", MaxName), strings.Repeat("ä", MaxName/2),
	} {
		if err := CheckName([]byte(name)); err != nil {
			t.Errorf("CheckName(%q) = %v, want nil", name, err)
		}
	}
}

func TestCheckNameRefuses(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"", "bad channel name: it is empty, want 1 to 255 bytes"},
		{strings.Repeat("n", MaxName+1), `bad channel name: "` + strings.Repeat("n", 32) + `"... has 256 bytes, want at most 255`},
		{strings.Repeat("ä", MaxName/2+1), `bad channel name: "` + strings.Repeat("ä", 32) + `"... has 256 bytes, want at most 255`},
		{"a\xff", `bad channel name: "a\xff" is not valid UTF-8`},
		{"\xed\xa0\x80", `bad channel name: "\xed\xa0\x80" is not valid UTF-8`}, // a surrogate
		{"a\nb", `bad channel name: "a\nb" has the control character U+000A at byte 1`},
		{"\x00", `bad channel name: "\x00" has the control character U+0000 at byte 0`},
		{"ab\x7f", `bad channel name: "ab\x7f" has the control character U+007F at byte 2`},
		{"ä\u0085", `bad channel name: "ä\u0085" has the control character U+0085 at byte 2`},
	} {
		err := CheckName([]byte(tt.name))
		if !errors.Is(err, ErrName) || err.Error() != tt.want {
			t.Errorf("CheckName(%q) = %v, want %s", tt.name, err, tt.want)
		}
	}
}
