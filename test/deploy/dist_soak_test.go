//go:build soak

package deploy

import (
	"archive/zip"
	"debug/macho"
	"debug/pe"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// all are the platforms of a release.
var all = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// TestDistMakesTheSameBytesTwiceForAllPlatforms takes some minutes: it builds everything twice, with build caches of
// their own.
func TestDistMakesTheSameBytesTwiceForAllPlatforms(t *testing.T) {
	var outs []string
	for _, place := range []string{"first", "second/a/b"} {
		tree, out := filepath.Join(t.TempDir(), place), filepath.Join(t.TempDir(), "out")
		if err := os.MkdirAll(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		copyTree(t, tree)
		t.Setenv("GOCACHE", t.TempDir())
		if err := runDist(tree, out, all...); err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
	}
	first, second := sums(t, outs[0]), sums(t, outs[1])
	if !maps.Equal(first, second) {
		t.Errorf("the first time: %v\nthe second time: %v", first, second)
	}
	// 6 archives with a bill of materials each, 2 packages for each Linux, the chart, and the sums.
	if len(first) != 6*2+2*2+2 {
		t.Errorf("there are %d files: %v", len(first), first)
	}
	checkDistPrograms(t, outs[0])
}

// checkDistPrograms checks that each archive has a program for its platform, and runs that of this machine.
func checkDistPrograms(t *testing.T, out string) {
	t.Helper()
	for _, p := range all {
		system, processor, _ := strings.Cut(p, "/")
		found, err := filepath.Glob(filepath.Join(out, "vigate-*-"+system+"-"+processor+".*z*"))
		if err != nil || len(found) != 1 {
			t.Errorf("archives for %s: %v, %v", p, found, err)
			continue
		}
		dir := t.TempDir()
		if system == "windows" {
			unzip(t, found[0], dir)
		} else {
			output(t, "tar", "-C", dir, "--strip-components=1", "-xzf", found[0])
		}
		program := filepath.Join(dir, "vigate")
		switch system {
		case "windows":
			f, err := pe.Open(program + ".exe")
			want := map[string]uint16{"amd64": pe.IMAGE_FILE_MACHINE_AMD64, "arm64": pe.IMAGE_FILE_MACHINE_ARM64}
			if err != nil || f.Machine != want[processor] {
				t.Errorf("the program for %s: %v", p, err)
			}
		case "darwin":
			f, err := macho.Open(program)
			want := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}
			if err != nil || f.Cpu != want[processor] {
				t.Errorf("the program for %s: %v", p, err)
			}
		default:
			b, err := exec.Command(program, "--version").CombinedOutput()
			if p == platform && err != nil {
				t.Errorf("the program for %s: %v: %s", p, err, b)
			}
		}
	}
}

// unzip unpacks an archive, without its top directory.
func unzip(t *testing.T, file, dir string) {
	t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, f := range r.File {
		_, name, _ := strings.Cut(f.Name, "/")
		if strings.Contains(name, "/") || name == "" {
			continue
		}
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(b), 0o755)
	}
}
