package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestTheDebIsInstalledStartedUpgradedAndRemoved installs it in an image of this machine, which stays as it is. It
// needs root.
func TestTheDebIsInstalledStartedUpgradedAndRemoved(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "--net",
		"./testdata/install", only(t, ".deb"))
	cmd.Env = append(os.Environ(), "PASSWORD="+adminPassword, "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || !strings.HasSuffix(out.String(), "== done\n") {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	if _, err := os.Stat("/etc/vigate"); err == nil {
		t.Error("the machine itself was changed")
	}
}
