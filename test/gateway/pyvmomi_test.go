package gateway

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// Two clients of pyVmomi use one upstream session at the same time.
func TestPyVmomiMakesReadsAndDestroysMachinesThroughAFront(t *testing.T) {
	t.Parallel()
	for _, kind := range both {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, kind, func(c *settings.Config) { c.MaxSessions = 1 })
			runPyVmomi(t, kind, s.at)
			if n := s.double.sessions(); n != 1 {
				t.Errorf("%d upstream sessions", n)
			}
		})
	}
}

func TestPyVmomiSeesTheSameWithoutAFront(t *testing.T) {
	t.Parallel()
	for _, kind := range both {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			at, end, err := open(t.Context(), kind, direct)
			must(t, err)
			t.Cleanup(func() { must(t, end()) })
			runPyVmomi(t, kind, at)
		})
	}
}

// runPyVmomi runs the clients.
func runPyVmomi(t *testing.T, kind lab.Kind, at address) {
	t.Helper()
	want := map[lab.Kind]string{lab.VCenter: "ok 4\n", lab.ESXi: "ok 2\n"}[kind]
	_, port, err := net.SplitHostPort(at.Host)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Debian's Python finds Debian's pyVmomi.
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "testdata/pyvmomi.py", port, at.User)
	cmd.Env = append(os.Environ(), "VIGATE_PASSWORD="+at.Password, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("%v\n%s", err, out)
	}
}
