package vigate_test

import (
	"flag"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/reference"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/vim"
)

// update writes the pages instead of comparing them. make reference sets it.
var update = flag.Bool("update", false, "write the pages in docs/reference")

// The page of the commands is compared where the commands are, in cmd/vigate.
func TestThePagesOfTheReferenceAreThoseOfTheProgram(t *testing.T) {
	objects, err := serve.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"operations.md": reference.Operations(objects), "options.md": reference.Options(definitions(t)),
		"events.md": reference.Events(), "paths.md": reference.Paths(),
	} {
		path := filepath.Join("docs", "reference", name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if readText(t, path) != want {
			t.Errorf("%s is not what the program says: run make reference", path)
		}
	}
}

// definitions returns the options of a server with the default configuration.
func definitions(t *testing.T) []setting.Definition {
	t.Helper()
	d, err := domain.New(domain.Options{Base: setting.Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	return d.Settings.Definitions()
}

func TestTheTablesOfTheReferenceNameWhatIsThere(t *testing.T) {
	objects, err := serve.Objects()
	if err != nil {
		t.Fatal(err)
	}
	operations := map[string]bool{}
	for _, o := range objects {
		for _, m := range o.Methods {
			operations[o.Type+"."+m.Name] = true
		}
	}
	for name := range reference.Differs {
		if !operations[name] {
			t.Errorf("there is no operation %s", name)
		}
	}
	sessions := objects[slices.IndexFunc(objects, func(o *vim.Object) bool { return o.Type == "SessionManager" })]
	if len(sessions.Methods)+len(sessions.Properties) != 22 {
		t.Errorf("SessionManager has %d rows", len(sessions.Methods)+len(sessions.Properties))
	}
}

// muxed are the numbers of paths that packages add to a mux. The paths of internal/reference are checked by
// requests, which can't find one that is missing: so whoever adds a path comes by here.
var muxed = map[string]int{
	"internal/console": 3, "internal/control": 1, "internal/rest": 4, "internal/serve": 1, "internal/server": 7,
	"internal/soap": 2, "internal/sts": 3, "internal/sts/lookup": 1, "internal/vijson": 2, "internal/welcome": 1,
}

func TestWhoAddsAPathAddsItToTheReference(t *testing.T) {
	found := map[string]int{}
	for _, s := range sources(t, false) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "Handle" && f.Sel.Name != "HandleFunc" {
				return true
			}
			switch x := f.X.(type) {
			case *ast.Ident:
				ok = x.Name == "mux"
			case *ast.SelectorExpr:
				ok = x.Sel.Name == "mux"
			default:
				ok = false
			}
			if ok {
				found[s.dir]++
			}
			return true
		})
	}
	for dir := range found {
		if found[dir] != muxed[dir] {
			t.Errorf("%s adds %d paths, and not %d: is each of them in the table Served of internal/reference?", dir,
				found[dir], muxed[dir])
		}
	}
}
