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
	for kind, want := range map[lab.Kind]string{lab.VCenter: "ok 4\n", lab.ESXi: "ok 2\n"} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newStage(t, kind, func(c *settings.Config) { c.MaxSessions = 1 })
			_, port, err := net.SplitHostPort(s.at.Host)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			// Debian's Python finds Debian's pyVmomi.
			cmd := exec.CommandContext(ctx, "/usr/bin/python3", "testdata/pyvmomi.py", port, s.at.User)
			cmd.Env = append(os.Environ(), "VIGATE_PASSWORD="+s.at.Password, "PYTHONDONTWRITEBYTECODE=1")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), want) {
				t.Errorf("%v\n%s", err, out)
			}
			if n := s.double.sessions(); n != 1 {
				t.Errorf("%d upstream sessions", n)
			}
		})
	}
}
