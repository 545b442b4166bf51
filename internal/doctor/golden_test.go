package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

// tree reads one of the made-up hosts of testdata: a line "-- NAME" begins a file.
func tree(name string) Host {
	text, err := os.ReadFile(filepath.Join("testdata", name+".host"))
	if err != nil {
		panic(err)
	}
	content := make(map[string]string)
	for section := range strings.SplitSeq("\n"+string(text), "\n-- ") {
		file, text, _ := strings.Cut(section, "\n")
		content[file] = text
	}
	delete(content, "") // before the first
	h := Read(files(content))
	h.Machine.Arch, h.Machine.Processors = "amd64", 2
	if name == "container" {
		h.Tables = errors.New("this system has no descriptor table per event loop: unshare: operation not permitted")
	}
	return h
}

var trees = []string{
	"limited",   // a limit of 20,000 that cannot be raised; control groups 1 and 2
	"debian",    // Debian as installed, 4 GiB, in a systemd unit
	"tuned",     // 64 GiB, set up for millions, with connection tracking
	"container", // 512 MiB and 100 tasks, in control groups of its own
}

var plans = map[string]Plan{
	"":          {},
	"-million":  {Target: 1e6},
	"-loopback": {Target: 1e6, Loopback: true},
	"-per-loop": {Target: 3e7, PerLoop: true},
}

func TestGolden(t *testing.T) {
	for _, name := range trees {
		for suffix, plan := range plans {
			t.Run(name+suffix, func(t *testing.T) {
				var table bytes.Buffer
				if err := Examine(tree(name), plan).WriteTable(&table); err != nil {
					t.Fatal(err)
				}
				golden(t, name+suffix+".txt", table.Bytes())
				for line := range strings.Lines(table.String()) {
					if n := utf8.RuneCountInString(line) - 1; n > 100 {
						t.Errorf("%d columns, want at most 100: %s", n, line)
					}
				}
			})
		}
	}
}

func TestGoldenJSON(t *testing.T) {
	encoded, err := json.MarshalIndent(Examine(tree("container"), Plan{Target: 1e6}), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "container-million.json", append(encoded, '\n'))
}

// golden compares got with a file of testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew), got:\n%s\nwant:\n%s", file, got, want)
	}
}
