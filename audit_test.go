package vigate_test

import (
	"go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fieldsOfAudit returns the names of the fields that lines of the audit log can have, from the source.
func fieldsOfAudit(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	for _, s := range sources(t, false) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := f.X.(*ast.Ident)
			ofLine := s.dir == "internal/audit" && x != nil && x.Name == "slog"
			if name := literal(call.Args[0]); name != "" && (f.Sel.Name == "Note" || ofLine) {
				names[name] = true
			}
			return true
		})
	}
	if len(names) < 20 {
		t.Fatalf("only %d fields were found", len(names))
	}
	return slices.Sorted(maps.Keys(names))
}

func TestEveryFieldOfTheAuditLogIsInThePageOnSecurity(t *testing.T) {
	_, table, ok := strings.Cut(readText(t, "docs/security.md"), "\n| field | what |\n|--|--|\n")
	if !ok {
		t.Fatal("docs/security.md has no table of fields")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	explained := map[string]bool{}
	for row := range strings.Lines(table) {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			explained[m[1]] = true
		}
	}
	fields := append(fieldsOfAudit(t), "time", "level")
	for _, name := range fields {
		if !explained[name] {
			t.Errorf("docs/security.md does not explain the field %s", name)
		}
		delete(explained, name)
	}
	for name := range explained {
		t.Errorf("docs/security.md explains %s, which is no field", name)
	}
}
