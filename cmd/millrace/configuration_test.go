package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md anew")

// Ensure that docs/configuration.md has every flag, as the program has it: a table for
// each group of the server's, and one for each other command. Between the tables it may
// say what it likes.
func TestConfigurationIsDocumented(t *testing.T) {
	const path = "../../docs/configuration.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, s := range flagSections(newParser(new(commands))) {
		section := regexp.MustCompile(`(?ms)^## ` + regexp.QuoteMeta(s.title) + `\n.*?(\z|^## )`).FindString(doc)
		table := regexp.MustCompile(`(?m)(^\|.*\n)+`).FindString(section)
		switch {
		case table == "":
			t.Errorf("%s: no table in a section %q, want\n%s", path, "## "+s.title, s.table)
		case table != s.table && *update:
			doc = strings.Replace(doc, section, strings.Replace(section, table, s.table, 1), 1)
		case table != s.table:
			t.Errorf("%s, %q: go test ./cmd/millrace -run %s -update writes it\n got %s\nwant %s", path, s.title, t.Name(), table, s.table)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// flagSection is a table of flags as docs/configuration.md has it.
type flagSection struct{ title, table string }

// flagSections returns those of all commands, in order.
func flagSections(parser *kong.Kong) (sections []flagSection) {
	for _, command := range parser.Model.Leaves(false) {
		if command.Name == "demo" { // has those of serve
			continue
		}
		for _, f := range command.Flags {
			if f.Hidden { // between processes
				continue
			}
			title := "millrace " + command.Name
			if f.Group != nil {
				title = cmp.Or(f.Group.Title, f.Group.Key)
			}
			if len(sections) == 0 || sections[len(sections)-1].title != title {
				sections = append(sections, flagSection{title, "| flag | variable | default | meaning |\n| --- | --- | --- | --- |\n"})
			}
			sections[len(sections)-1].table += flagRow(f)
		}
	}
	return sections
}

// flagRow returns the row of a flag. Help ends with the default, in brackets.
func flagRow(f *kong.Flag) string {
	meaning, ends, _ := strings.Cut(f.Help, " [")
	fallback := strings.TrimSuffix(ends, "]")
	if f.Default != "" {
		fallback = "`" + fallback + "`"
	}
	variable := ""
	if len(f.Envs) > 0 {
		variable = "`" + f.Envs[0] + "`"
	}
	low, high := f.Tag.Get("min"), f.Tag.Get("max")
	switch {
	case high != "":
		meaning += " From " + low + " to " + high + "."
	case low != "" && strings.Trim(low, "0s") != "":
		meaning += " At least " + low + "."
	}
	return fmt.Sprintf("| `--%s` | %s | %s | %s |\n", f.Name, variable, fallback, word.ReplaceAllStringFunc(meaning, markUp))
}

// word is a word of help, without the signs around it; literal is one that Markdown has
// as code: what people type, and what it would take for a form of its own.
var (
	word    = regexp.MustCompile(`[^\s(),;]*[^\s(),;:.]`)
	literal = regexp.MustCompile(`[*{}<>=|_]|://|^--|^/[a-z]`)
)

func markUp(word string) string {
	if literal.MatchString(word) {
		return "`" + word + "`"
	}
	return word
}

// Ensure that every flag for the file of a secret is one that is read.
func TestEverySecretFileIsRead(t *testing.T) {
	read := map[string]bool{}
	for _, s := range new(serverFlags).secretSources() {
		read[s.flag+"-file"] = true
	}
	for _, command := range newParser(new(commands)).Model.Leaves(false) {
		for _, f := range command.Flags {
			if f.Target.Type().Name() == "secretFile" && !read[f.Name] {
				t.Errorf("%s --%s is in no secretSources", command.Name, f.Name)
			}
			if f.Target.Type().Name() == "secret" && command.Name != "doctor" && !read[f.Name+"-file"] {
				t.Errorf("%s --%s cannot be in a file", command.Name, f.Name)
			}
		}
	}
}
