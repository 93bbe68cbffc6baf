package vigate_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// literal returns the value of a string literal, or "" if the expression is not a string literal.
func literal(e ast.Expr) string {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(l.Value)
	return s
}

// TestOnlyTheirPackageSpellsPrivileges requires that other packages use constants for privileges. A
// misspelled privilege in a row would be one that no caller has.
func TestOnlyTheirPackageSpellsPrivileges(t *testing.T) {
	privileges := map[string]bool{}
	for line := range strings.Lines(readText(t, "internal/access/privileges.txt")) {
		id, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		privileges[id] = strings.Contains(id, ".")
	}
	if !privileges["System.View"] || len(privileges) < 100 {
		t.Fatalf("privileges.txt lists %d privileges", len(privileges))
	}
	for _, s := range sources(t, false) {
		if s.dir == "internal/access" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok && privileges[literal(e)] {
				t.Errorf("%s spells the privilege %s: name the constant", s.fset.Position(n.Pos()), literal(e))
			}
			return true
		})
	}
}

// TestFaultsAreDistinguishedByType forbids comparing a fault's kind with a string. The kind is a name
// for logs and metrics.
func TestFaultsAreDistinguishedByType(t *testing.T) {
	kind := func(e ast.Expr) bool {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Kind"
	}
	for _, s := range sources(t, false) {
		report := func(n ast.Node) {
			t.Errorf("%s compares a kind with a string: see vim.IsFault", s.fset.Position(n.Pos()))
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				compared := n.Op == token.EQL || n.Op == token.NEQ
				if compared && (kind(n.X) && literal(n.Y) != "" || kind(n.Y) && literal(n.X) != "") {
					report(n)
				}
			case *ast.SwitchStmt:
				for _, c := range n.Body.List {
					for _, e := range c.(*ast.CaseClause).List {
						if n.Tag != nil && kind(n.Tag) && literal(e) != "" {
							report(e)
						}
					}
				}
			}
			return true
		})
	}
}

// TestNobodyButTheMirrorWritesAView: what a process believes is changed by commits.
// So nothing but a view has a view's methods, and only the packages that put a
// server together ask for one.
func TestNobodyButTheMirrorWritesAView(t *testing.T) {
	makers := []string{"internal/domain", "internal/serve", "internal/vectors"}
	for _, s := range sources(t, false) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Put" || !takesRecord(f) || f.Type.Results != nil {
				continue
			}
			typ := f.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			if name, ok := typ.(*ast.Ident); ok && name.IsExported() {
				t.Errorf("%s: %s has the methods of a view: see store.NewView", s.path, name)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 0 || slices.Contains(makers, s.dir) {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "View" {
				t.Errorf("%s asks for a view", s.fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// takesRecord reports whether the function has a parameter of the type store.Record,
// as a view's Put has.
func takesRecord(f *ast.FuncDecl) bool {
	for _, p := range f.Type.Params.List {
		if sel, ok := p.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "Record" {
			return true
		}
	}
	return false
}
