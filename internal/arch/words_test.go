package arch

import (
	"go/ast"
	"path"
	"regexp"
	"strings"
	"testing"
)

// oldWords are names that may not come back, because they had several meanings or a
// misleading one: as package.Name, or as package.Type.field. The right word stands beside
// each. "Words" in docs/design.md is the law.
var oldWords = []struct{ old, right string }{
	{"channels.Broker.resume", "wakePublishersLocked, or Inbox.Join: a client resumes"},
	{"channels.Broker.Resume", "Inbox.Join"},
	{"channels.Broker.Since", "Inbox.CatchUp"},
	{"channels.Broker.deliver", "admit: the feed delivers"},
	{"channels.Broker.keep", "retainLocked"},
	{"channels.Channel.ready", "followed: a node is ready, or a descriptor"},
	{"channels.Inbox.ready", "followed: a node is ready, or a descriptor"},
	{"channels.Channel.begin", "setFollowed"},
	{"channels.Listener", "Observer: a listener accepts"},
	{"channels.Pattern", "Glob: package pattern has patterns"},
	{"channels.Backplane.Publish", "Send: publishers publish"},
	{"channels.place", "bucket: a place is one in the order"},
	{"link.Keeper.since", "lastSeen"},
	{"link.Keeper.Begin", "Recover"},
	{"link.Keeper.deliver", "handOn: the feed delivers"},
	{"link.Keeper.behind", "recovering: behind is only a slow reader"},
	{"server.local", "loopChannel"},
	{"server.loop.comeBack", "wakeAgain: clients come back"},
	{"server.loop.comeBackIn", "retryDelay"},
	{"server.loop.begin", "sendStart"},
	{"server.loop.replay", "sendStart"},
	{"server.loop.deliver", "visit: the broker delivers"},
	{"server.loop.keepUp", "finishCatchUp"},
	{"server.loop.keepPartial", "unfinishedHead: a write may be partial, too"},
	{"server.loop.dropPartial", "unfinishedHead: a write may be partial, too"},
	{"server.severalChannels", "multi"},
	{"server.places", "occupancy: a place is one in a list"},
	{"server.Stats.Turn", "Step: a turn is the messages that a loop sends out together"},
	{"server.slot.away", "toldToReturn"},
	{"channels.Listener", "Observer: a loop listens, too"},
	{"channels.Pattern", "Glob: a pattern is one of package pattern"},
	{"channels.Broker.Resume", "Join: a client resumes"},
	{"channels.Broker.resume", "wakePublishers: a client resumes"},
	{"channels.Broker.Since", "CatchUp"},
	{"channels.Channel.ready", "followed: the log says that millrace is ready"},
}

// Ensure that no package declares a name that was given up for a better one.
func TestOldWords(t *testing.T) {
	for _, f := range parse(t) {
		declared := declarations(f.syntax)
		for _, word := range oldWords {
			pkg, name, _ := strings.Cut(word.old, ".")
			if n, ok := declared[name]; ok && path.Base(f.pkg()) == pkg {
				t.Errorf("%s: %s is an old word, want %s", f.at(n), word.old, word.right)
			}
		}
	}
}

// declarations returns the names that a file declares: functions, types, constants and
// variables by their names, fields and methods as Type.name.
func declarations(file *ast.File) map[string]ast.Node {
	names := make(map[string]ast.Node)
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			name := decl.Name.Name
			if decl.Recv != nil {
				name = receiver(decl.Recv.List[0].Type) + "." + name
			}
			names[name] = decl
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names[name.Name] = name
					}
				case *ast.TypeSpec:
					names[spec.Name.Name] = spec
					for name, n := range members(spec.Type) {
						names[spec.Name.Name+"."+name] = n
					}
				}
			}
		}
	}
	return names
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// members returns the fields of a struct, those of structs in it included, or the methods
// of an interface. An embedded type is a member by its own name.
func members(e ast.Expr) map[string]ast.Node {
	names := make(map[string]ast.Node)
	ast.Inspect(e, func(n ast.Node) bool {
		field, ok := n.(*ast.Field)
		if !ok {
			_, function := n.(*ast.FuncType)
			return !function // whose parameters are fields, too
		}
		for _, name := range field.Names {
			names[name.Name] = name
		}
		if len(field.Names) == 0 {
			names[receiver(field.Type)] = field
		}
		return true
	})
	return names
}

var (
	// code is one in a line of a page.
	code = regexp.MustCompile("`([^`\n]+)`")
	// sourceFile is the path of a Go file below root.
	sourceFile = regexp.MustCompile(`^[a-z]+(/[a-zA-Z_]+)+\.go$`)
	// sourceInText is one within a comment.
	sourceInText = regexp.MustCompile(`\b(server|channels|bench|cmd|internal|httpparse|timerwheel|deploy)(/[a-zA-Z_]+)+\.go\b`)
	// memberName is a method or field of a type, with its package or without.
	memberName = regexp.MustCompile(`^(?:[a-z]+\.)?([A-Za-z]+)\.([A-Za-z]+)$`)
	// noMember is an event type, or a file within the page's own subject.
	noMember = regexp.MustCompile(`^millrace\.|\.go$`)
)

// Ensure that the Go files that pages and comments name are there, and that so are the methods and fields
// that the design names, as `loop.wake` or `follow.Set.Held`.
func TestNamesInPages(t *testing.T) {
	types := make(map[string]map[string]bool) // the members of all types of a name
	files := make(map[string]bool)
	for _, f := range parse(t) {
		files[f.name] = true
		for name := range declarations(f.syntax) {
			owner, member, _ := strings.Cut(name, ".")
			if types[owner] == nil {
				types[owner] = make(map[string]bool)
			}
			types[owner][member] = true
		}
	}
	for _, f := range parse(t) {
		for _, group := range f.syntax.Comments {
			for _, name := range sourceInText.FindAllString(group.Text(), -1) {
				if !files[name] {
					t.Errorf("%s: the comment names %s, and there is no such file", f.at(group), name)
				}
			}
		}
	}
	named := 0
	for _, page := range pages(t) {
		for _, match := range code.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			text := match[1]
			if sourceFile.MatchString(text) {
				named++
				if !files[text] {
					t.Errorf("%s names %s, and there is no such file", page, text)
				}
				continue
			}
			m := memberName.FindStringSubmatch(text)
			if m == nil || page != design || noMember.MatchString(text) || types[m[1]] == nil {
				continue
			}
			named++
			if !types[m[1]][m[2]] && types[m[2]] == nil { // package.Type is as good
				t.Errorf("%s names %s, and no type %s has a %s", page, text, m[1], m[2])
			}
		}
	}
	if named < 40 {
		t.Errorf("found %d names of files, methods and fields in the pages: do the patterns still fit?", named)
	}
}
