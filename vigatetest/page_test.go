package vigatetest_test

import (
	"os"
	"strings"
	"testing"
)

// The page docs/testing.md shows parts of the tests of this package. They run here, so that what it shows works.
func TestTheCodeOfThePageOnTestingIsThatOfTheseTests(t *testing.T) {
	page, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("shown_test.go")
	if err != nil {
		t.Fatal(err)
	}
	rest, blocks := string(page), 0
	for {
		_, after, ok := strings.Cut(rest, "\n```go\n")
		if !ok {
			break
		}
		block, tail, ok := strings.Cut(after, "```\n")
		if !ok {
			t.Fatal("a block of code has no end")
		}
		if rest = tail; !strings.Contains(string(source), block) {
			t.Errorf("shown_test.go does not contain\n%s", block)
		}
		blocks++
	}
	if blocks == 0 {
		t.Error("docs/testing.md shows no code")
	}
}
