package deploy

import (
	"context"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// instruction is one of a Containerfile, such as RUN, with the rest of its line.
type instruction struct{ name, rest string }

// stages returns the instructions of the Containerfile by stage. Each stage
// begins with its FROM.
func stages(t *testing.T) (stages [][]instruction) {
	t.Helper()
	text, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"FROM", "WORKDIR", "COPY", "RUN", "ENV", "EXPOSE", "USER", "ENTRYPOINT", "CMD"}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "" || name[0] == '#':
			continue
		case !slices.Contains(known, name):
			t.Fatalf("Containerfile: %q, want one of %q", line, known)
		case name == "FROM":
			stages = append(stages, nil)
		case len(stages) == 0:
			t.Fatalf("Containerfile: %q comes before FROM", line)
		}
		last := len(stages) - 1
		stages[last] = append(stages[last], instruction{name, rest})
	}
	return stages
}

// only returns the rest of the one instruction of the stage with that name.
func only(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	var found []string
	for _, i := range stage {
		if i.name == name {
			found = append(found, i.rest)
		}
	}
	if len(found) != 1 {
		t.Fatalf("Containerfile: %s %q, want one", name, found)
	}
	return found[0]
}

// buildAsContainer runs the go build line of the Containerfile and returns the
// program that comes of it.
func buildAsContainer(t *testing.T) (program string) {
	t.Helper()
	const built = " -o /millrace "
	program = filepath.Join(t.TempDir(), "millrace")
	for _, i := range stages(t)[0] {
		if i.name != "RUN" || !strings.Contains(i.rest, built) {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", strings.Replace(i.rest, built, " -o "+program+" ", 1))
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "GOOS=linux")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", i.rest, err, out)
		}
		return program
	}
	t.Fatalf("Containerfile: the first stage has no RUN with %q", built)
	return ""
}

// Ensure that the program needs nothing that an empty image lacks.
func TestContainerProgramIsStatic(t *testing.T) {
	f, err := elf.Open(buildAsContainer(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if len(libraries) > 0 || err != nil {
		t.Errorf("the program needs the libraries %q (%v), want none", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic linker")
		}
	}
}

func TestContainerfile(t *testing.T) {
	all := stages(t)
	if len(all) != 2 {
		t.Fatalf("%d stages, want 2: build and image", len(all))
	}
	build, image := all[0], all[1]

	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if want := "docker.io/library/golang:" + string(language[1]) + " AS build"; only(t, build, "FROM") != want {
		t.Errorf("FROM %s, want %s as in go.mod", only(t, build, "FROM"), want)
	}
	if from := only(t, image, "FROM"); from != "scratch" {
		t.Errorf("the image is FROM %s, want scratch", from)
	}
	if slices.ContainsFunc(image, func(i instruction) bool { return i.name == "RUN" }) {
		t.Error("the image has a RUN, but no shell")
	}
	if user := only(t, image, "USER"); !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("USER %s, want numbers but 0: the image has no /etc/passwd", user)
	}
	for _, name := range []string{"ENTRYPOINT", "CMD"} {
		var words []string // the form without a shell
		if err := json.Unmarshal([]byte(only(t, image, name)), &words); err != nil || len(words) == 0 {
			t.Errorf("%s %s: want a list of words in JSON", name, only(t, image, name))
		}
		if name == "ENTRYPOINT" && only(t, image, "COPY") != "--from=build "+words[0]+" "+words[0] {
			t.Errorf("ENTRYPOINT %q, which COPY %s does not bring", words, only(t, image, "COPY"))
		}
	}
	if got := only(t, image, "EXPOSE"); got != "8080 7379 8081" {
		t.Errorf("EXPOSE %s, want the default ports of millrace", got)
	}
}
