package identity

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
)

func load(t *testing.T, src string) (Config, []string) {
	t.Helper()
	c := Defaults()
	_, err := config.Load("/etc/vigate/vigate.yaml", []byte(src),
		[]config.Flag{{Name: "data", Values: []string{"/d"}}}, c.Section("/etc/vigate/vigate.yaml"))
	var problems []string
	if err != nil {
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			mistake, ok := errors.AsType[*config.Error](e)
			if !ok {
				t.Fatalf("%v is no mistake with a place", e)
			}
			problems = append(problems, strings.TrimPrefix(mistake.Error(), "/etc/vigate/vigate.yaml:"))
		}
	}
	return c, problems
}

func lines(all ...string) string { return strings.Join(all, "\n") + "\n" }

const whole = `
identity:
  tokens: {bearer-max: 5m, holder-of-key-max: 720h, bearer-reuse: false, clock-skew: 60s}
  saml:
    - {issuer: "https://idp.example/metadata", certificates: idp.pem, domain: corp.example,
       audience: "https://v.example"}
  oidc:
    - {issuer: "https://idp.example", jwks-url: "https://idp.example/keys", ca: idp-ca.pem, audience: vigate,
       algorithms: [RS256, ES256], name-claim: sub, groups-claim: groups, domain: oidc.example,
       console: true, client-secret-file: client-secret}
  kerberos: {keytab: http.keytab, realms: {CORP.EXAMPLE: corp.example}}
  ldap:
    - domain: corp.example
      servers: ["ldaps://dc1.corp.example:636", "ldap://dc2.corp.example"]
      start-tls: true
      ca: /ca/ldap-ca.pem
      bind-dn: "cn=vigate,dc=corp,dc=example"
      bind-password-file: ldap-password
      user-base: "ou=people,dc=corp,dc=example"
      user-filter: "(uid={name})"
      group-base: "ou=groups,dc=corp,dc=example"
      group-filter: "(member={dn})"
      nested-groups: true
`

func TestTheSectionIsReadWhole(t *testing.T) {
	c, problems := load(t, whole)
	if problems != nil {
		t.Fatal(problems)
	}
	if c.Tokens.HolderOfKeyMax != 720*time.Hour || c.Tokens.ClockSkew != time.Minute || c.Recheck != 5*time.Minute {
		t.Errorf("the times are %+v and %v", c.Tokens, c.Recheck)
	}
	files := []string{c.SAML[0].Certificates, c.OIDC[0].CA, c.Kerberos.Keytab, c.LDAP[0].CA, c.LDAP[0].BindPasswordFile,
		c.OIDC[0].ClientSecretFile}
	if !slices.Equal(files, []string{"/etc/vigate/idp.pem", "/etc/vigate/idp-ca.pem", "/etc/vigate/http.keytab",
		"/ca/ldap-ca.pem", "/etc/vigate/ldap-password", "/etc/vigate/client-secret"}) || !c.OIDC[0].Console {
		t.Errorf("the files are %q", files)
	}
	if l := c.LDAP[0]; len(l.Servers) != 2 || !l.StartTLS || !l.NestedGroups || l.UserFilter != "(uid={name})" {
		t.Errorf("the directory is %+v", l)
	}
}

func TestASourceHasDefaults(t *testing.T) {
	c, problems := load(t, `identity: {oidc: [{issuer: "https://a", audience: v, domain: a.example}]}`)
	if problems != nil || c.OIDC[0].NameClaim != "sub" ||
		!slices.Equal(c.OIDC[0].Algorithms, []string{"RS256", "ES256"}) || c.Tokens.BearerMax != 5*time.Minute {
		t.Errorf("%v, %+v", problems, c)
	}
}

