// Package vigate_test holds the project to its own layout.
package vigate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/vigate/vigate/"

// rooms is the table of docs/design.md §3: which of our packages each may
// import. What is not listed is banned, for the reason given.
var rooms = map[string]struct {
	may []string
	why string
}{
	"cmd/vigate":                 {[]string{"*"}, "is a command line for all of it"},
	"internal/serve":             {[]string{"*"}, "puts everything together"},
	"client":                     {nil, "works against any VI JSON server: nothing of this one may leak into it"},
	"internal/principal":         {nil, "a name depends on nothing"},
	"internal/peer":              {nil, "facts about a connection depend on nothing"},
	"internal/locale":            {nil, "texts depend on nothing"},
	"internal/record":            {nil, "an encoding depends on nothing"},
	"internal/secret":            {nil, "a secret depends on nothing, as everything may hold one"},
	"internal/secret/secrettest": {nil, "support of tests: the search for a secret depends on nothing"},
	"internal/budget":            {nil, "an account depends on nothing of what it counts"},
	"internal/schema":            {nil, "what the API's types are made of depends on nothing of ours"},
	"internal/store":             {nil, "the durable truth knows no domain"},
	"internal/store/bolt":        {[]string{"internal/store"}, "a store knows records, not what they mean"},
	"internal/store/etcd":        {[]string{"internal/store"}, "a store knows records, not what they mean"},
	"internal/store/transfer":    {[]string{"internal/store"}, "a copy knows records, not what they mean"},
	"internal/store/storetest":   {[]string{"internal/store", "internal/testclock"}, "the suite must be about any store"},
	"internal/testclock":         {nil, "support of tests: a clock depends on nothing"},
	"internal/event":             {[]string{"internal/store", "internal/principal", "internal/record"}, "the log holds facts; texts are made by who reads"},
	"internal/setting":           {[]string{"internal/store", "internal/event", "internal/principal", "internal/record"}, "options are set by nobody in particular"},
	"internal/eviction":          {[]string{"internal/store", "internal/principal", "internal/record"}, "ending sessions is asked for, not done, here"},
	"internal/access":            {[]string{"internal/store", "internal/event", "internal/principal", "internal/record"}, "authority must be decidable without sessions or logins"},
	"internal/roster":            {[]string{"internal/store"}, "who is made next is decided whatever is made"},
	"internal/account":           {[]string{"internal/store", "internal/event", "internal/principal", "internal/record", "internal/roster", "internal/eviction"}, "a user exists whether or not it logs in"},
	"internal/extension":         {[]string{"internal/store", "internal/event", "internal/principal", "internal/record", "internal/roster", "internal/eviction", "internal/trust"}, "an extension exists whether or not it logs in"},
	"internal/session":           {[]string{"internal/store", "internal/event", "internal/principal", "internal/secret"}, "sessions must not know how one logs in, nor any wire"},
	"internal/login":             {[]string{"internal/store", "internal/event", "internal/principal", "internal/session", "internal/access", "internal/account", "internal/extension", "internal/setting", "internal/locale", "internal/peer", "internal/secret", "internal/trust"}, "a way in must not know the API or a binding"},
	"internal/domain":            {[]string{"internal/store", "internal/event", "internal/principal", "internal/session", "internal/access", "internal/account", "internal/extension", "internal/setting", "internal/roster", "internal/locale", "internal/login"}, "the domain is whole without an API or a binding"},
	"internal/vim":               {[]string{"internal/store", "internal/event", "internal/principal", "internal/session", "internal/access", "internal/account", "internal/extension", "internal/setting", "internal/locale", "internal/peer", "internal/login", "internal/budget", "internal/secret"}, "operations know no HTTP and no binding"},
	"internal/vim/vimtest":       {[]string{"*"}, "support of tests: puts a whole API together"},
	"internal/admin":             {[]string{"internal/vim", "internal/access", "internal/account", "internal/extension", "internal/setting", "internal/event", "internal/principal", "internal/session", "internal/login", "internal/locale", "internal/budget"}, "administration is operations on the domain: no store, no HTTP, no binding"},
	"internal/history":           {[]string{"internal/vim", "internal/access", "internal/event", "internal/locale", "internal/budget"}, "the log is read and posted to through the API, and knows no store"},
	"internal/cluster":           {[]string{"internal/store", "internal/record", "internal/vim"}, "who runs, and whose clock is right, is no matter of sessions or another domain"},
	"internal/property/value":    {[]string{"internal/schema"}, "what a value is made of does not depend on where it comes from"},
	"internal/property":          {[]string{"internal/property/value", "internal/schema", "internal/vim", "internal/session", "internal/budget"}, "properties are read through the API's own rows"},
	"internal/openapi":           {[]string{"internal/vim", "internal/schema"}, "the document is made from the rows alone"},
	"internal/vectors":           {[]string{"*"}, "support of tests: puts a whole API together"},
	"internal/httptoken":         {nil, "headers and cookies depend on nothing"},
	"internal/xmltoken":          {nil, "XML is read the same, whoever needs it: no SOAP, no API"},
	"internal/binding":           {[]string{"internal/vim", "internal/peer", "internal/httptoken", "internal/secret"}, "what all bindings share knows none of them, and no codec"},
	"internal/vijson":            {[]string{"internal/binding", "internal/vim", "internal/schema", "internal/openapi", "internal/httptoken", "internal/secret"}, "no binding knows another, none touches the store"},
	"internal/soap":              {[]string{"internal/binding", "internal/vim", "internal/schema", "internal/httptoken", "internal/xmltoken", "internal/secret"}, "no binding knows another, none touches the store"},
	"internal/rest":              {[]string{"internal/binding", "internal/vim", "internal/httptoken", "internal/secret"}, "no binding knows another, none touches the store"},
	"internal/server":            {[]string{"internal/peer", "internal/httptoken"}, "listeners don't know what they serve, but which header keeps a request from being another origin's"},
	"internal/trust":             {nil, "which certificates are believed does not depend on what for"},
	"internal/datadir":           {nil, "who may change a directory does not depend on what is kept in it"},
	"internal/control":           {[]string{"internal/peer"}, "the door for this machine's commands does not know what it gives"},
	"internal/metrics":           {[]string{"internal/store", "internal/account", "internal/server"}, "what is measured knows nothing of it, and it knows no operation"},
	"internal/config":            {nil, "what can be set does not depend on who uses it"},
	"internal/cli/command":       {[]string{"client"}, "what all verbs share works against any server"},
	"internal/cli":               {[]string{"client", "internal/cli/command"}, "the command line works against any server, through the public client"},
}

