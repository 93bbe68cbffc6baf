package vigate_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	gotypes "go/types"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/identity"
	upstreams "github.com/vigate/vigate/internal/upstream/settings"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// required reads a go.mod file. It returns the version of each required module and the modules that
// are marked as indirect.
func required(t *testing.T, path string) (version map[string]string, indirect map[string]bool) {
	t.Helper()
	version, indirect = map[string]string{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:\t|require )(\S+\.\S+/\S+|\S+\.\S+) (v\S+)( // `+
		`indirect)?$`).FindAllStringSubmatch(readText(t, path), -1) {
		version[m[1]], indirect[m[1]] = m[2], m[3] != ""
	}
	if len(version) == 0 {
		t.Fatalf("%s requires nothing", path)
	}
	return version, indirect
}

// provider returns the required module that contains the package, or "".
func provider(version map[string]string, pkg string) string {
	best := ""
	for m := range version {
		if (pkg == m || strings.HasPrefix(pkg, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// direct returns the modules that the project's own files import, including test files.
func direct(t *testing.T, version map[string]string) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	for _, tests := range []bool{false, true} {
		for _, s := range sources(t, tests) {
			for _, i := range s.file.Imports {
				path, _ := strconv.Unquote(i.Path.Value)
				first, _, _ := strings.Cut(path, "/")
				if !strings.Contains(first, ".") || strings.HasPrefix(path, module) {
					continue
				}
				m := provider(version, path)
				if m == "" {
					t.Errorf("%s imports %s, which go.mod does not require", s.path, path)
				}
				used[m] = true
			}
		}
	}
	return used
}

// tools returns the packages that a go.mod file names as tools.
func tools(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	text := readText(t, path)
	if _, block, ok := strings.Cut(text, "\ntool ("); ok {
		block, _, _ = strings.Cut(block, ")")
		all = strings.Fields(block)
	}
	for _, m := range regexp.MustCompile(`(?m)^tool ([^(\s]+)$`).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// explained returns the modules in the table of docs/dependencies.md, with their versions.
func explained(t *testing.T) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (v[^ ]+) \\| ").FindAllStringSubmatch(readText(t,
		"docs/dependencies.md"), -1) {
		rows[m[1]] = m[2]
	}
	return rows
}

func TestEveryDependencyIsExplained(t *testing.T) {
	rows := explained(t)
	want := map[string]string{}
	version, _ := required(t, "go.mod")
	for m := range direct(t, version) {
		want[m] = version[m]
	}
	nested, err := filepath.Glob("test/*/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(nested, "tools/go.mod") {
		version, indirect := required(t, path)
		for _, tool := range tools(t, path) {
			m := provider(version, tool)
			want[m] = version[m]
		}
		for m, v := range version {
			if !indirect[m] && !strings.HasPrefix(m+"/", module) {
				want[m] = v
			}
		}
	}
	for _, m := range slices.Sorted(maps.Keys(want)) {
		if rows[m] != want[m] {
			t.Errorf("docs/dependencies.md has %q for `%s`, want %s", rows[m], m, want[m])
		}
	}
	for m := range rows {
		if want[m] == "" {
			t.Errorf("docs/dependencies.md explains %s, which is not a dependency", m)
		}
	}
}

func TestEveryPackageThatTheTestsInstallIsExplained(t *testing.T) {
	lists := regexp.MustCompile(`(?m)^ *for p in (.*); do$`).FindAllStringSubmatch(readText(t, "scripts/setup"), -1)
	if len(lists) != 2 {
		t.Fatalf("scripts/setup has %d lists of packages", len(lists))
	}
	doc := readText(t, "docs/dependencies.md")
	for _, m := range lists {
		for _, p := range strings.Fields(m[1]) {
			if !strings.Contains(doc, "`"+p+"`") {
				t.Errorf("docs/dependencies.md does not explain the Debian package %s", p)
			}
		}
	}
}

func TestEveryKeyOfTheConfigurationIsInTheOperatorsPage(t *testing.T) {
	doc := readText(t, "docs/operations.md")
	names := map[string]bool{}
	for _, k := range config.Keys() {
		names[k.Name] = true
		value := ""
		if k.Default != "" {
			value = "`" + k.Default + "`"
		}
		if row := fmt.Sprintf("| `%s` | %s | %s |\n", k.Name, value,
			strings.ReplaceAll(k.Help, "|", `\|`)); !strings.Contains(doc, row) {
			t.Errorf("docs/operations.md does not have the row\n%s", row)
		}
	}
	_, table, _ := strings.Cut(doc, "| key | default | what |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		if !names[m[1]] {
			t.Errorf("docs/operations.md explains %s, which is not a key", m[1])
		}
	}
}

// identityKeys returns the keys of a section's type, with their defaults.
func identityKeys(section reflect.Value, prefix string) map[string]reflect.Value {
	keys := map[string]reflect.Value{}
	for i := range section.NumField() {
		name := section.Type().Field(i).Tag.Get("config")
		field := section.Field(i)
		switch kind := field.Type(); {
		case name == "":
		case kind.Kind() == reflect.Struct:
			maps.Copy(keys, identityKeys(field, prefix+name+"."))
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			maps.Copy(keys, identityKeys(reflect.Zero(kind.Elem()), prefix+name+"[]."))
		default:
			keys[prefix+name] = field
		}
	}
	return keys
}

