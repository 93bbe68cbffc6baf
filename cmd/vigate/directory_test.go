package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/serve"
)

// directoryConfig returns the path of a configuration file with the directory, and with an issuer
// whose users can't be looked up.
func directoryConfig(t *testing.T, d *ldaptest.Server) string {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(`
identity:
  ldap:
    - domain: corp.example
      servers: [%q]
      ca: %q
      bind-dn: %q
      bind-password-file: password
      user-base: %q
      user-filter: "(uid={name})"
      group-base: %q
      group-filter: "(member={dn})"
      nested-groups: true
  oidc:
    - {issuer: "https://127.0.0.1:1", audience: vigate, domain: oidc.example}
`, d.LDAPS, d.CA, ldaptest.Service, ldaptest.People, ldaptest.Groups)
	for name, content := range map[string]string{"vigate.yaml": text, "password": ldaptest.Password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "vigate.yaml")
}

func TestUsersOfADirectoryLogInAndGetPermissions(t *testing.T) {
	d := ldaptest.Start(t, ldaptest.Options{})
	file := directoryConfig(t, d)
	in := inputs{file: file, partial: true}
	c, err := in.check(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	r := startWith(t, data, serve.Options{Patience: patience, Identity: c.identity}, nil)
	testscript.Run(t, testscript.Params{
		Files:               []string{filepath.Join("testdata", "directory", "ldap.txtar")},
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("CONFIG", file)
			return setupScript(env, r, "", data)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"directory": func(*testscript.TestScript, bool, []string) { d.Kill() },
		},
	})
}
