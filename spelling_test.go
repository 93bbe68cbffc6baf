package vigate_test

import (
	"go/ast"
	"go/token"
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
