package identity

import (
	"context"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
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
	found := Try(t.Context(), c, nil)
	if len(found) != 1 || found[0].Err != nil || !strings.Contains(found[0].Found, "certificate of CN=") {
		t.Errorf("found %+v", found)
	}
}

func TestADirectoryDecidesOnItsUsersWhateverTokenTheyHave(t *testing.T) {
	server := ldaptest.Start(t, ldaptest.Options{})
	c := Defaults()
	c.LDAP = []LDAP{{
		Domain: "corp.example", Servers: []string{server.LDAPS}, CA: server.CA, UserBase: ldaptest.People,
		UserFilter: "(uid={name})", GroupBase: ldaptest.Groups, GroupFilter: "(member={dn})",
		BindDN: ldaptest.Service, BindPasswordFile: write(t, t.TempDir(), "password", ldaptest.Password),
	}}
	s, err := Open(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	own := samltest.NewIssuer(t, "https://own.example", "")
	var grant session.Grant
	methods, err := s.Methods(MethodOptions{
		Spent: &login.Spent{}, Own: func(string) []saml.Issuer { return []saml.Issuer{own.Issuer} },
		Confirm: func(context.Context, *saml.Assertion) (session.Grant, error) { return grant, nil },
	})
	if err != nil || len(methods) != 1 {
		t.Fatalf("%d methods, %v", len(methods), err)
	}
	user := func(name string) session.Identity {
		return session.Identity{
			Name: principal.Name{Domain: "CORP.EXAMPLE", User: name}, Groups: []string{`CORP.EXAMPLE\old`},
		}
	}
	enter := func(who session.Identity, origin *session.Identity) (session.Grant, error) {
		grant = session.Grant{Identity: who, Origin: origin, Scope: session.Scope{Proved: true}}
		assertion := own.Bearer(time.Now())
		assertion.Subject, assertion.Groups = who.Name, nil
		return methods[0].Authenticate(t.Context(), login.Attempt{
			Credential: login.Assertion{Authorization: secret.New(samltest.Header(own.Token(t, assertion)))},
		})
	}
	if g, err := enter(user("alice"), new(user("bob"))); err != nil || len(g.Origin.Groups) != 0 ||
		!slices.Equal(g.Identity.Groups, []string{`CORP.EXAMPLE\inner`}) {
		t.Errorf("groups of the token are used: %+v, %+v, %v", g.Identity, g.Origin, err)
	}
	for _, disabled := range []string{"carol", "nobody"} {
		if _, err := enter(user(disabled), nil); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s logs in: %v", disabled, err)
		}
		if _, err := enter(user("alice"), new(user(disabled))); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s acts as another: %v", disabled, err)
		}
	}
}

func TestAnIssuerForBrowsersHasAClientWithItsSecret(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "secret", "the secret\n")
	write(t, dir, "empty", "\n")
	c := Defaults()
	for i, name := range []string{"a", "b"} {
		c.OIDC = append(c.OIDC, OIDC{
			Issuer: "https://" + name + ".example", Audience: "vigate", Domain: name + ".example", Console: i == 1,
		})
	}
	for file, ok := range map[string]bool{"": true, "secret": true, "empty": false, "none": false} {
		if c.OIDC[1].ClientSecretFile = file; file != "" {
			c.OIDC[1].ClientSecretFile = filepath.Join(dir, file)
		}
		s, err := Open(c, nil, nil)
		if (err == nil) != ok {
			t.Errorf("%q: %v", file, err)
		}
		if err != nil {
			continue
		}
		if all := s.Clients(); len(all) != 1 || all[0].Issuer() != "https://b.example" {
			t.Errorf("%q: the clients are %v", file, all)
		}
		s.Close()
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
	const none = "no certificate in PEM"
	for i, want := range []string{"none.pem", "empty.pem: " + none, "key.pem: " + none, "broken.pem: ", "keytab"} {
		if !strings.Contains(text[i], want) {
			t.Errorf("%q does not say %q", text[i], want)
		}
	}
}
