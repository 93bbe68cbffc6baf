package clients

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestPyVmomiHasTheWholeSessionManager(t *testing.T) {
	s := newServer(t)
	_, port, _ := strings.Cut(s.tls, ":")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Debian's Python, which has Debian's pyVmomi.
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "testdata/pyvmomi.py", port)
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+adminPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	has(t, "pyVmomi", string(out), "ok properties", "ok bad_logins", "ok methods", "ok waiting")
}
