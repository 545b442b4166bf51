package redis

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for _, tt := range []struct {
		url, kind string // of the client
		history   bool
		complaint string
	}{
		{"redis://localhost", "*redis.Client", false, ""},
		{"rediss://user:secret@localhost:6380/3?dial_timeout=1s", "*redis.Client", false, ""},
		{"redis://localhost?history=streams", "*redis.Client", true, ""},
		{"redis+sentinel://localhost:26379/1?master_name=mymaster&addr=other:26379", "*redis.Client", false, ""},
		{"rediss+cluster://localhost?addr=other:6379&history=streams", "*redis.ClusterClient", true, ""},
		{"redis:", "", false, "no host"},
		{"redis+ring://localhost", "", false, `the scheme "redis+ring"`},
		{"redis://localhost?history=lists", "", false, `history="lists", want streams`},
		{"redis+sentinel://localhost", "", false, "master_name is missing"},
		{"redis://user:secret@localhost?nonsense=1", "", false, "unexpected option: nonsense"},
		{"redis://localhost/x", "", false, `"x"`},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseURL(u)
		if tt.complaint != "" {
			if !errors.Is(err, ErrURL) || !strings.Contains(err.Error(), tt.complaint) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: error %v, want one that says %s, and no password", tt.url, err, tt.complaint)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		if kind := fmt.Sprintf("%T", s.client); kind != tt.kind || s.history != tt.history {
			t.Errorf("%s: a %s, history %v, want %s, %v", tt.url, kind, s.history, tt.kind, tt.history)
		}
		s.client.Close()
	}
}
