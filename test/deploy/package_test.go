package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// packaged are files of the deb and the rpm, with their modes.
var packaged = map[string]string{
	"/usr/bin/vigate": "-rwxr-xr-x", "/usr/lib/systemd/system/vigate.service": "-rw-r--r--",
	"/usr/lib/sysusers.d/vigate.conf": "-rw-r--r--", "/etc/vigate/vigate.yaml": "-rw-r--r--",
	"/usr/share/man/man1/vigate-session-ls.1.gz": "-rw-r--r--", "/usr/share/doc/vigate/copyright": "-rw-r--r--",
	"/usr/share/bash-completion/completions/vigate": "-rw-r--r--",
	"/usr/share/doc/vigate/operations.md":           "-rw-r--r--",
}

// only returns the one file of the results with the extension.
func only(t *testing.T, extension string) string {
	t.Helper()
	dir, _ := dist(t)
	found, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil || len(found) != 1 {
		t.Fatalf("files *%s: %v, %v", extension, found, err)
	}
	return found[0]
}

func TestTheDebHasItsFiles(t *testing.T) {
	list := output(t, "dpkg-deb", "--contents", only(t, ".deb"))
	for path, mode := range packaged {
		if !regexp.MustCompile(`(?m)^` + mode + ` root/root .* \.` + regexp.QuoteMeta(path) + `$`).MatchString(list) {
			t.Errorf("there is no %s with mode %s in\n%s", path, mode, list)
		}
	}
	if got := output(t, "dpkg-deb", "--info", only(t, ".deb"), "conffiles"); got != "/etc/vigate/vigate.yaml\n" {
		t.Errorf("files of the configuration: %s", got)
	}
}

func TestTheRpmHasItsFilesAndIsSound(t *testing.T) {
	rpm := only(t, ".rpm")
	list := output(t, "rpm", "-qp", "--queryformat", "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILENAMES}\n]", rpm)
	for path, mode := range packaged {
		if !strings.Contains(list, mode+" root "+path+"\n") {
			t.Errorf("there is no %s with mode %s in\n%s", path, mode, list)
		}
	}
	if got := output(t, "rpm", "-qp", "--configfiles", rpm); got != "/etc/vigate/vigate.yaml\n" {
		t.Errorf("files of the configuration: %s", got)
	}
	if got := output(t, "rpm", "-K", "--nosignature", rpm); !strings.Contains(got, "digests OK") {
		t.Errorf("its digests: %s", got)
	}
}

// TestTheUnitIsValidAndKeepsTheServerToItself reads the unit as systemd does, with the program where the package puts
// it.
func TestTheUnitIsValidAndKeepsTheServerToItself(t *testing.T) {
	image := t.TempDir()
	output(t, "dpkg-deb", "--extract", only(t, ".deb"), image)
	units := filepath.Join(image, "usr/lib/systemd/system")
	// The unit depends on others, which every machine has.
	output(t, "cp", "-rn", "/usr/lib/systemd/system/.", units)
	for _, path := range []string{"bin", "lib"} {
		if err := os.Symlink("usr/"+path, filepath.Join(image, path)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(image, "usr/bin/kill"), "#!/bin/sh\n", 0o755)
	verify := func(unit string) string {
		cmd := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
			"--root="+image, unit)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	if out := verify("vigate.service"); strings.Contains(out, "vigate") {
		t.Errorf("systemd says: %s", out)
	}
	// The drop-in of the operator's page gives the first password as a credential. A misspelled one shows that systemd
	// has read it.
	_, dropIn, _ := strings.Cut(read(t, "docs/operations.md"), "/first-password.conf <<'END'\n")
	dropIn, _, _ = strings.Cut(dropIn, "END\n")
	drops := filepath.Join(units, "vigate.service.d")
	if err := os.Mkdir(drops, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"LoadCredential", "LoadCredentail"} {
		write(t, filepath.Join(drops, "first-password.conf"), replace(t, dropIn, "LoadCredential", key), 0o644)
		if out := verify("vigate.service"); strings.Contains(out, "vigate") != (key == "LoadCredentail") {
			t.Errorf("with %s, systemd says: %s", key, out)
		}
	}
	if err := os.RemoveAll(drops); err != nil {
		t.Fatal(err)
	}
	text := read(t, "deploy/systemd/vigate.service")
	write(t, filepath.Join(units, "typo.service"), replace(t, text, "RestartSec=", "RestratSec="), 0o644)
	write(t, filepath.Join(units, "astray.service"), replace(t, text, "/usr/bin/vigate", "/usr/bin/vigata"), 0o644)
	for unit, want := range map[string]string{"typo.service": "RestratSec", "astray.service": "not executable"} {
		if out := verify(unit); !strings.Contains(out, want) {
			t.Errorf("of a wrong unit, systemd says only: %s", out)
		}
	}
	// The exposure is from 0 to 100 here; a unit without these options has 96.
	out := output(t, "systemd-analyze", "security", "--offline=yes", "--root="+image, "--threshold=20",
		"vigate.service")
	if !strings.Contains(out, "Overall exposure level for vigate.service") {
		t.Errorf("systemd says: %s", out)
	}
}
