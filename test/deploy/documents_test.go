package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// block returns the commands of a document that are marked with a name: a fence "```sh NAME".
func block(t *testing.T, document, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, document), "\n```sh "+name+"\n")
	if !ok {
		t.Fatalf("%s has no commands %s", document, name)
	}
	commands, _, _ := strings.Cut(rest, "\n```")
	return commands
}

// typed runs the commands of a document in a directory, as printed, except for the processor in the names of files.
func typed(t *testing.T, dir, document, name string, env ...string) string {
	t.Helper()
	commands := strings.ReplaceAll(block(t, document, name), "amd64", runtime.GOARCH)
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s, %s: %v\n%s", document, name, err, out)
	}
	return string(out)
}

func TestTheArchiveIsCheckedAndInstalledAsTheDocumentSays(t *testing.T) {
	results, name := dist(t)
	dir, prefix := t.TempDir(), t.TempDir()
	output(t, "cp", "-rT", results, dir)
	if got := typed(t, dir, "docs/install.md", "verify"); !strings.Contains(got, name+".tar.gz: OK\n") {
		t.Errorf("the check says %s", got)
	}
	typed(t, dir, "docs/install.md", "archive", "PREFIX="+prefix)
	got := output(t, filepath.Join(prefix, "bin", "vigate"), "--version")
	if !strings.HasPrefix(got, "vigate version ") {
		t.Errorf("the program says %s", got)
	}
	for _, file := range []string{"man/man1/vigate-serve.1", "bash-completion/completions/vigate"} {
		if _, err := os.Stat(filepath.Join(prefix, "share", file)); err != nil {
			t.Error(err)
		}
	}
	write(t, filepath.Join(dir, name+".tar.gz"), "another archive", 0o644)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", block(t, "docs/install.md", "verify"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), name+".tar.gz: FAILED") {
		t.Errorf("of another archive, the check says %s", out)
	}
}