// homes are the packages that alone may import a third-party module.
var homes = map[string][]string{
	"go.etcd.io/bbolt":       {"internal/store/bolt"},
	"go.etcd.io/etcd":        {"internal/store/etcd"},
	"google.golang.org/grpc": {"internal/store/etcd"}, "go.uber.org/zap": {"internal/store/etcd"}, // etcd's client is configured in their terms
	"github.com/spf13/cobra": {"cmd/vigate", "internal/cli", "internal/cli/command"}, "github.com/spf13/pflag": {"cmd/vigate", "internal/cli", "internal/cli/command"},
	"golang.org/x/crypto/argon2":          {"internal/account"},
	"golang.org/x/text":                   {"internal/locale", "internal/principal"},
	"golang.org/x/term":                   {"cmd/vigate", "internal/cli", "internal/cli/command"},
	"google.golang.org/protobuf":          {"internal/session"},
	"go.yaml.in/yaml":                     {"internal/config"},
	"github.com/prometheus/client_golang": {"internal/metrics"},
	"golang.org/x/sys":                    {"internal/peer"},
	"github.com/google/uuid":              {"internal/session", "internal/vim", "internal/setting"},
	"github.com/vmware/govmomi":           {"client", "internal/serve", "internal/vim", "internal/vim/vimtest", "internal/admin", "internal/history", "internal/property", "internal/property/value", "internal/schema", "internal/binding", "internal/vijson", "internal/soap", "internal/rest", "internal/openapi", "internal/cli", "internal/vectors", "internal/cli/command"},
}

type source struct {
	dir, path string
	file      *ast.File
	fset      *token.FileSet
}

// sources parses the module's own files, those of nested modules and test data
// left out.
func sources(t *testing.T, tests bool) []source {
	t.Helper()
	return slices.DeleteFunc(parsed(t, tests), func(s source) bool {
		first, _, _ := strings.Cut(s.dir, "/")
		return first == "test" || first == "tools" || first == "bench"
	})
}

// parsed is all files of all modules, test data left out.
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

// theDomain is what the table of docs/design.md calls by that name.
var theDomain = []string{"store", "event", "principal", "session", "access", "account", "extension", "setting"}

func TestTheTableOfRoomsIsThatOfTheDesign(t *testing.T) {
	_, table, ok := strings.Cut(readText(t, "docs/design.md"), "\n| package | owns | may import (ours) |\n|--|--|--|\n")
	if !ok {
		t.Fatal("docs/design.md has no table of rooms")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	seen := map[string]bool{}
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if len(cells) != 3 || strings.TrimSpace(cells[1]) == "" {
			t.Errorf("a row of three cells is needed: %s", row)
			continue
		}
		var may []string
		for name := range strings.SplitSeq(strings.TrimSpace(cells[2]), ", ") {
			switch name {
			case "all":
				may = append(may, "*")
			case "–":
			case "the domain":
				for _, d := range theDomain {
					may = append(may, "internal/"+d)
				}
			case "client":
				may = append(may, name)
			default:
				may = append(may, "internal/"+name)
			}
		}
		slices.Sort(may)
		for name := range strings.SplitSeq(strings.TrimSpace(cells[0]), ", ") {
			name = strings.Trim(name, "`")
			room, ok := rooms[name]
			if !ok || seen[name] {
				t.Errorf("docs/design.md: %s is no room, or has two rows", name)
			}
			seen[name] = true
			if want := slices.Sorted(slices.Values(room.may)); !slices.Equal(may, want) {
				t.Errorf("docs/design.md: %s may import %v, but the test says %v", name, may, want)
			}
		}
	}
	for name := range rooms {
		if !seen[name] {
			t.Errorf("docs/design.md has no row for %s", name)
		}
	}
}

