package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/serve"
)

// TestTheReadmesSessionWorksAsPrinted runs the commands that the README shows, against a server on
// another port.
func TestTheReadmesSessionWorksAsPrinted(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```sh readme-curl\n")
	script, _, closed := strings.Cut(rest, "```")
	const address = "https://127.0.0.1:8989"
	if !ok || !closed || !strings.Contains(script, address) {
		t.Fatal("the README's session is not where it was")
	}
	r := start(t, t.TempDir(), nil)
	cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c",
		strings.ReplaceAll(script, address, r.tls))
	cmd.Env = append(os.Environ(), serve.PasswordVariable+"="+adminPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`{"_typeName":"ServiceContent"`, `{"_typeName":"UserSession"`, `[{"_typeName":"UserSession"`,
		"terminated: 204", "logged out: 204",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if n := r.Sessions.Size(); n != 0 {
		t.Errorf("%d sessions left", n)
	}
}
