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
	"sync"
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

// rests returns the rests of the instructions of the stage with that name.
func rests(stage []instruction, name string) (found []string) {
	for _, i := range stage {
		if i.name == name {
			found = append(found, i.rest)
		}
	}
	return found
}

// only returns the rest of the one instruction of the stage with that name.
func only(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	found := rests(stage, name)
	if len(found) != 1 {
		t.Fatalf("Containerfile: %s %q, want one", name, found)
	}
	return found[0]
}

// built is the program that buildAsContainer has built, and where; empty as long as it
// has not been asked for.
var built struct {
	once         sync.Once
	dir, program string
}

// buildAsContainer returns the program that comes of the go build line of the
// Containerfile. Only -trimpath is left out: every package would have to be compiled
// once more for it, the standard library too.
func buildAsContainer(t *testing.T) (program string) {
	t.Helper()
	built.once.Do(func() {
		const output, trimpath = " -o /millrace ", " -trimpath "
		i := slices.IndexFunc(stages(t)[0], func(i instruction) bool {
			return i.name == "RUN" && strings.Contains(i.rest, output) && strings.Contains(i.rest, trimpath)
		})
		if i < 0 {
			t.Fatalf("Containerfile: the first stage has no RUN with %q and %q", output, trimpath)
		}
		line := stages(t)[0][i].rest
		var err error
		if built.dir, err = os.MkdirTemp("", "millrace"); err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(built.dir, "millrace")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", strings.NewReplacer(output, " -o "+program+" ", trimpath, " ").Replace(line))
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "GOOS=linux")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		built.program = program
	})
	if built.program == "" {
		t.Fatal("the program could not be built, see above")
	}
	return built.program
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
	copies := rests(image, "COPY")
	for _, name := range []string{"ENTRYPOINT", "CMD"} {
		var words []string // the form without a shell
		if err := json.Unmarshal([]byte(only(t, image, name)), &words); err != nil || len(words) == 0 {
			t.Errorf("%s %s: want a list of words in JSON", name, only(t, image, name))
		}
		if name == "ENTRYPOINT" && !slices.Contains(copies, fromBuild(words[0])) {
			t.Errorf("ENTRYPOINT %q, which COPY %q does not bring", words, copies)
		}
	}
	// One of the places where crypto/x509 looks, and golang's image has it.
	if authorities := fromBuild("/etc/ssl/certs/ca-certificates.crt"); !slices.Contains(copies, authorities) {
		t.Errorf("COPY %q: without %q no engine can be reached over TLS", copies, authorities)
	}
	if len(copies) != 2 {
		t.Errorf("COPY %q: want the program and the certificates, nothing else", copies)
	}
	if got := only(t, image, "EXPOSE"); got != "8080 7379 8081" {
		t.Errorf("EXPOSE %s, want the default ports of millrace", got)
	}
}

// fromBuild is what a COPY says of a file that stays where the build has put it.
func fromBuild(path string) string { return "--from=build " + path + " " + path }