func TestEveryKeyOfTheIdentitySectionIsInItsPage(t *testing.T) {
	checkKeys(t, "docs/identity.md", identityKeys(reflect.ValueOf(identity.Defaults()), ""))
}

func TestEveryKeyOfTheUpstreamsSectionIsInItsPage(t *testing.T) {
	const file = `{dev: true, upstreams: [{name: x, url: "https://x.test/sdk", listen: "127.0.0.1:0",
		accounts: [{name: a, username: u, password-file: p}],
		dispense: [{account: a, path: /session, tokens-file: t}]}]}`
	var all []upstreams.Config
	if _, err := config.Load("", []byte(file), nil, upstreams.Section("", &all)); err != nil {
		t.Fatal(err)
	}
	keys := identityKeys(reflect.ValueOf(all[0]), "")
	maps.Copy(keys, identityKeys(reflect.ValueOf(all[0].Accounts[0]), "accounts[]."))
	maps.Copy(keys, identityKeys(reflect.ValueOf(all[0].Dispense[0]), "dispense[]."))
	checkKeys(t, "docs/gateway.md", keys)
}

// checkKeys checks that the table of a page has a row for each key, and the default of those that are times,
// numbers or switches.
func checkKeys(t *testing.T, page string, keys map[string]reflect.Value) {
	t.Helper()
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9.\\[\\]-]+)` \\| (?:`(.*)`)? \\| .+ \\|$").FindAllStringSubmatch(
		readText(t, page), -1)
	for _, row := range rows {
		value, ok := keys[row[1]]
		delete(keys, row[1])
		switch {
		case !ok:
			t.Errorf("%s explains %s, which is not a key", page, row[1])
		case value.Kind() == reflect.Bool && row[2] != fmt.Sprint(value.Bool()):
			t.Errorf("%s has the default %q for %s, want %t", page, row[2], row[1], value.Bool())
		case value.Kind() == reflect.Int && row[2] != fmt.Sprint(value.Int()):
			t.Errorf("%s has the default %q for %s, want %d", page, row[2], row[1], value.Int())
		case value.Type() == reflect.TypeFor[time.Duration]():
			if d, err := time.ParseDuration(row[2]); err != nil || d != value.Interface() {
				t.Errorf("%s has the default %q for %s, want %v", page, row[2], row[1], value)
			}
		}
	}
	for name := range keys {
		t.Errorf("%s does not explain %s", page, name)
	}
}

// testNames returns the names of all tests and fuzz targets, including those of nested modules.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, s := range parsed(t, true) {
		for name := range s.file.Scope.Objects {
			names[name] = true
		}
	}
	return names
}

var namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9_]+)`")

func TestThePageOnSecurityNamesTestsThatAreThere(t *testing.T) {
	names := testNames(t)
	doc := readText(t, "docs/security.md")
	all := namedTest.FindAllStringSubmatch(doc, -1)
	if len(all) == 0 {
		t.Fatal("docs/security.md names no tests")
	}
	for _, m := range all {
		if !names[m[1]] {
			t.Errorf("docs/security.md names %s, which does not exist", m[1])
		}
	}
	for name := range names {
		if strings.HasPrefix(name, "TestASVS_") && !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/security.md does not name %s", name)
		}
	}
}

// bounds maps the beginning of each row in the table of bounds of docs/operations.md to the
// constants that the row must show.
func bounds(t *testing.T) map[string][]int64 {
	number := constants(t)
	limits := budget.Default()
	scopes := func(k budget.Kind) []int64 { return []int64{limits[k].Session, limits[k].Principal, limits[k].Server} }
	return map[string][]int64{
		"objects of sessions": scopes(budget.Objects),
		"memory of these":     scopes(budget.Memory),
		"calls that may wait": scopes(budget.Waits),
		"answers of more": append(scopes(budget.Answers), number("vim", "freeAnswer"),
			number("property", "pageBytes")),
		"an answer without":     {number("vim", "maxStrangers")},
		"visits of":             {number("property", "maxVisits"), number("property", "maxDepth")},
		"work of a request":     {number("vim", "stretch")},
		"requests that work":    {number("budget", "MaxWaitingEach"), number("budget", "maxWaiting")},
		"unfinished retrievals": {number("property", "maxPages")},
		"filter specs": {
			number("property", "maxSpecs"), number("property", "maxTypes"), number("property", "maxPaths"),
			number("property", "maxObjects"), number("property", "maxSelections"), number("property", "maxNesting"),
		},
		"entities times":       {number("admin", "maxPairs")},
		"roles, and":           {number("access", "maxRoles"), number("access", "MaxPermissions")},
		"collectors of events": {number("event", "maxWatched")},
		"values in one line":   {number("audit", "maxNotes"), number("audit", "maxNoted")},
	}
}

