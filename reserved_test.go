package vigate_test

import (
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// settings are types whose fields have no effect unless another package sets them. own tells
// whether it is enough if their own package sets them; values that a package assigns to its own
// options are only defaults.
var settings = map[string]struct{ own bool }{
	"Options": {false}, "Config": {false}, "Limits": {false}, "Grant": {true}, "Proof": {true},
}

// reserved returns the names in the table of docs/design.md of declarations that nothing in the
// program uses, as internal/package.Name or internal/package.Type.Field.
func reserved(t *testing.T) []string {
	t.Helper()
	_, text, ok := strings.Cut(readText(t, "docs/design.md"), "\n## 7. Reserved\n")
	if !ok {
		t.Fatal("docs/design.md has no section Reserved")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var all []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(text, -1) {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			all = append(all, m[1])
		}
	}
	return all
}

// declared returns the names that the packages in internal/ declare, and those of them that are
// fields of a type in settings.
func declared(t *testing.T) (names map[string]bool, fields []string) {
	t.Helper()
	names = map[string]bool{}
	for _, s := range sources(t, false) {
		// The table of keys sets the fields of config.Config.
		if !strings.HasPrefix(s.dir, "internal/") || s.dir == "internal/config" || support(s.dir) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return false
			case *ast.ValueSpec:
				for _, name := range n.Names {
					names[s.dir+"."+name.Name] = true
				}
			case *ast.TypeSpec:
				names[s.dir+"."+n.Name.Name] = true
				structure, ok := n.Type.(*ast.StructType)
				if !ok {
					break
				}
				for _, f := range structure.Fields.List {
					for _, name := range f.Names {
						field := s.dir + "." + n.Name.Name + "." + name.Name
						names[field] = true
						// A key of the configuration file is set by the operator.
						key := f.Tag != nil && strings.Contains(f.Tag.Value, `config:"`)
						if _, ok := settings[n.Name.Name]; ok && name.IsExported() && !key {
							fields = append(fields, field)
						}
					}
				}
			}
			return true
		})
	}
	return names, fields
}

// support reports whether the package exists only for tests.
func support(dir string) bool { return strings.HasPrefix(rooms[dir].why, "support of tests") }

// set returns which packages set a field: in named by internal/package.Type.Field, the packages
// that name it in a composite literal; in assigned by the field's name alone, the packages that
// assign to a field of that name, whatever its type.
func set(t *testing.T) (named, assigned map[string][]string) {
	t.Helper()
	named, assigned = map[string][]string{}, map[string][]string{}
	for _, s := range sources(t, false) {
		if support(s.dir) {
			continue
		}
		imports := map[string]string{}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if ours, ok := strings.CutPrefix(path, module); ok {
				imports[ours[strings.LastIndex(ours, "/")+1:]] = ours
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				var typ string
				switch t := n.Type.(type) {
				case *ast.Ident:
					typ = s.dir + "." + t.Name
				case *ast.SelectorExpr:
					typ = imports[t.X.(*ast.Ident).Name] + "." + t.Sel.Name
				default:
					return true
				}
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						if key, ok := kv.Key.(*ast.Ident); ok {
							named[typ+"."+key.Name] = append(named[typ+"."+key.Name], s.dir)
						}
					}
				}
			case *ast.AssignStmt:
				for _, to := range n.Lhs {
					if x, ok := to.(*ast.SelectorExpr); ok {
						assigned[x.Sel.Name] = append(assigned[x.Sel.Name], s.dir)
					}
				}
			}
			return true
		})
	}
	return named, assigned
}

func TestUnusedSettingsAreListedAsReserved(t *testing.T) {
	names, candidates := declared(t)
	listed := map[string]bool{}
	for _, name := range reserved(t) {
		if listed[name] || !names[name] {
			t.Errorf("docs/design.md: %s is listed twice, or does not exist", name)
		}
		listed[name] = true
	}
	named, assigned := set(t)
	for _, f := range candidates {
		path := strings.Split(f, ".")
		used := slices.ContainsFunc(slices.Concat(named[f], assigned[path[2]]), func(dir string) bool {
			return dir != path[0] || settings[path[1]].own
		})
		switch {
		case !used && !listed[f]:
			t.Errorf("nothing in the program sets %s: use it, list it in docs/design.md as reserved, or delete it", f)
		case used && listed[f]:
			t.Errorf("docs/design.md says that %s is reserved, but it is in use", f)
		}
	}
	if len(listed) == 0 || len(candidates) < 50 {
		t.Errorf("reserved: %v, of %d fields", slices.Sorted(maps.Keys(listed)), len(candidates))
	}
}
