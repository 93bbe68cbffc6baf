package clients

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"testing"
)

func TestPyVmomiUsesTheWholeSessionManager(t *testing.T) {
	s := newServer(t)
	_, port, _ := strings.Cut(s.tls, ":")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Debian's Python finds Debian's pyVmomi.
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "testdata/pyvmomi.py", port)
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+adminPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	has(t, "pyVmomi", string(out), "ok properties", "ok bad_logins", "ok methods", "ok waiting")
}

const localTicket = `
import ssl, sys
from pyVim.connect import SmartConnect, Disconnect
unverified = ssl._create_unverified_context()
si = SmartConnect(host="localhost", port=int(sys.argv[1]), user=sys.argv[2], pwd="", sslContext=unverified)
print(si.content.sessionManager.currentSession.userName)
Disconnect(si)
`

func TestPyVmomiLogsInWithALocalTicketInsteadOfAPassword(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "--local-tickets", "loopback")
	s.vigate(t, "", "permission", "set", `LOCALOS\`+self.Username, "ReadOnly")
	_, port, _ := strings.Cut(s.tls, ":")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/usr/bin/python3", "-c", localTicket, port, self.Username).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	has(t, "session of a local ticket", string(out), `LOCALOS\`+self.Username)
}

// python runs a script in Debian's Python, which finds Debian's pyVmomi.
func python(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", args...)
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+adminPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestTheReleasesOfMembersAreThoseOfPyVmomi(t *testing.T) {
	out := python(t, "testdata/members.py", "../../internal/soap/testdata/members.txt")
	has(t, "members", out, "ok ")
}
func TestPyVmomiConnectsWithEveryVersionThatIsListed(t *testing.T) {
	s := newServer(t)
	_, port, _ := strings.Cut(s.tls, ":")
	out := python(t, "testdata/versions.py", port)
	has(t, "versions", out, "ok 4.0 ", "ok 5.0 ", "ok 6.7.1 ", "ok 7.0.0.0 ", "ok 8.0.0.2 ", "ok all 28")
}
