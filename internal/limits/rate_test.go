package limits

import (
	"testing"
	"time"
)

func TestRateText(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Rate
		as   string
	}{
		{"0", Rate{}, "0"},
		{"0/m", Rate{}, "0"},
		{"1", Rate{1, time.Second}, "1/s"},
		{"1000/s", Rate{1000, time.Second}, "1000/s"},
		{"30/m", Rate{30, time.Minute}, "30/m"},
		{"500/h", Rate{500, time.Hour}, "500/h"},
		{"100/10s", Rate{100, 10 * time.Second}, "100/10s"},
		{"1000000/24h", Rate{1_000_000, 24 * time.Hour}, "1000000/24h0m0s"},
	} {
		got, err := ParseRate(tt.text)
		if err != nil || got != tt.want || got.String() != tt.as {
			t.Errorf("%q is read as %v, %v; want %v", tt.text, got, err, tt.as)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%v is read as %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "/", "/s", "1/", "-1", "1.5", "1/d", "1/0s", "1/500ms", "1/25h", "1000001", "1/s/s", " 1", "0x10", "1e3"} {
		if r, err := ParseRate(text); err == nil {
			t.Errorf("%q is read as %v, want an error", text, r)
		}
	}
}
