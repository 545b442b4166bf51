package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"millrace/internal/doctor"
)

// Ensure that the exit status says whether the host holds as many streams as
// were asked for, with as many descriptor tables as the server would have.
func TestDoctorSaysWhetherHostHoldsEnough(t *testing.T) {
	host := doctor.Read(fstest.MapFS{"proc/self/limits": {Data: []byte("Max open files 20000 20000 files\n")}})
	const holds = 18750 // in one table
	for _, tt := range []struct {
		args  []string
		tight error // why loops cannot have tables of their own
		want  int
	}{
		{args: nil, want: 0},
		{args: []string{"--for", "18750"}, want: 0},
		{args: []string{"--for", "18751"}, want: 0}, // in several
		{args: []string{"--for", "18751", "--fd-tables", "shared"}, want: 1},
		{args: []string{"--for", "18751", "--fd-tables", "per-loop"}, want: 0},
		{args: []string{"--for", "18751"}, tight: errors.New("no unshare"), want: 1},
	} {
		var c commands
		if _, err := newParser(&c).Parse(append([]string{"doctor", "--json"}, tt.args...)); err != nil {
			t.Fatalf("%q: %v", tt.args, err)
		}
		h := host
		h.Tables = tt.tight
		var out bytes.Buffer
		status := 0
		if err := c.Doctor.report(&out, h); errors.Is(err, errReported) {
			status = 1
		} else if err != nil {
			t.Fatalf("%q: %v", tt.args, err)
		}
		var report struct {
			Holds   *int
			PerLoop bool `json:"per_loop"`
			Enough  bool
		}
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("%q: %v in %s", tt.args, err, &out)
		}
		if status != tt.want || report.Enough != (status == 0) || !report.PerLoop && *report.Holds != holds {
			t.Errorf("%q with tables %v: exit %d, %+v, want exit %d", tt.args, tt.tight, status, report, tt.want)
		}
	}
}

func TestDoctorPrintsTable(t *testing.T) {
	var out bytes.Buffer
	host := doctor.Local()
	if err := new(doctorCommand).report(&out, host); err != nil {
		t.Fatal(err)
	}
	if verdict := doctor.Examine(host, doctor.Plan{}).Verdict(); !bytes.HasPrefix(out.Bytes(), []byte(verdict+"\n")) {
		t.Errorf("the table begins otherwise than %q:\n%s", verdict, &out)
	}
}

// Ensure that the doctor says who may listen, and which keys of tokens are missing.
func TestDoctorSaysWhoMayListen(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	for want, args := range map[string][]string{
		"access: who                         anybody                    anybody may listen to every channel":   nil,
		"access: keys of tokens              1                          HS512":                                 {"--jwt-key", "HS512:" + key},
		"access: keys                        missing                    keys of tokens: http://127.0.0.1:1/: ": {"--jwt-jwks", "http://127.0.0.1:1/", "--jwt-audience", "any"},
	} {
		var c commands
		if _, err := newParser(&c).Parse(append([]string{"doctor"}, args...)); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		var out bytes.Buffer
		err := c.Doctor.report(&out, doctor.Local())
		if (err != nil) != strings.Contains(want, "missing") || !strings.Contains(out.String(), want) || strings.Contains(out.String(), key) {
			t.Errorf("%q: %v, want a line %q of\n%s", args, err, want, &out)
		}
	}
}

// Ensure that the doctor says when the server would answer to any host name.
func TestDoctorSaysWhichHostsAreAnswered(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"--host", "events.example.org"}, false},
	} {
		var c commands
		if _, err := newParser(&c).Parse(append([]string{"doctor"}, tt.args...)); err != nil {
			t.Fatalf("%q: %v", tt.args, err)
		}
		var out bytes.Buffer
		if err := c.Doctor.report(&out, doctor.Local()); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(out.Bytes(), []byte("DNS rebinding")); got != tt.want {
			t.Errorf("doctor %q warns of any host name: %v, want %v", tt.args, got, tt.want)
		}
	}
}
