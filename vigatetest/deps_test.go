package vigatetest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs the go command without a network.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOSUMDB=off", "GOTOOLCHAIN=local")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// foreign are modules that the tests of other projects must not have to download.
var foreign = []string{"go.etcd.io/etcd", "google.golang.org/grpc", "go.uber.org/zap"}

func TestThePackageDoesNotContainTheClientOfEtcd(t *testing.T) {
	deps := run(t, ".", "list", "-deps", ".")
	if !strings.Contains(deps, "internal/serve\n") {
		t.Fatalf("not a list of packages: %s", deps)
	}
	for pkg := range strings.Lines(deps) {
		for _, m := range foreign {
			if strings.HasPrefix(pkg, m) {
				t.Errorf("depends on %s", pkg)
			}
		}
		if strings.HasPrefix(pkg, "github.com/vigate/vigate/internal/store/etcd") {
			t.Errorf("depends on %s", pkg)
		}
	}
}

// A module of a stranger imports the package, and go finds out what it needs.
func TestAModuleThatImportsThePackageNeedsNoClientOfEtcd(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module stranger.test/tool\n\ngo 1.26.0\n\nrequire github.com/vigate/vigate v0.0.0\n\n"+
		"replace github.com/vigate/vigate => "+root+"\n")
	write("tool_test.go", `package tool

import (
	"testing"

	"github.com/vigate/vigate/vigatetest"
)

func TestTool(t *testing.T) { vigatetest.New(t) }
`)
	run(t, dir, "list", "-deps", "-test", ".")
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(sum), "github.com/vmware/govmomi") {
		t.Fatalf("not the sums of the module: %s", sum)
	}
	for line := range strings.Lines(string(sum)) {
		for _, m := range foreign {
			if strings.HasPrefix(line, m) {
				t.Errorf("go.sum has %s", line)
			}
		}
	}
}
