package deploy

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sums returns the SHA-256 of each file in a directory.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return all
}

func TestTheSumsAreThoseOfAllFiles(t *testing.T) {
	dir, _ := dist(t)
	got := sums(t, dir)
	list, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	delete(got, "SHA256SUMS")
	for line := range strings.Lines(string(list)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got[name] != sum {
			t.Errorf("%s has sum %s, listed is %s", name, got[name], sum)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("without a sum: %v", got)
	}
}

// commands returns the words of each command in the help of the binary, such as "session ls".
func commands(t *testing.T, words ...string) []string {
	t.Helper()
	help := output(t, program(t), append(words, "--help")...)
	all := []string{strings.Join(words, " ")}
	for section := range strings.SplitSeq(help, "\n\n") {
		title, list, _ := strings.Cut(section, "\n")
		if !regexp.MustCompile(`^(Available|Additional|Other)? ?[Cc]ommands.*:$`).MatchString(title) {
			continue
		}
		for line := range strings.Lines(list) {
			if m := regexp.MustCompile(`^  ([a-z][-a-z0-9]*) `).FindStringSubmatch(line); m != nil && m[1] != "help" {
				all = append(all, commands(t, append(slices.Clone(words), m[1])...)...)
			}
		}
	}
	return all
}

func TestTheArchiveHasTheProgramAndAPageOfEachCommand(t *testing.T) {
	dir := archive(t)
	version := strings.Fields(output(t, program(t), "--version"))
	if got := version[len(version)-1]; !strings.Contains(filepath.Base(dir), "-"+got+"-") {
		t.Errorf("version %s in %s", got, filepath.Base(dir))
	}
	want := map[string]bool{}
	for _, c := range commands(t) {
		want["vigate"+strings.ReplaceAll(" "+c, " ", "-")+".1"] = true
	}
	delete(want, "vigate-.1")
	want["vigate.1"] = true
	if len(want) < 40 {
		t.Errorf("only %d commands were found", len(want))
	}
	pages, err := os.ReadDir(filepath.Join(dir, "man"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if !want[p.Name()] {
			t.Errorf("%s is the page of no command", p.Name())
		}
		delete(want, p.Name())
		b, err := os.ReadFile(filepath.Join(dir, "man", p.Name()))
		if err != nil {
			t.Fatal(err)
		}
		source := `"vigate ` + version[len(version)-1] + `"`
		if !strings.Contains(string(b), ".SH SYNOPSIS") || !strings.Contains(string(b), source) {
			t.Errorf("%s begins with\n%.300s", p.Name(), b)
		}
	}
	if len(want) > 0 {
		t.Errorf("there are no pages %v", slices.Sorted(maps.Keys(want)))
	}
}

func TestTheArchiveHasCompletionsThatKnowTheCommands(t *testing.T) {
	dir := archive(t)
	for file, sign := range map[string]string{
		"vigate.bash": "complete -o default -F __start_vigate vigate", "vigate.zsh": "#compdef vigate",
		"vigate.fish": "complete -c vigate", "vigate.ps1": "Register-ArgumentCompleter -CommandName 'vigate'",
	} {
		b, err := os.ReadFile(filepath.Join(dir, "completions", file))
		if err != nil || !strings.Contains(string(b), sign) {
			t.Errorf("%s has no %q (%v)", file, sign, err)
		}
	}
	script := `source ` + filepath.Join(dir, "completions", "vigate.bash") + `
PATH=` + dir + `:$PATH
COMP_WORDS=(vigate sess) COMP_CWORD=1 COMP_LINE='vigate sess' COMP_POINT=11
_get_comp_words_by_ref() { cur=sess prev=vigate words=(vigate sess) cword=1; }
__ltrim_colon_completions() { :; }
_init_completion() { _get_comp_words_by_ref; }
__start_vigate
printf '%s\n' "${COMPREPLY[@]}"`
	if got := strings.TrimSpace(output(t, "bash", "-c", script)); !strings.HasPrefix(got, "session") {
		t.Errorf("sess is completed to %q", got)
	}
}

// namedFile is a file or directory of deploy that a document names.
var namedFile = regexp.MustCompile(`(?:^|[^/\w])(deploy/[-\w./]*\w)`)

// A reader of the archive finds what its documents tell it to take.
func TestTheArchiveHasTheFilesThatItsDocumentsName(t *testing.T) {
	dir := archive(t)
	pages, err := filepath.Glob(filepath.Join(dir, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range namedFile.FindAllStringSubmatch(string(b), -1) {
			named[m[1]] = true
			if _, err := os.Stat(filepath.Join(dir, m[1])); err != nil {
				t.Errorf("%s names %s: %v", filepath.Base(page), m[1], err)
			}
		}
	}
	if len(named) < 8 {
		t.Errorf("the documents name only %v", slices.Sorted(maps.Keys(named)))
	}
}

func TestTheBillOfMaterialsHasEachModuleOfTheBinary(t *testing.T) {
	dir, name := dist(t)
	b, err := os.ReadFile(filepath.Join(dir, name+".cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill struct {
		BomFormat, SpecVersion string
		Metadata               struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(b, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BomFormat != "CycloneDX" || bill.SpecVersion < "1.5" ||
		bill.Metadata.Component.Name != "github.com/vigate/vigate" ||
		!strings.Contains(name, bill.Metadata.Component.Version[1:]) {
		t.Errorf("it is of %+v: %s %s", bill.Metadata.Component, bill.BomFormat, bill.SpecVersion)
	}
	listed := map[string]string{}
	for _, c := range bill.Components {
		listed[c.Name] = c.Version
		if c.PURL == "" {
			t.Errorf("%s has no package URL", c.Name)
		}
	}
	modules := regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllStringSubmatch(
		output(t, "go", "version", "-m", program(t)), -1)
	if len(modules) < 20 || listed["std"] == "" {
		t.Errorf("%d modules in the binary, standard library %q", len(modules), listed["std"])
	}
	for _, m := range modules {
		if listed[m[1]] != m[2] {
			t.Errorf("%s is listed as %q, the binary has %s", m[1], listed[m[1]], m[2])
		}
	}
}

func TestTheProgramNeedsNoLibrary(t *testing.T) {
	f, err := elf.Open(program(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("it needs %v, %v", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("it needs a dynamic loader")
		}
	}
}
