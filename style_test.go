package vigate_test

import (
	"go/ast"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxColumns is the width of a line of Go and of a document. A tab counts as four columns.
const maxColumns = 120

func columns(line string) int {
	return utf8.RuneCountInString(line) + 3*strings.Count(line, "\t")
}

// catalogue matches the files that hold the texts of one language. A text is on one line there, so
// that translations can be compared.
var catalogue = regexp.MustCompile(`^internal/locale/[a-z]{2}(_[a-z]{2})?\.go$`)

func TestLinesOfGoAreAtMost120ColumnsWide(t *testing.T) {
	for _, s := range slices.Concat(parsed(t, false), parsed(t, true)) {
		if catalogue.MatchString(s.path) {
			continue
		}
		n := 0
		for line := range strings.Lines(readText(t, s.path)) {
			n++
			if c := columns(strings.TrimRight(line, "\n")); c > maxColumns {
				t.Errorf("%s:%d has %d columns, more than %d", s.path, n, c, maxColumns)
			}
		}
	}
}

// linkTarget matches the part of a line that can't be wrapped: the target of a link, or a URL.
var linkTarget = regexp.MustCompile(`\]\([^)]*\)|https?://\S+`)

// prose returns the lines of a Markdown document by number, without table rows and code blocks.
func prose(document string) map[int]string {
	lines, n, code := map[int]string{}, 0, false
	for line := range strings.Lines(document) {
		n++
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "```") {
			code = !code
			continue
		}
		if !code && !strings.HasPrefix(trimmed, "|") {
			lines[n] = line
		}
	}
	return lines
}

// documents returns the paths of all documents of the project.
func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		hidden := path != "." && (strings.HasPrefix(path, ".") || d.Name() == "testdata" || d.Name() == "node_modules")
		switch {
		case err != nil:
			return err
		case d.IsDir() && hidden:
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".md":
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("found only %d documents", len(found))
	}
	return found
}

func TestLinesOfDocumentsAreAtMost120ColumnsWide(t *testing.T) {
	for _, path := range documents(t) {
		for n, line := range prose(readText(t, path)) {
			if c := columns(linkTarget.ReplaceAllString(line, "")); c > maxColumns {
				t.Errorf("%s:%d has %d columns, more than %d", path, n, c, maxColumns)
			}
		}
	}
}

var endOfSentence = regexp.MustCompile(`[.!?][")\]]*(\s|$)`)

func TestEveryPackageHasADocCommentOfTwoSentences(t *testing.T) {
	docs := map[string]string{}
	for _, s := range parsed(t, false) {
		docs[s.dir] += s.file.Doc.Text()
	}
	for dir, doc := range docs {
		if n := len(endOfSentence.FindAllString(doc, -1)); n < 2 {
			t.Errorf("package %s: its doc comment has %d sentences, fewer than two", dir, n)
		}
	}
}

// logCalls are the functions of log/slog, and methods of its types, that take keys.
var logCalls = regexp.MustCompile(`^((Debug|Info|Warn|Error)(Context)?|Log|With|Any|String|Group)$`)

func TestLogsAreUniform(t *testing.T) {
	for _, s := range parsed(t, false) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) < 2 || !logCalls.MatchString(sel.Sel.Name) {
					break
				}
				for _, arg := range n.Args[:len(n.Args)-1] { // the last argument is no key
					if literal(arg) == "error" {
						t.Errorf(`%s: the key of an error is "err"`, s.fset.Position(arg.Pos()))
					}
				}
			case *ast.StructType:
				for _, f := range n.Fields.List {
					for _, name := range f.Names {
						if isLogger(f.Type) && !strings.EqualFold(name.Name, "logger") {
							t.Errorf("%s: name the field Logger or logger", s.fset.Position(name.Pos()))
						}
					}
				}
			}
			return true
		})
	}
}

// isLogger reports whether the expression is the type *slog.Logger.
func isLogger(e ast.Expr) bool {
	star, ok := e.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Logger"
}

func TestNoTestSleepsOrIsSkipped(t *testing.T) {
	for _, s := range sources(t, true) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			switch {
			case ok && x.Name == "time" && sel.Sel.Name == "Sleep":
				t.Errorf("%s calls time.Sleep", s.fset.Position(n.Pos()))
			case ok && x.Name == "t" && strings.HasPrefix(sel.Sel.Name, "Skip"):
				t.Errorf("%s skips a test", s.fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// TestExportedFunctionsAreUsedByAnotherPackage holds the rule that exported means: used by another package. The
// tests of a package that are outside of it count as another.
func TestExportedFunctionsAreUsedByAnotherPackage(t *testing.T) {
	used := map[string]map[string]bool{} // the packages that select a name of another, by the name
	all := parsed(t, false)
	for _, s := range slices.Concat(all, parsed(t, true)) {
		from := s.dir
		if strings.HasSuffix(s.file.Name.Name, "_test") {
			from += "_test"
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if used[sel.Sel.Name] == nil {
					used[sel.Sel.Name] = map[string]bool{}
				}
				used[sel.Sel.Name][from] = true
			}
			return true
		})
	}
	for _, s := range all {
		if !strings.HasPrefix(s.dir, "internal/") {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() {
				continue
			}
			others := len(used[f.Name.Name])
			if used[f.Name.Name][s.dir] {
				others--
			}
			if others == 0 {
				t.Errorf("%s: no other package uses %s", s.fset.Position(f.Pos()), f.Name.Name)
			}
		}
	}
}
