package redact

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"redis://h:6379", "redis://h:6379"},
		{"redis://u:hunter2@h?history=streams", "redis://u:xxxxx@h?history=streams"},
		{"postgres://u@h/db?password=hunter2&sslmode=require", "postgres://u@h/db?password=xxxxx&sslmode=require"},
		{"postgres://u@h/db?PassWord=hunter2", "postgres://u@h/db?PassWord=xxxxx"},
		{"postgres://u@h/db?p%61ssword=hunter2&table=t", "postgres://u@h/db?p%61ssword=xxxxx&table=t"},
		{"postgres://u@h/db?sslpassword=hunter2&passfile=/x", "postgres://u@h/db?sslpassword=xxxxx&passfile=/x"},
		{"redis+sentinel://h?master_name=m&sentinel_password=hunter2&addr=i:1", "redis+sentinel://h?master_name=m&sentinel_password=xxxxx&addr=i:1"},
		{"nats://h?token=hunter2", "nats://h?token=xxxxx"},
		{"nats://h?a=%zz", "nats://h?a=xxxxx"},
		{"nats://h?password=a&password=b", "nats://h?password=xxxxx&password=xxxxx"},
		{"nats://h#hunter2", "nats://h"},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := URL(u); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.url, got, tt.want)
		}
		if got := Text(tt.url); got != tt.want {
			t.Errorf("%s as text: %s, want %s", tt.url, got, tt.want)
		}
	}
	if got := Text("no URL"); got != "no URL" {
		t.Errorf("%q, want it as it is", got)
	}
}

// Ensure that no error shows a secret, however a driver quotes it, and that it is still
// the error that it was.
func TestError(t *testing.T) {
	const password, token = "hun ter/2&", "tok=en%"
	u := &url.URL{Scheme: "x", Host: "h", User: url.UserPassword("u", password),
		RawQuery: "a=b&token=" + url.QueryEscape(token)}
	for _, text := range []string{u.String(), password, url.QueryEscape(password), url.UserPassword("", password).String(), token, u.RawQuery} {
		err := Error(fmt.Errorf("driver: %s: %w", text, fs.ErrNotExist), u)
		for _, s := range secrets(u) {
			if strings.Contains(err.Error(), s) {
				t.Errorf("an error that quotes %q shows %q: %v", text, s, err)
			}
		}
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "driver: ") {
			t.Errorf("%v is not the error that it was", err)
		}
	}
	if err := errors.New("harmless"); Error(err, u) != err {
		t.Error("a harmless error is replaced")
	}
}
