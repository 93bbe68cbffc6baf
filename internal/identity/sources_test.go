package identity

import (
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/secret"
)

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnIssuerOfTheConfigurationLogsItsUsersIn(t *testing.T) {
	issuer := samltest.NewIssuer(t, "https://idp.example", "CORP.EXAMPLE")
	stranger := samltest.NewIssuer(t, "stranger", "CORP.EXAMPLE")
	stranger.Name = "https://idp.example"
	file := write(t, t.TempDir(), "idp.pem",
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificates[0].Raw})))
	c := Defaults()
	c.SAML = []SAML{{Issuer: "https://idp.example", Certificates: file, Domain: "corp.example"}}
	s, err := Open(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	methods, err := s.Methods(MethodOptions{Spent: &login.Spent{}})
	if err != nil || len(methods) != 1 {
		t.Fatalf("%d methods, %v", len(methods), err)
	}
	attempt := func(i samltest.Issuer) login.Attempt {
		token := i.Token(t, i.Bearer(time.Now()))
		return login.Attempt{Credential: login.Assertion{Authorization: secret.New(samltest.Header(token))}}
	}
	grant, err := methods[0].Authenticate(t.Context(), attempt(issuer))
	if err != nil || grant.Identity.Name != (principal.Name{Domain: "CORP.EXAMPLE", User: "ann"}) ||
		grant.Scope.Domain != "CORP.EXAMPLE" || len(grant.Changes) != 1 {
		t.Errorf("%+v, %v", grant, err)
	}
	if _, err := methods[0].Authenticate(t.Context(), attempt(stranger)); !errors.Is(err, login.ErrRejected) {
		t.Errorf("another key: %v", err)
	}
	// Permissions can be given to its users, who can't be looked up.
	if d := s.Directories(); len(d) != 1 || d[0].Domain() != "CORP.EXAMPLE" {
		t.Errorf("the directories are %v", d)
	}
	found := Try(t.Context(), c)
	if len(found) != 1 || found[0].Err != nil || !strings.Contains(found[0].Found, "certificate of CN=") {
		t.Errorf("found %+v", found)
	}
}

func TestFilesThatCannotBeUsedAreMistakes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty.pem", "")
	write(t, dir, "key.pem", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")
	write(t, dir, "broken.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	c := Defaults()
	for _, name := range []string{"none.pem", "empty.pem", "key.pem", "broken.pem"} {
		c.SAML = append(c.SAML, SAML{Issuer: name, Certificates: filepath.Join(dir, name), Domain: name})
	}
	c.Kerberos = Kerberos{Keytab: filepath.Join(dir, "empty.pem"), Realms: map[string]string{"A": "a.example"}}
	_, err := Open(c, nil, nil)
	if err == nil {
		t.Fatal("opened")
	}
	var text []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		text = append(text, e.Error())
	}
	if len(text) != 5 {
		t.Errorf("the mistakes are %q", text)
	}
	for i, want := range []string{"none.pem", "has no certificate", "PRIVATE KEY", "read certificate", "keytab"} {
		if !strings.Contains(text[i], want) {
			t.Errorf("%q does not say %q", text[i], want)
		}
	}
}