// constants returns a function that looks up an integer constant of a package in internal.
func constants(t *testing.T) func(pkg, name string) int64 {
	t.Helper()
	all := sources(t, false)
	return func(pkg, name string) int64 {
		t.Helper()
		for _, s := range all {
			if s.dir != "internal/"+pkg {
				continue
			}
			for _, d := range s.file.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.CONST {
					continue
				}
				for _, spec := range g.Specs {
					v := spec.(*ast.ValueSpec)
					i := slices.IndexFunc(v.Names, func(n *ast.Ident) bool { return n.Name == name })
					if i < 0 || i >= len(v.Values) {
						continue
					}
					got, err := gotypes.Eval(token.NewFileSet(), nil, token.NoPos, gotypes.ExprString(v.Values[i]))
					if err != nil {
						t.Fatal(err)
					}
					n, _ := constant.Int64Val(got.Value)
					return n
				}
			}
		}
		t.Errorf("internal/%s has no constant %s", pkg, name)
		return -1
	}
}

// spelled returns the ways in which the page may write a number, such as 1,000,000 or 16 MiB.
func spelled(n int64) []string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	all := []string{digits}
	if n > 0 && n%(1<<10) == 0 {
		all = append(all, fmt.Sprint(n>>10, " KiB"))
	}
	if n > 0 && n%(1<<20) == 0 {
		all = append(all, fmt.Sprint(n>>20, " MiB"))
	}
	return all
}

func TestTheTableOfBoundsIsThatOfTheCode(t *testing.T) {
	_, table, found := strings.Cut(readText(t, "docs/operations.md"),
		"| what | bound | past it | test |\n|--|--|--|--|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	names, want := testNames(t), bounds(t)
	rows := strings.Split(table, "\n")
	if !found || len(rows) < len(want) {
		t.Fatalf("docs/operations.md has a table of %d bounds", len(rows))
	}
	for _, row := range rows {
		cells := strings.Split(row, " | ")
		if len(cells) != 4 {
			t.Errorf("not four cells: %s", row)
			continue
		}
		tests := namedTest.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 && !strings.HasPrefix(cells[3], "the same") {
			t.Errorf("the row names no test: %s", row)
		}
		for _, m := range tests {
			if !names[m[1]] {
				t.Errorf("docs/operations.md names %s, which does not exist", m[1])
			}
		}
		for begin, numbers := range want {
			if !strings.HasPrefix(row, "| "+begin) {
				continue
			}
			delete(want, begin)
			for _, n := range numbers {
				if !slices.ContainsFunc(spelled(n), func(s string) bool {
					return regexp.MustCompile(`(^|[^0-9,])` + s +
						`($|[^0-9,]|,[^0-9])`).MatchString(strings.Join(cells[:3], " "))
				}) {
					t.Errorf("%q does not say %v", begin, spelled(n))
				}
			}
		}
	}
	for begin := range want {
		t.Errorf("docs/operations.md has no row %q", begin)
	}
}

// asvs lists the requirements of OWASP ASVS 5.0 for which docs/security.md must state how they are
// met.
var asvs = strings.Fields(`
	1.5.1 1.5.2 1.5.3 3.3.1 3.3.2 3.3.3 3.3.4 3.3.5 4.1.3 4.2.1 4.2.2 4.2.3 4.2.4 4.2.5 6.2.8 6.2.9 6.3.1 6.3.2
	6.3.4 6.3.8 6.5.1 6.7.2 6.8.1 6.8.2 6.8.3 7.1.1 7.1.2 7.1.3 7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2
	7.4.3 7.4.5 7.5.2 7.6.1 8.3.2 8.3.3 9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4 11.2.4 11.5.1 12.1.1 15.3.4
	16.2.5 16.3.1 16.3.2 16.3.3 16.3.4 16.4.1 16.5.1 16.5.3
`)

func TestThePageOnSecurityAnswersEachRequirement(t *testing.T) {
	answered := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([0-9][^|]*) \| ([^|]*) \| ([^|]*) `+
		`\|$`).FindAllStringSubmatch(readText(t, "docs/security.md"), -1) {
		if strings.TrimSpace(m[3]) == "" {
			t.Errorf("%s: the row has no evidence", m[1])
		}
		for id := range strings.SplitSeq(m[1], ", ") {
			from, to, isRange := strings.Cut(id, "–")
			answered[from] = true
			if !isRange {
				continue
			}
			chapter := from[:strings.LastIndex(from, ".")+1]
			first, err1 := strconv.Atoi(strings.TrimPrefix(from, chapter))
			last, err2 := strconv.Atoi(strings.TrimPrefix(to, chapter))
			if err1 != nil || err2 != nil {
				t.Errorf("not a range: %s", id)
			}
			for n := first; n <= last; n++ {
				answered[chapter+strconv.Itoa(n)] = true
			}
		}
	}
	for _, id := range asvs {
		if !answered[id] {
			t.Errorf("docs/security.md does not cover requirement %s", id)
		}
	}
}
