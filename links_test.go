package vigate_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	section = regexp.MustCompile(`\[([\w/.-]+\.md)\]\([^)]+\) §(\d+)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// anchor returns the anchor that a viewer of documents makes of a heading.
func anchor(title string) string {
	letters := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(title), "")
	return strings.ReplaceAll(letters, " ", "-")
}

func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	links := 0
	for _, path := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(readText(t, path), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which is not there", path, m[1])
				continue
			}
			if fragment == "" {
				continue
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(readText(t, file), -1) {
				found = found || anchor(h[1]) == fragment
			}
			if !found {
				t.Errorf("%s links to %s, and no heading has this anchor", path, m[1])
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

func TestSectionsThatDocumentsNameAreThere(t *testing.T) {
	named := 0
	for _, path := range documents(t) {
		for _, m := range section.FindAllStringSubmatch(readText(t, path), -1) {
			named++
			file := filepath.Join(filepath.Dir(path), m[1])
			if _, err := os.Stat(file); err != nil {
				file = m[1]
			}
			if !regexp.MustCompile(`(?m)^## ` + m[2] + `\. `).MatchString(readText(t, file)) {
				t.Errorf("%s names %s §%s, which is not there", path, m[1], m[2])
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d sections are named", named)
	}
}

var (
	makeComment = regexp.MustCompile(`(?m)^# .*?\bmake ([a-z-]+)`)
	makePhony   = regexp.MustCompile(`(?m)^\.PHONY: (.*)$`)
	makeNamed   = regexp.MustCompile("`make ([a-z-]+)")
	makeRule    = regexp.MustCompile(`(?m)^([a-z-]+):( [a-z]|\n\t)`) // it does something, or other rules do
)

func TestEachTargetOfMakeThatIsNamedHasARule(t *testing.T) {
	makefile := readText(t, "Makefile")
	has := map[string]bool{}
	for _, m := range makeRule.FindAllStringSubmatch(makefile, -1) {
		has[m[1]] = true
	}
	named := map[string]string{} // and where
	for _, m := range makeComment.FindAllStringSubmatch(makefile, -1) {
		named[m[1]] = "a comment of the Makefile"
	}
	for _, m := range makePhony.FindAllStringSubmatch(makefile, -1) {
		for target := range strings.FieldsSeq(m[1]) {
			named[target] = ".PHONY"
		}
	}
	for _, path := range documents(t) {
		for _, m := range makeNamed.FindAllStringSubmatch(readText(t, path), -1) {
			named[m[1]] = path
		}
	}
	if len(named) < 10 {
		t.Fatalf("only %d targets are named", len(named))
	}
	for target, where := range named {
		if !has[target] {
			t.Errorf("%s names make %s, which has no rule", where, target)
		}
	}
}
