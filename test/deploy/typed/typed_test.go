// Package typed runs the commands of a documentation page exactly as they are printed, with the real program and the
// real systemd unit, in an image of a machine that exists only for the test. So a reader can copy the page line by
// line.
package typed

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// blocks are the commands of a page that are to be typed, in their order: those in fences of "sh typed".
var blocks = regexp.MustCompile("(?ms)^```sh typed\n(.*?)^```$")

// archive makes the directory in which a reader begins: with the program and the files of deploy.
func archive(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(filepath.Join(root, "deploy"))); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "vigate"), "./cmd/vigate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestTheOperatorsPageWorksAsTyped needs root.
func TestTheOperatorsPageWorksAsTyped(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	var script bytes.Buffer
	script.WriteString("set -euo pipefail\n")
	found := blocks.FindAllStringSubmatch(string(page), -1)
	for i, block := range found {
		fmt.Fprintf(&script, "echo '== block %d'\n%s", i+1, block[1])
	}
	script.WriteString("echo '== done'\nsystemctl stop vigate\n")
	if len(found) < 8 {
		t.Fatalf("docs/operations.md has %d blocks to type", len(found))
	}
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, script.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "--net",
		"./testdata/image", archive(t), file)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "== done\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	// What a reader sees on the way.
	for _, want := range []string{
		`User: +VSPHERE\.LOCAL\\Administrator`, `sha256 Fingerprint=([0-9A-F]{2}:){31}`, `User: +VSPHERE\.LOCAL\\ann`,
		`vigate\.yaml: no mistakes`, `/backup/vigate-\S+\.db is sound`, `restored and verified`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if _, err := os.Stat("/etc/systemd/system/vigate.service.d"); err == nil {
		t.Error("the machine itself was changed")
	}
}
