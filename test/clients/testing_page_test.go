package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The page on testing shows tests in Python. They run here as they are printed.
func TestThePageOnTestingShowsTestsInPythonThatPass(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n```python\n")
	script, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatal("docs/testing.md shows no Python")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sessions_test.py"), []byte(script+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-m", "unittest", "-v", "sessions_test.py")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin.vigate)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"test_expiry", "test_termination", "test_limit", "test_lock_out",
		"test_lost_privilege", "test_restart", "test_slow_server"} {
		if !strings.Contains(string(out), name) {
			t.Errorf("no %s in\n%s", name, out)
		}
	}
}
