package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fences are the commands of the README, with their languages.
var fences = regexp.MustCompile("(?ms)^```(\\S+)(?: \\S+)?\n(.*?)^```$")

// The README's first session, and what the lab prints, work as typed: on the ports that they name, which are free in
// a network of the test's own.
func TestTheReadmeAndTheLabWorkAsTyped(t *testing.T) {
	_, section, _ := strings.Cut(readFile(t, "../../README.md"), "\n## A first session\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := fences.FindAllStringSubmatch(section, -1)
	if len(blocks) != 5 || !strings.HasSuffix(blocks[0][2], "vigate serve --dev\n") || blocks[3][1] != "python" {
		t.Fatalf("the README's first session has other commands: %q", blocks)
	}
	var script strings.Builder
	say := func(text string) { script.WriteString(text + "\n") }
	say("set -euo pipefail; ip link set lo up")
	say(strings.TrimSuffix(blocks[0][2], "\n") + " 2>serve.log & dev=$!")
	// A reader sets the variable in the other terminal too.
	say(strings.SplitAfter(blocks[0][2], "\n")[0] + "serves() { for _ in $(seq 3000); do vigate ready " +
		"https://127.0.0.1:8989 && return; kill -0 $1; sleep 0.1; done; return 1; }; serves $dev")
	for _, b := range blocks[1:] {
		if b[1] == "python" {
			b[2] = "python3 - <<'END'\n" + b[2] + "END\n"
		}
		say(b[2])
	}
	say("kill $dev; wait $dev; echo '== the lab'")
	say("unset ${!GOVC_*} ${!VIGATE_*}; vigate-lab >lines & lab=$!; serves $lab")
	say("until grep -q '^Press' lines; do kill -0 $lab; sleep 0.1; done")
	say("sed -n '/^# govc/,/^Press/p' lines | sed '$d' >typed; . ./typed; kill $lab; wait $lab; echo '== done'")

	home := t.TempDir()
	text := strings.ReplaceAll(script.String(), "go run ./cmd/", "")
	if err := os.WriteFile(filepath.Join(home, "script"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Debian's Python has pyVmomi.
	if err := os.Symlink("/usr/bin/python3", filepath.Join(home, "python3")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork",
		"--kill-child", "bash", "script")
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "PATH=" + home + ":" + filepath.Dir(bin.vigate) + ":" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "== done\n") {
		t.Fatalf("%v\n%s\nThe script was\n%s", err, out, text)
	}
	first, lab, _ := strings.Cut(string(out), "== the lab\n")
	has(t, "the README", first, "vigate serves https://127.0.0.1:8989", "terminated: 204", "logged out: 204",
		"FullName:     vigate", "govc/", "User:       VSPHERE.LOCAL\\Administrator", "Usage:")
	has(t, "the lab", lab, "/DC0/vm/DC0_H0_VM0", "'DC0_H0_VM0'", `"_typeName":"ServiceContent"`, "svc-leak", "lab")
}
