// Package arch tests the source itself: the imports of each package, the modules in
// use and their reasons, the words, the links of the docs, and a few habits. It
// consists of tests only.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// root is the module's directory, seen from here.
const root = "../.."

// file is a Go file of the module, for whatever platform.
type file struct {
	name   string // path below root, with slashes
	test   bool
	lines  int
	syntax *ast.File
	fset   *token.FileSet
}

// pkg is the directory of f, which is its import path without "millrace/".
func (f file) pkg() string { return path.Dir(f.name) }

// at returns the position of n as file:line.
func (f file) at(n ast.Node) string {
	return f.name + ":" + strconv.Itoa(f.fset.Position(n.Pos()).Line)
}

// imports returns the import paths of f.
func (f file) imports() (paths []string) {
	for _, spec := range f.syntax.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // it has been parsed
		paths = append(paths, p)
	}
	return paths
}

// read returns the text of a file, by its path below root.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// parse parses every Go file of the module.
func parse(t *testing.T) (files []file) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != root && (base == "testdata" || base[0] == '.' || base[0] == '_') {
			return filepath.SkipDir // as the go command does
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, name)
		files = append(files, file{
			name:   filepath.ToSlash(below),
			test:   strings.HasSuffix(name, "_test.go"),
			lines:  strings.Count(string(source), "\n"),
			syntax: syntax,
			fset:   fset,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no Go files below %s", root)
	}
	return files
}
