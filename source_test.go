package vigate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// source is a parsed file.
type source struct {
	dir, path string
	file      *ast.File
	fset      *token.FileSet
}

// types yields each type that the file declares at its top, with its declaration, which may have the comment.
func (s source) types() iter.Seq2[*ast.GenDecl, *ast.TypeSpec] {
	return func(yield func(*ast.GenDecl, *ast.TypeSpec) bool) {
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				if !yield(g, spec.(*ast.TypeSpec)) {
					return
				}
			}
		}
	}
}

// sources parses the files of the main module, without test data. tests selects the test files.
func sources(t *testing.T, tests bool) []source {
	t.Helper()
	return slices.DeleteFunc(parsed(t, tests), func(s source) bool {
		first, _, _ := strings.Cut(s.dir, "/")
		return first == "test" || first == "tools" || first == "bench"
	})
}

// parsed parses the files of all modules, without test data. tests selects the test files.
func parsed(t *testing.T, tests bool) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") != tests {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		all = append(all, source{filepath.ToSlash(filepath.Dir(path)), path, f, fset})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no source found")
	}
	return all
}