func TestEveryMistakeHasALine(t *testing.T) {
	const entry = `servers: ["ldaps://x"], user-base: b, user-filter: "(uid={name})"}`
	for src, want := range map[string][]string{
		`identity: {oidc: [{issuer: "https://a", domain: a.example}]}`: {"1: audience is required"},
		lines("identity:", "  tokens: {bearer-max: 0s, clock-skew: 1h}", "  recheck: 1ms"): {
			"2: bearer-max must be between 1s and 8760h", "2: clock-skew must be between 1s and 10m",
		},
		lines("identity:", "  tokens: {clock-skew: 0s}"): {"2: clock-skew must be between 1s and 10m"},
		lines("identity:", "  recheck: 1ms"):             {"2: recheck must be at least 1s"},
		lines("identity:", "  saml:", "  - {issuer: a, certificates: c, domain: vsphere.local}",
			"  - {issuer: b, certificates: c, domain: LocalOS}"): {
			"3: domain must not be vsphere.local", "4: domain must not be LocalOS",
		},
		lines("default-domain: corp.example", "identity:", "  kerberos:", "    keytab: k",
			"    realms: {A: corp.EXAMPLE}"): {"5: realms must not be corp.EXAMPLE"},
		lines("identity:", "  ldap:", "  - {domain: a.b, "+entry, "  - {domain: A.B, "+entry): {
			"4: domain gives the domain A.B to a second LDAP directory",
		},
		lines("identity:", "  saml:", "  - {issuer: a, certificates: c, domain: a.a}",
			"  - {issuer: a, certificates: c, domain: a.b}"): {"4: issuer is listed twice"},
		lines("identity:", "  oidc:",
			`  - {issuer: "http://idp.example", audience: v, domain: a.b, algorithms: [HS256, none]}`): {
			"3: issuer must be an https URL", `3: algorithms must be of RS256`, `"none"`,
		},
		lines("identity:", "  oidc:",
			`  - {issuer: x, jwks-url: "https://i.example/k", audience: v, domain: a.b, console: true}`,
			`  - {issuer: "https://i.example", audience: v, domain: b.b, client-secret-file: f}`): {
			"3: console needs an https URL as issuer", "4: client-secret-file needs console",
		},
		lines("identity:", "  oidc:", `  - {issuer: x, jwks-url: "http://10.0.0.1/k", audience: v, domain: 'a\b'}`): {
			`3: domain must be a domain such as corp.example, not "a\\b"`, "3: jwks-url must be an https URL",
		},
		lines("identity:", "  ldap:", "  - domain: a.b",
			`    servers: ["ldap://dc.example", "http://x", "ldaps://u:p@x"]`,
			"    user-base: b", `    user-filter: "(uid=*)"`, "    bind-dn: x", "    group-base: b",
			"    nested-groups: true"): {
			"4: servers must use ldaps:// or start-tls", "4: servers must be URLs", "7: bind-dn and bind-password-file",
			"6: user-filter must contain {name}", "8: group-base and group-filter", "9: nested-groups needs",
		},
		`identity: {kerberos: {realms: {"A@B": a.b}}}`: {
			"1: keytab is required", `1: realms must have names such as`,
		},
		"identity: {ldap: [{domain: a.b}], what: 1}": {
			`identity."what" is not a key`, "servers must have 1 to 8 URLs",
		},
	} {
		_, problems := load(t, src)
		for _, w := range want {
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, w) }) {
				t.Errorf("%s\nis not told %q, but %q", src, w, problems)
			}
		}
	}
}

// Whoever corrects a file wants all of its mistakes at once, not the next kind after each correction.
func TestMistakesInValuesAndBetweenSourcesAreReportedTogether(t *testing.T) {
	c, problems := load(t, lines("identity:", "  recheck: 1ms", "  saml:",
		"  - {issuer: a, certificates: none.pem, domain: vsphere.local}", "  - {issuer: a, domain: b.b}",
		"  - {certificates: c, domian: c.c}", "  - {certificates: c}", "  oidc:",
		"  - {issuer: 7, audience: v, domain: b.b}", "  - {issuer: x, audience: v, domain: B.B}"))
	want := []string{
		"5: certificates is required", `6: identity.saml[2]."domian" is not a key; did you mean domain?`,
		"7: issuer is required", "7: domain is required", `9: identity.oidc[0].issuer must be a text`,
		"10: issuer must be an https URL", "2: recheck must be at least 1s", "5: issuer is listed twice",
		"4: domain must not be vsphere.local", "10: domain gives the domain B.B to a second OpenID Connect issuer",
	}
	if len(problems) != len(want) {
		t.Errorf("%d problems, want %d: %q", len(problems), len(want), problems)
	}
	for i, p := range problems {
		if i < len(want) && !strings.Contains(p, want[i]) {
			t.Errorf("problem %d is %q, want %q", i, p, want[i])
		}
	}
	// What can't be opened is a mistake of the one source that is right otherwise.
	_, err := Open(c, nil, nil)
	if err == nil || strings.Count(err.Error(), "\n") != 0 ||
		!strings.Contains(err.Error(), "certificates can't be used") {
		t.Errorf("opened: %v", err)
	}
}

func TestALoopbackDirectoryNeedsNoTLS(t *testing.T) {
	_, problems := load(t, lines("identity:", "  ldap:",
		`  - {domain: a.b, servers: ["ldap://127.0.0.1:389", "ldap://[::1]"], user-base: b,`,
		`     user-filter: "(uid={name})"}`))
	if problems != nil {
		t.Error(problems)
	}
}
