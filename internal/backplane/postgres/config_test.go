package postgres

import (
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestOpen(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, tt := range []struct{ url, want string }{ // of the error, "" for none
		{"postgres://user:secret@host/app", ""},
		{"postgresql://host:5433/app?sslmode=disable&pool_max_conns=9&application_name=cable", ""},
		{"postgres://?host=/run/postgresql&dbname=app&table=solid_cable_messages", ""},
		{"postgres://host/app?table=cable.solid_cable_messages&default_query_exec_mode=exec", ""},
		{"postgres://host/app?table=", `table: "", want a name`},
		{"postgres://host/app?table=a.b.c", `table: "a.b.c", want a name`},
		{"postgres://user:secret@host/app?tabel=x", `unknown option "tabel" of postgres://user:xxxxx@host/app?tabel=x`},
		{"postgres://user:secret@host/app?sslmode=perhaps", "sslmode is invalid"},
		{"postgres://host/app?pool_max_conns=many", "pool_max_conns"},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Open(u, Options{})
		switch {
		case err == nil && tt.want == "":
			if b.Health() == nil {
				t.Errorf("%s: healthy before the start", tt.url)
			}
			b.Close()
		case err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: error %v, want %q in it, and no password", tt.url, err, tt.want)
		}
	}
}

// Ensure that names and hashes are those of Ruby: Digest::SHA1.hexdigest(channel) and
// Digest::SHA256.digest(channel).unpack1("q>").
func TestNames(t *testing.T) {
	for _, tt := range []struct{ channel, want string }{
		{"/rooms/42", "/rooms/42"},
		{"bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163", ""},
		{"p:b2fa3ee7afb9f54c6dfb5d021f14b1ffe40c16", "p:b2fa3ee7afb9f54c6dfb5d021f14b1ffe40c16"},
		{"BB2FA3EE7AFB9F54C6DFB5D021F14B1FFE40C163", "BB2FA3EE7AFB9F54C6DFB5D021F14B1FFE40C163"},
		{strings.Repeat("x", 63), strings.Repeat("x", 63)},
		{strings.Repeat("x", 64), "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163"},
		{strings.Repeat("ü", 32), "1e6e4b1df3264037c8cbe580b19c2cfa15c212fe"},
	} {
		got, err := identifier(tt.channel)
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("identifier(%q) is %q, %v, want %q", tt.channel, got, err, tt.want)
		}
	}
	for channel, want := range map[string]int64{"/rooms/42": 3470618733489766829, "größe": -3219050744914661377} {
		if got := hash(channel); got != want {
			t.Errorf("hash(%q) is %d, want %d", channel, got, want)
		}
	}
}
