//go:build soak

package ldap

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/ldap/ldaptest"
)

// A domain controller needs root, the usual ports and some processes that outlive their parent. So
// scripts/soak runs this test in namespaces of its own for processes and the network.

const (
	adDomain   = "AD.EXAMPLE"
	adPassword = "Passw0rd-" // and the name: the password of a user
	adPatience = 5 * time.Minute
)

// controller is a running domain controller.
type controller struct {
	t   *testing.T
	dir string
}

func (c *controller) run(name string, args ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), adPatience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// tool changes the directory.
func (c *controller) tool(args ...string) {
	c.t.Helper()
	c.run("samba-tool", append(args, "-H", filepath.Join(c.dir, "private/sam.ldb"))...)
}

// startController makes a domain and starts its controller.
func startController(t *testing.T) *controller {
	t.Helper()
	// The paths of sockets have a limit, which t.TempDir would exceed.
	dir, err := os.MkdirTemp("", "ad")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &controller{t: t, dir: dir}
	ldaptest.WriteCertificate(t, dir, "")
	args := []string{"domain", "provision", "--realm=" + adDomain, "--domain=AD", "--server-role=dc",
		"--dns-backend=NONE", "--adminpass=" + adPassword + "admin", "--host-name=dc1", "--host-ip=127.0.0.1",
		"--targetdir=" + dir, "--use-rfc2307"}
	for _, option := range []string{"interfaces=lo", "bind interfaces only=yes",
		"posix:eadb=" + filepath.Join(dir, "private/eadb.tdb"), "vfs objects=dfs_samba4 acl_xattr xattr_tdb",
		"tls cafile=" + filepath.Join(dir, "ca.pem"), "tls certfile=" + filepath.Join(dir, "cert.pem"),
		"tls keyfile=" + filepath.Join(dir, "key.pem")} {
		args = append(args, "--option="+option)
	}
	c.run("samba-tool", args...)
	for _, user := range []string{"svc", "erin", "frank", "gina", "hal"} {
		c.tool("user", "create", user, adPassword+user)
	}
	c.tool("user", "disable", "frank")
	c.tool("user", "setexpiry", "hal", "--days=-1")
	for _, group := range []string{"inner", "outer", "other"} {
		c.tool("group", "add", group)
	}
	c.tool("group", "addmembers", "inner", "erin,outer") // a cycle
	c.tool("group", "addmembers", "outer", "inner")
	c.tool("domain", "passwordsettings", "set", "--account-lockout-threshold=3")
	server := exec.Command("samba", "-s", filepath.Join(dir, "etc/smb.conf"), "-F", "--no-process-group")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	c.wait()
	return c
}

// wait waits until the controller answers by LDAPS.
func (c *controller) wait() {
	c.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(adPatience)
	for {
		conn, err := tls.Dial("tcp", "127.0.0.1:636", &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatalf("the controller does not answer: %v", err)
		}
	}
}

func TestActiveDirectory(t *testing.T) {
	c := startController(t)
	set := Settings{
		Domain: adDomain, Servers: []string{"ldaps://127.0.0.1"}, CA: filepath.Join(c.dir, "ca.pem"),
		BindDN: "svc@ad.example", BindPasswordFile: file(t, adPassword+"svc"),
		UserBase:   "dc=ad,dc=example",
		UserFilter: "(&(objectClass=user)(|(sAMAccountName={name})(userPrincipalName={name}@ad.example)))",
		GroupBase:  "dc=ad,dc=example", GroupFilter: "(&(objectClass=group)(member={dn}))", NestedGroups: true,
	}
	f := newFixture(t, set)
	i := f.accepted(t, "Erin", adPassword+"erin")
	want := []string{adDomain + `\inner`, adDomain + `\outer`}
	if i.Name.User != "erin" || !slices.Equal(i.Groups, want) {
		t.Errorf("identity: %+v", i)
	}
	if c := f.search.idle[0]; !c.chain {
		t.Error("the server was not recognised, so groups were found level by level")
	}
	// The way for other directories finds the same.
	f.search.idle[0].chain = false
	if e, err := f.User(t.Context(), f.named("erin")); err != nil || time.Since(e.PasswordChanged) > time.Hour {
		t.Errorf("erin has her password since %v: %v", e.PasswordChanged, err)
	}
	if groups, err := f.Groups(t.Context(), f.named("erin")); err != nil || !slices.Equal(groups, want) {
		t.Errorf("groups, level by level: %q, %v", groups, err)
	}
	for _, user := range []string{"erin", "nobody", "frank", "hal"} {
		f.rejected(t, user, "wrong")
	}
	for _, user := range []string{"frank", "hal"} {
		f.rejected(t, user, adPassword+user)
		if _, err := f.Groups(t.Context(), f.named(user)); err == nil || !strings.Contains(err.Error(), "the account") {
			t.Errorf("groups of %s, who is disabled or expired: %v", user, err)
		}
	}
	f.accepted(t, "gina", adPassword+"gina")
	for range 3 {
		f.rejected(t, "gina", "wrong")
	}
	f.rejected(t, "gina", adPassword+"gina")
	found, err := f.Search(t.Context(), "OUTE", false)
	if got := users(found); err != nil || !slices.Contains(got, "outer (group)") || slices.Contains(got, "erin") {
		t.Errorf("found %s, %v", got, err)
	}
	if found, err = f.Search(t.Context(), "", false); err != nil || len(found) < 10 {
		t.Errorf("the whole directory has %d entries, %v", len(found), err)
	}
	c.tool("user", "disable", "erin")
	if _, err := f.Groups(t.Context(), f.named("erin")); err == nil {
		t.Error("a user who was disabled has groups")
	}
	// The service account must use TLS here: the server refuses anything else.
	set.Servers = []string{"ldap://127.0.0.1"}
	newFixture(t, set).unavailable(t)
	set.StartTLS = true
	newFixture(t, set).accepted(t, "svc", adPassword+"svc")
}
