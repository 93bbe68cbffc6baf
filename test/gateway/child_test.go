package gateway

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// childVariable says what a process of this test is that is not the test itself.
const childVariable = "VIGATE_TEST_CHILD"

// The kinds of such processes.
const (
	childGovc = "govc"
	childSite = "site"
)

// child is another process of this program.
type child struct {
	in  io.Writer
	out io.Reader
}

// server returns the path of the program that operators run.
var server = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bin, "vigate")
	return path, build("../..", "build", "-o", path, "./cmd/vigate")
})

// build runs the go command in a directory.
func build(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %v: %w\n%s", args, err, out)
	}
	return nil
}

// startChild starts a process. It must end without error when its input does, which is at the end of the test.
func startChild(t *testing.T, kind, dir string, env []string, args ...string) child {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(env, childVariable+"="+kind, "PATH="+os.Getenv("PATH"), "TMPDIR="+os.TempDir())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", kind, err)
		}
	})
	return child{in, out}
}
