package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAPatchIsRefusedUnlessTheTextItReplacesOccursOnce(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Patch{"a.go", "one", "1"}.Apply(root)
	if err != nil || string(b) != "1 two two" {
		t.Errorf("the patched source is %q, %v", b, err)
	}
	for old, want := range map[string]string{"two": "occurs 2 times", "three": "occurs 0 times"} {
		if _, err := (Patch{"a.go", old, "x"}).Apply(root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("patch of %q: %v, want an error that says that it %s", old, err, want)
		}
	}
	if _, err := (Patch{"b.go", "one", "1"}).Apply(root); err == nil {
		t.Error("a file that does not exist was patched")
	}
	twice := []Patch{{"a.go", "one", "1"}, {"a.go", "one", "2"}}
	if _, err := writeOverlay(root, filepath.Join(root, "o"), twice); err == nil {
		t.Error("two patches of one file were accepted, and one would be lost")
	}
}
