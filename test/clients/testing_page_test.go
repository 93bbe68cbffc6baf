package clients

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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

// startLab starts the lab, whose output begins with what the returned Scanner reads.
func startLab(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	addresses := []string{"--listen", "127.0.0.1:0", "--own-listen", "127.0.0.1:0", "--plain-http", "127.0.0.1:0"}
	cmd := exec.Command(bin.lab, append(addresses, args...)...)
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the lab ended with %v", err)
		}
	})
	return bufio.NewScanner(pipe)
}

// The lab prints lines to paste for each client.
func TestTheLinesOfTheLabWorkAsPrinted(t *testing.T) {
	lines := startLab(t)
	var blocks []string
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Press Ctrl-C") {
		if strings.HasPrefix(lines.Text(), "# ") {
			blocks = append(blocks, "")
		}
		if n := len(blocks); n > 0 {
			blocks[n-1] += lines.Text() + "\n"
		}
	}
	home := t.TempDir()
	for _, block := range blocks {
		name, script, _ := strings.Cut(block, "\n")
		run := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", script)
		run.Dir = home
		// Debian's Python finds Debian's pyVmomi.
		run.Env = []string{"HOME=" + home, "PATH=" + filepath.Dir(bin.vigate) + ":/usr/bin:/bin"}
		out, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		wanted, ok := map[string][]string{
			"# govc":              {"/DC0/vm/DC0_H0_VM0", "Administrator"},
			"# pyVmomi":           {"DC0_H0_VM0", "DC0_C0_RP0_VM1"},
			"# Terraform":         {},
			"# curl with VI JSON": {`"_typeName":"ServiceContent"`},
			"# vigate":            {"Administrator", "leaky-service/1.0", "VirtualCenter"},
		}[name]
		if !ok {
			t.Errorf("the lab prints a block %q, which this test does not know", name)
		}
		has(t, name, string(out), wanted...)
	}
	if len(blocks) != 5 {
		t.Errorf("%d blocks", len(blocks))
	}
}
