package deploy

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"millrace/internal/doctor"
)

// sysctl is a line of sysctl.conf.
type sysctl struct {
	key, value string
	optional   bool
}

func sysctls(t *testing.T) (settings []sysctl) {
	t.Helper()
	text, err := os.ReadFile("sysctl.conf")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("sysctl.conf: %q, want KEY = VALUE", line)
		}
		key, optional := strings.CutPrefix(key, "-")
		settings = append(settings, sysctl{key, value, optional})
	}
	return settings
}

// Ensure that this kernel has every key, with as many numbers as in the file.
func TestSysctls(t *testing.T) {
	numbers := regexp.MustCompile(`^\d+( \d+)*$`)
	seen := make(map[string]bool)
	for _, s := range sysctls(t) {
		if seen[s.key] {
			t.Errorf("%s is set twice", s.key)
		}
		seen[s.key] = true
		now, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(s.key, ".", "/"))
		switch {
		case s.optional && errors.Is(err, fs.ErrNotExist):
		case err != nil:
			t.Errorf("%s: %v", s.key, err)
		case s.key == "net.ipv4.ip_local_reserved_ports":
			if !regexp.MustCompile(`^\d+(,\d+)*$`).MatchString(s.value) {
				t.Errorf("%s = %s, want ports with commas", s.key, s.value)
			}
		case !numbers.MatchString(s.value) || len(strings.Fields(s.value)) != len(strings.Fields(string(now))):
			t.Errorf("%s = %s, want whole numbers, as many as in %q", s.key, s.value, now)
		}
	}
}

// Ensure that the unit's limit holds a million streams and the server's reserve,
// and that the kernel allows it.
func TestDescriptorLimits(t *testing.T) {
	limit, err := strconv.Atoi(unitValue(t, "LimitNOFILE"))
	if err != nil || limit < 1_000_000+1024 {
		t.Errorf("LimitNOFILE=%d (%v), want a million and the server's reserve of 1,024", limit, err)
	}
	for _, s := range sysctls(t) {
		if s.key == "fs.nr_open" {
			if most, err := strconv.Atoi(s.value); most < limit || err != nil {
				t.Errorf("fs.nr_open = %s is less than LimitNOFILE=%d", s.value, limit)
			}
			return
		}
	}
	t.Error("sysctl.conf does not set fs.nr_open")
}

// Ensure that `millrace doctor` is content with a host that has these settings.
func TestSysctlsAreWhatDoctorAdvises(t *testing.T) {
	shipped := make(map[string]string)
	for _, s := range sysctls(t) {
		shipped[s.key] = s.value
	}
	for key, want := range doctor.Advice() {
		if shipped[key] != want {
			t.Errorf("%s = %q, want %q as millrace doctor advises", key, shipped[key], want)
		}
	}
}
