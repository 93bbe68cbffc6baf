package site

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Patch replaces a piece of one source file while a program is built. The file itself does not
// change.
type Patch struct {
	File     string // relative to the module's root
	Old, New string
}

// Build compiles vigate from the module at root into dir. name distinguishes programs with
// different patches.
func Build(root, dir, name string, patches ...Patch) (string, error) {
	out := filepath.Join(dir, "vigate-"+name)
	overlay, err := writeOverlay(root, out+".overlay", patches)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return out, compile(root, "-overlay", overlay, "-o", out, "./cmd/vigate")
}

// BuildClocked compiles the server whose clock Node.SetClock sets into dir. The working directory
// must be a package of this module.
func BuildClocked(dir string) (string, error) {
	out := filepath.Join(dir, "clocked")
	return out, compile(".", "-o", out, "github.com/vigate/vigate/test/proof/clocked")
}

// compile runs go build in the directory.
func compile(dir string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, msg)
	}
	return nil
}

// writeOverlay creates dir and writes the patched copies into it. It returns the path of the file
// that names them to the go command.
func writeOverlay(root, dir string, patches []Patch) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for i, p := range patches {
		source, err := filepath.Abs(filepath.Join(root, p.File))
		if err != nil {
			return "", err
		}
		patched, err := p.Apply(root)
		if err != nil {
			return "", err
		}
		to, err := filepath.Abs(filepath.Join(dir, fmt.Sprintf("%d.go", i)))
		if err != nil {
			return "", err
		}
		if overlay.Replace[source] != "" {
			return "", fmt.Errorf("%s has two patches", p.File)
		}
		overlay.Replace[source] = to
		if err := os.WriteFile(to, patched, 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

// Apply returns the patched source. It returns an error unless the old text occurs exactly once: a
// patch that does not fit any more must be rewritten.
func (p Patch) Apply(root string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(root, p.File))
	if err != nil {
		return nil, fmt.Errorf("read the file to patch: %w", err)
	}
	if n := strings.Count(string(b), p.Old); n != 1 {
		return nil, fmt.Errorf("patch of %s: the text that it replaces occurs %d times, want once; "+
			"rewrite the patch so that it fits the source. The text is:\n%s", p.File, n, p.Old)
	}
	return []byte(strings.Replace(string(b), p.Old, p.New, 1)), nil
}