func TestEveryPackageImportsOnlyWhatItsRoomMay(t *testing.T) {
	for _, s := range sources(t, false) {
		room, ok := rooms[s.dir]
		if !ok {
			t.Errorf("%s: package %s has no room in the table", s.path, s.dir)
			continue
		}
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			ours, ok := strings.CutPrefix(path, module)
			if ok && !slices.Contains(room.may, ours) && !slices.Contains(room.may, "*") {
				t.Errorf("%s imports %s: %s", s.path, ours, room.why)
			}
			for third, home := range homes {
				if (path == third || strings.HasPrefix(path, third+"/")) && !slices.Contains(home, s.dir) {
					t.Errorf("%s imports %s, whose home is %v", s.path, path, home)
				}
			}
		}
	}
}

func TestEveryThirdPartyModuleHasAHome(t *testing.T) {
	for _, s := range sources(t, false) {
		for _, i := range s.file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if !strings.Contains(strings.Split(path, "/")[0], ".") || strings.HasPrefix(path, module) {
				continue
			}
			found := false
			for third := range homes {
				found = found || path == third || strings.HasPrefix(path, third+"/")
			}
			if !found {
				t.Errorf("%s imports %s, which has no home in the table", s.path, path)
			}
		}
	}
}

// long lists functions that are tables or wiring and may be long.
var long = []string{"internal/config.Keys", "internal/serve.Open"}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	for _, s := range slices.Concat(parsed(t, false), parsed(t, true)) {
		lines := s.fset.Position(s.file.End()).Line
		if lines > 500 && !strings.HasPrefix(s.path, "internal/locale/") {
			t.Errorf("%s has %d lines, more than 500", s.path, lines)
		}
		if strings.HasSuffix(s.path, "_test.go") {
			continue // a table of cases may be long
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || slices.Contains(long, s.dir+"."+f.Name.Name) {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > 60 {
				t.Errorf("%s: %s has %d lines, more than 60", s.path, f.Name.Name, n)
			}
		}
	}
}

// large are the packages that have more than 2,000 lines, tests left out: how many
// they may have, and why they are not divided.
var large = map[string]struct {
	lines int
	why   string
}{
	"bench":               {2450, "one program that is no part of what ships; its parts that others use are packages"},
	"client":              {2450, "one public package is what users import; the codec is not theirs to see"},
	"internal/event":      {2100, "numbers, parts and positions are of one sequence of events in memory, which only its queries may know"},
	"internal/property":   {2450, "a collector, its filters and views are one managed object's state, and count their work where they do it"},
	"internal/server":     {2400, "what bounds a connection is useless in parts: listeners, limits and drain share it"},
	"internal/session":    {2400, "a session, its tickets, its limits and what its commits are held to change together"},
	"internal/store/bolt": {2200, "the checks of the file's pages belong to the only code that may know them"},
	"internal/store/etcd": {2900, "leases, fencing, streams and counters are one protocol that no other package may see half of"},
	"internal/vim":        {2800, "the table of operations is one; the objects that it is tested on from elsewhere have packages"},
}

func TestPackagesStaySmall(t *testing.T) {
	size := map[string]int{}
	for _, s := range parsed(t, false) {
		size[s.dir] += s.fset.Position(s.file.End()).Line
	}
	for dir, n := range size {
		most := 2000
		if l, ok := large[dir]; ok {
			if most = l.lines; n <= 2000 {
				t.Errorf("%s has %d lines: it needs no exemption", dir, n)
			}
		}
		if n > most {
			t.Errorf("%s has %d lines, more than %d: divide it, or argue why it may be so large", dir, n, most)
		}
	}
	for dir := range large {
		if size[dir] == 0 {
			t.Errorf("%s, which may be large, is not there", dir)
		}
	}
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
				t.Errorf("%s sleeps", s.fset.Position(n.Pos()))
			case ok && x.Name == "t" && strings.HasPrefix(sel.Sel.Name, "Skip"):
				t.Errorf("%s skips", s.fset.Position(n.Pos()))
			}
			return true
		})
	}
}
