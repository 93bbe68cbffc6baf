// Package deploy tests what people install: the archives and packages of scripts/dist, and the files in deploy. Each
// file is used as its users use it, as far as one machine without containers allows.
package deploy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	adminUser     = "administrator@vsphere.local"
	adminPassword = "correct horse battery staple 7"
	// patience is how long a test waits for a condition. It is long enough for the slowest machines.
	patience = 5 * time.Minute
)

// root is the directory of the project.
var root = func() string {
	path, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return path
}()

// work is the directory of what the tests of this package share. TestMain sets it.
var work string

func TestMain(m *testing.M) {
	// Tests create data directories, which must not be writable by the group.
	syscall.Umask(0o022)
	var err error
	if work, err = os.MkdirTemp("", "vigate-deploy-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(work)
	os.Exit(code)
}

// platform is that of this machine.
var platform = runtime.GOOS + "/" + runtime.GOARCH

// made runs scripts/dist for this platform, once. It returns the directory of its results.
var made = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(work, "dist")
	return dir, runDist(root, dir)
})

func runDist(tree, dir string, platforms ...string) error {
	if len(platforms) == 0 {
		platforms = []string{platform}
	}
	cmd := exec.Command(filepath.Join(tree, "scripts", "dist"), append([]string{dir}, platforms...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// dist returns the directory of the results for this platform, and the name of its archive without extensions.
func dist(t *testing.T) (dir, name string) {
	t.Helper()
	dir, err := made()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(found) != 1 {
		t.Fatalf("archives: %v, %v", found, err)
	}
	return dir, strings.TrimSuffix(filepath.Base(found[0]), ".tar.gz")
}

// unpacked unpacks the archive of this platform, once.
var unpacked = sync.OnceValues(func() (string, error) {
	dir, err := made()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("archives: %v, %w", found, err)
	}
	out, err := exec.Command("tar", "-C", work, "-xzf", found[0]).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("unpack: %w\n%s", err, out)
	}
	return filepath.Join(work, strings.TrimSuffix(filepath.Base(found[0]), ".tar.gz")), nil
})

// archive returns the unpacked archive.
func archive(t *testing.T) string {
	t.Helper()
	dir, err := unpacked()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// program returns the released binary.
func program(t *testing.T) string {
	t.Helper()
	return filepath.Join(archive(t), "vigate")
}

// output runs a program that must succeed, and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var errors bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, errors.Bytes())
	}
	return string(out)
}

// read returns the content of a file of the project.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// write writes a file and returns its path.
func write(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// replace replaces each old text by the new one that follows it in pairs. Each old text must be there.
func replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q to replace in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// process is a program that runs until the test ends.
type process struct {
	cmd   *exec.Cmd
	log   *log
	ended chan struct{}
	err   error // of the end
}

// log collects what a program prints.
type log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// run starts a program. It gets SIGTERM at the end of the test, which it must follow.
func run(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), log: &log{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), p.log)
		}
	})
	return p
}

// stop sends SIGTERM and waits for the end.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		t.Errorf("%s does not end", p.cmd)
	}
}

// eventually waits until try returns nil.
func eventually(t *testing.T, p *process, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		var ended chan struct{}
		if p != nil {
			ended = p.ended
		}
		select {
		case <-ended:
			t.Fatalf("%s has ended: %v\n%s", p.cmd, p.err, p.log)
		case <-ctx.Done():
			t.Fatalf("waited in vain: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// serving waits until the server at the URL is ready, as its health check finds out.
func serving(t *testing.T, p *process, url string) {
	t.Helper()
	vigate := program(t)
	eventually(t, p, func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, vigate, "ready", url).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// free returns an address of the host that nobody uses.
func free(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// copyTree copies the files of the project that git knows or would add, and its repository, to a directory.
func copyTree(t *testing.T, to string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-coz", "--exclude-standard")
	files, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(root, name), filepath.Join(to, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	output(t, "cp", "-r", filepath.Join(root, ".git"), filepath.Join(to, ".git"))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}
