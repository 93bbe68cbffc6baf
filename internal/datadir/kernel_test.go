//go:build unix

package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// openEnv names the environment variable that makes the test binary open a data directory.
const openEnv = "VIGATE_DATADIR_TEST_OPEN"

func TestMain(m *testing.M) {
	path := os.Getenv(openEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	d, err := Open(path)
	if err == nil {
		_, err = d.Sub(Local, mode)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	nobody = 65534
	ann    = 60001 // has no entry in the system's list of accounts
)

// TestOwnersAreWhomTheKernelSays opens directories as several accounts if the test runs as root,
// and as its own account in any case.
func TestOwnersAreWhomTheKernelSays(t *testing.T) {
	f := newTree(t)
	f.must(os.Chmod(f.dir, 0o755))
	binary, err := os.ReadFile(os.Args[0])
	f.must(err)
	f.must(os.WriteFile(f.path("open"), binary, 0o755))
	f.must(os.Chmod(f.path("open"), 0o755))
	open := func(uid uint32, name string) error {
		c := exec.CommandContext(t.Context(), f.path("open"))
		c.Env = append(os.Environ(), openEnv+"="+f.path(name))
		if os.Geteuid() == 0 {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		}
		out, err := c.CombinedOutput()
		if text, refused := strings.CutPrefix(string(out), "open data directory: "+ErrUnsafe.Error()); refused {
			err = fmt.Errorf("%w%s", ErrUnsafe, text)
		} else if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	me := uint32(os.Geteuid())
	f.must(open(me, "data"))
	if me != 0 {
		return
	}
	made := func(uid int, name string, mode fs.FileMode) {
		t.Helper()
		f.mkdir(name, mode)
		f.must(os.Lchown(f.path(name), uid, uid))
	}
	made(nobody, "nobody", 0o711)
	made(nobody, "nobody/data", 0o711)
	made(ann, "ann", 0o755)
	made(ann, "ann/data", 0o777)
	made(0, "ann/roots", 0o711)
	made(0, "public", 0o777)
	made(nobody, "public/data", 0o711)
	made(0, "tmp", 0o777|fs.ModeSticky)
	made(nobody, "tmp/data", 0o711)
	made(ann, "tmp/x", 0o755)
	made(nobody, "tmp/x/data", 0o711)

	f.must(open(nobody, "nobody/data"))
	f.must(open(nobody, "tmp/data"))
	f.must(open(nobody, "tmp/new"))
	f.refused(open(0, "nobody/data"), "nobody", "belongs to user 65534")
	f.refused(open(0, "ann/data"), "ann", "belongs to user 60001")
	f.refused(open(0, "ann/roots"), "ann", "belongs to user 60001")
	f.refused(open(nobody, "ann/new"), "ann", "belongs to user 60001")
	f.refused(open(nobody, "tmp/x/data"), "tmp/x", "belongs to user 60001")
	f.refused(open(nobody, "public/data"), "public", "can be written by everybody")
	f.refused(open(ann, "tmp/data"), "tmp/data", "belongs to user 65534", "chown 60001")

	// What an untrusted account left in a directory that now belongs to the server.
	left := "nobody/data/" + Local
	f.must(os.RemoveAll(f.path(left)))
	made(ann, left, 0o755)
	f.refused(open(nobody, "nobody/data"), left, "belongs to user 60001")
	f.must(os.Remove(f.path(left)))
	f.link(f.path("ann"), left)
	f.must(os.Lchown(f.path(left), ann, ann))
	f.refused(open(nobody, "nobody/data"), left, "is a link")
	for _, name := range []string{"ann/new", "public/new"} {
		if _, err := os.Lstat(filepath.Join(f.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
}
