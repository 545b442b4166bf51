package testenv

import (
	"path/filepath"
	"testing"
)

// ending notes how a test ended instead of ending it.
type ending struct {
	testing.TB
	how string
}

func (e *ending) Helper()               {}
func (e *ending) Skip(...any)           { e.how = "skipped" }
func (e *ending) Fatalf(string, ...any) { e.how = "failed" }

func TestLack(t *testing.T) {
	here, absent := "testenv.go", filepath.Join(t.TempDir(), "absent")
	for _, tt := range []struct {
		variable, name string
		need           func(testing.TB)
		want           string
	}{
		{"", "go", func(t testing.TB) { Need(t, "go") }, ""},
		{"required", "go", func(t testing.TB) { Need(t, "go") }, ""},
		{"", "no such tool", func(t testing.TB) { Need(t, "no such tool") }, "skipped"},
		{"required", "no such tool", func(t testing.TB) { Need(t, "no such tool") }, "failed"},
		{"required", here, func(t testing.TB) { NeedFile(t, here, "write it") }, ""},
		{"", absent, func(t testing.TB) { NeedFile(t, absent, "make it") }, "skipped"},
		{"required", absent, func(t testing.TB) { NeedFile(t, absent, "make it") }, "failed"},
	} {
		t.Setenv(Variable, tt.variable)
		e := &ending{TB: t}
		tt.need(e)
		if e.how != tt.want {
			t.Errorf("%s=%q, need of %s: test %q, want %q", Variable, tt.variable, tt.name, e.how, tt.want)
		}
	}
}
