// Package identity assembles the identity sources that the section "identity" of the configuration
// file describes: issuers of SAML tokens and of JWTs, Kerberos realms, and LDAP directories.
//
// [Config] is the section. Every source belongs to one domain, and a source vouches only for users
// and groups of its own domain. Config refuses a file in which two sources of the same kind claim
// one domain, or in which a source claims the domain of the server's own users.
//
// The package decides nothing about a login: [Open] only makes the methods of package login, and
// [Try] tests the sources for the operator.
package identity

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/login/jwt"
	"github.com/vigate/vigate/internal/principal"
)

// Config is the section "identity".
type Config struct {
	config.Position
	Tokens   Tokens   `config:"tokens"`
	SAML     []SAML   `config:"saml"`
	OIDC     []OIDC   `config:"oidc"`
	Kerberos Kerberos `config:"kerberos"`
	LDAP     []LDAP   `config:"ldap"`
	// Recheck is how often the groups of users in LDAP directories are looked up again while they
	// have sessions.
	Recheck time.Duration `config:"recheck"`
}

// Tokens are the rules for security tokens, those of the server's own token service and those of
// other issuers.
type Tokens struct {
	config.Position
	// BearerMax is the longest lifetime of a bearer token.
	BearerMax time.Duration `config:"bearer-max"`
	// HolderOfKeyMax is the longest lifetime of a token that is bound to a key.
	HolderOfKeyMax time.Duration `config:"holder-of-key-max"`
	// BearerReuse allows a bearer token to be used more than once until it expires.
	BearerReuse bool `config:"bearer-reuse"`
	// ClockSkew is how far the clocks of issuers and clients may differ from the server's.
	ClockSkew time.Duration `config:"clock-skew"`
}

// SAML is an issuer of SAML 2.0 tokens, such as the single sign-on service of a vCenter.
type SAML struct {
	config.Position
	Issuer       string `config:"issuer"`
	Certificates string `config:"certificates"` // PEM file of the certificates that sign its tokens
	Domain       string `config:"domain"`
	// Audience must be among the audiences of a token that names any. If it is empty, a token that
	// names audiences is refused.
	Audience string `config:"audience"`
}

// OIDC is an issuer of JSON Web Tokens, such as an OpenID Connect provider or a Kubernetes cluster.
type OIDC struct {
	config.Position
	Issuer      string   `config:"issuer"`
	JWKS        string   `config:"jwks-url"` // if it is empty, it is discovered from the issuer
	CA          string   `config:"ca"`       // PEM file; if it is empty, the system's roots
	Audience    string   `config:"audience"`
	Algorithms  []string `config:"algorithms"`
	NameClaim   string   `config:"name-claim"`
	GroupsClaim string   `config:"groups-claim"`
	// UPN means that names have the form user@domain, with this domain.
	UPN    bool   `config:"upn"`
	Domain string `config:"domain"`
	// UntilTokenExpires ends a session when the token that started it expires.
	UntilTokenExpires bool `config:"until-token-expires"`
	// Console offers logins of browsers at the issuer, with Audience as the client id.
	Console bool `config:"console"`
	// ClientSecretFile has the secret of the client. If it is empty, the client has none.
	ClientSecretFile string `config:"client-secret-file"`
}

// Kerberos is the server's key and the realms whose users may log in.
type Kerberos struct {
	config.Position
	Keytab string            `config:"keytab"`
	Realms map[string]string `config:"realms"` // domains by realm
}

// LDAP is a directory of users and groups, such as OpenLDAP or Active Directory.
type LDAP struct {
	config.Position
	Domain           string   `config:"domain"`
	Servers          []string `config:"servers"` // URLs, tried in order
	StartTLS         bool     `config:"start-tls"`
	CA               string   `config:"ca"` // PEM file; if it is empty, the system's roots
	BindDN           string   `config:"bind-dn"`
	BindPasswordFile string   `config:"bind-password-file"`
	UserBase         string   `config:"user-base"`
	UserFilter       string   `config:"user-filter"`
	GroupBase        string   `config:"group-base"`
	GroupFilter      string   `config:"group-filter"`
	NestedGroups     bool     `config:"nested-groups"`
}

// Defaults returns the section that is in force if the file has none.
func Defaults() Config {
	return Config{
		Tokens: Tokens{
			BearerMax: 5 * time.Minute, HolderOfKeyMax: 30 * 24 * time.Hour, ClockSkew: time.Minute,
		},
		Recheck: 5 * time.Minute,
	}
}

// Section returns the section for config.Load, which decodes it into c. Relative names of files are
// resolved from the directory of the configuration file.
func (c *Config) Section(file string) config.Section {
	return config.Section{Name: "identity", Into: c, Check: func(all config.Config) []error {
		c.resolve(filepath.Dir(file))
		return c.domains(all.DefaultDomain)
	}}
}

// resolve makes the names of files absolute.
func (c *Config) resolve(dir string) {
	files := []*string{&c.Kerberos.Keytab}
	for i := range c.SAML {
		files = append(files, &c.SAML[i].Certificates)
	}
	for i := range c.OIDC {
		files = append(files, &c.OIDC[i].CA, &c.OIDC[i].ClientSecretFile)
	}
	for i := range c.LDAP {
		files = append(files, &c.LDAP[i].CA, &c.LDAP[i].BindPasswordFile)
	}
	for _, f := range files {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(dir, *f)
		}
	}
}

// claim is one source's claim to a domain.
type claim struct {
	kind, domain, key string
	at                *config.Position
}

// claims returns the domain of each source.
func (c *Config) claims() []claim {
	var all []claim
	for i := range c.SAML {
		all = append(all, claim{"SAML issuer", c.SAML[i].Domain, "domain", &c.SAML[i].Position})
	}
	for i := range c.OIDC {
		all = append(all, claim{"OpenID Connect issuer", c.OIDC[i].Domain, "domain", &c.OIDC[i].Position})
	}
	for _, realm := range c.Kerberos.sorted() {
		all = append(all, claim{"Kerberos realm", c.Kerberos.Realms[realm], "realms", &c.Kerberos.Position})
	}
	for i := range c.LDAP {
		all = append(all, claim{"LDAP directory", c.LDAP[i].Domain, "domain", &c.LDAP[i].Position})
	}
	return all
}

// domains returns a mistake for each source that claims a domain of the server or of another source
// of the same kind. Sources of different kinds may share a domain: then they speak of the same
// users.
func (c *Config) domains(defaultDomain string) []error {
	var errs []error
	claimed := map[[2]string]bool{}
	for _, s := range c.claims() {
		domain := strings.ToUpper(s.domain)
		switch {
		case domain == "": // a mistake that Check has reported
		case domain == strings.ToUpper(defaultDomain), domain == strings.ToUpper(config.Default().DefaultDomain),
			domain == principal.SystemDomain:
			errs = append(errs, s.at.Wrong(s.key, "must not be %s, a domain of the server's own users", s.domain))
		case claimed[[2]string{s.kind, domain}]:
			errs = append(errs, s.at.Wrong(s.key, "gives the domain %s to a second %s", s.domain, s.kind))
		}
		claimed[[2]string{s.kind, domain}] = true
	}
	return errs
}

// Check is called by package config.
func (c *Config) Check() []error {
	var errs []error
	if c.Recheck < time.Second {
		errs = append(errs, c.Wrong("recheck", "must be at least 1s"))
	}
	issuers := map[string]bool{}
	for i := range c.SAML {
		if c.SAML[i].Issuer != "" && issuers[c.SAML[i].Issuer] {
			errs = append(errs, c.SAML[i].Wrong("issuer", "is listed twice"))
		}
		issuers[c.SAML[i].Issuer] = true
	}
	issuers = map[string]bool{}
	for i := range c.OIDC {
		if c.OIDC[i].Issuer != "" && issuers[c.OIDC[i].Issuer] {
			errs = append(errs, c.OIDC[i].Wrong("issuer", "is listed twice"))
		}
		issuers[c.OIDC[i].Issuer] = true
	}
	return errs
}

// maxLifetime bounds the lifetimes of tokens that a file can set.
const maxLifetime = 365 * 24 * time.Hour

// Check is called by package config.
func (t *Tokens) Check() []error {
	var errs []error
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"bearer-max", t.BearerMax}, {"holder-of-key-max", t.HolderOfKeyMax}} {
		if d.value < time.Second || d.value > maxLifetime {
			errs = append(errs, t.Wrong(d.key, "must be between 1s and 8760h"))
		}
	}
	if t.ClockSkew < time.Second || t.ClockSkew > 10*time.Minute {
		errs = append(errs, t.Wrong("clock-skew", "must be between 1s and 10m"))
	}
	return errs
}

// required returns a mistake for each key that has no value.
func required(p *config.Position, keys ...[2]string) []error {
	var errs []error
	for _, k := range keys {
		if k[1] == "" {
			errs = append(errs, p.Wrong(k[0], "is required"))
		}
	}
	return errs
}

// wrongDomain returns a mistake if the domain can't be part of a name.
func wrongDomain(p *config.Position, key, domain string) []error {
	if domain == "" {
		return nil // it is reported as missing
	}
	n, err := principal.Parse(domain+`\x`, "")
	if err != nil || n.Domain != strings.ToUpper(domain) || !principal.ValidText(domain) ||
		strings.ContainsAny(domain, ` ,"()`) {
		return []error{p.Wrong(key, "must be a domain such as corp.example, not %q", domain)}
	}
	return nil
}

// Check is called by package config.
func (s *SAML) Check() []error {
	return append(required(&s.Position, [2]string{"issuer", s.Issuer}, [2]string{"certificates", s.Certificates},
		[2]string{"domain", s.Domain}), wrongDomain(&s.Position, "domain", s.Domain)...)
}

// Check is called by package config.
func (o *OIDC) Check() []error {
	if o.Algorithms == nil {
		o.Algorithms = []string{"RS256", "ES256"}
	}
	if o.NameClaim == "" {
		o.NameClaim = "sub"
	}
	errs := required(&o.Position, [2]string{"issuer", o.Issuer}, [2]string{"audience", o.Audience},
		[2]string{"domain", o.Domain})
	errs = append(errs, wrongDomain(&o.Position, "domain", o.Domain)...)
	if o.Issuer != "" && o.JWKS == "" && !secureURL(o.Issuer) {
		errs = append(errs, o.Wrong("issuer", "must be an https URL, or set jwks-url"))
	}
	if o.JWKS != "" && !secureURL(o.JWKS) {
		errs = append(errs, o.Wrong("jwks-url", "must be an https URL; http is allowed only to loopback addresses"))
	}
	if len(o.Algorithms) == 0 {
		errs = append(errs, o.Wrong("algorithms", "must not be empty"))
	}
	if o.Console && o.Issuer != "" && !secureURL(o.Issuer) {
		errs = append(errs, o.Wrong("console", "needs an https URL as issuer"))
	}
	if o.ClientSecretFile != "" && !o.Console {
		errs = append(errs, o.Wrong("client-secret-file", "needs console"))
	}
	for _, a := range o.Algorithms {
		if known := jwt.Algorithms(); !slices.Contains(known, a) {
			errs = append(errs, o.Wrong("algorithms", "must be of %s, not %q", strings.Join(known, ", "), a))
		}
	}
	return errs
}

// secureURL reports whether s is a URL whose content can't be changed on the way: https, or http to
// a loopback address.
func secureURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (k *Kerberos) sorted() []string {
	realms := make([]string, 0, len(k.Realms))
	for r := range k.Realms {
		realms = append(realms, r)
	}
	slices.Sort(realms)
	return realms
}

// Check is called by package config.
func (k *Kerberos) Check() []error {
	errs := required(&k.Position, [2]string{"keytab", k.Keytab})
	if len(k.Realms) == 0 {
		errs = append(errs, k.Wrong("realms", "must map at least one realm to a domain"))
	}
	for _, r := range k.sorted() {
		if r == "" || len(r) > principal.MaxLength/2 || !principal.ValidText(r) || strings.ContainsAny(r, `@/\ `) {
			errs = append(errs, k.Wrong("realms", "must have names such as CORP.EXAMPLE, not %q", r))
		}
		if k.Realms[r] == "" {
			errs = append(errs, k.Wrong("realms", "must give the realm %s a domain", r))
		}
		errs = append(errs, wrongDomain(&k.Position, "realms", k.Realms[r])...)
	}
	return errs
}

// maxServers bounds the servers of one directory: each may cost a login its time-out.
const maxServers = 8

// Check is called by package config.
func (l *LDAP) Check() []error {
	errs := required(&l.Position, [2]string{"domain", l.Domain}, [2]string{"user-base", l.UserBase},
		[2]string{"user-filter", l.UserFilter})
	errs = append(errs, wrongDomain(&l.Position, "domain", l.Domain)...)
	if len(l.Servers) == 0 || len(l.Servers) > maxServers {
		errs = append(errs, l.Wrong("servers", "must have 1 to %d URLs", maxServers))
	}
	for _, s := range l.Servers {
		if problem := l.wrongServer(s); problem != "" {
			errs = append(errs, l.Wrong("servers", "%s: %q", problem, s))
		}
	}
	if (l.BindDN == "") != (l.BindPasswordFile == "") {
		errs = append(errs, l.Wrong("bind-dn", "and bind-password-file must be set together"))
	}
	if l.UserFilter != "" && !strings.Contains(l.UserFilter, "{name}") {
		errs = append(errs, l.Wrong("user-filter", "must contain {name}"))
	}
	if (l.GroupBase == "") != (l.GroupFilter == "") {
		errs = append(errs, l.Wrong("group-base", "and group-filter must be set together"))
	}
	if l.GroupFilter != "" && !strings.Contains(l.GroupFilter, "{dn}") && !strings.Contains(l.GroupFilter, "{name}") {
		errs = append(errs, l.Wrong("group-filter", "must contain {dn} or {name}"))
	}
	if l.NestedGroups && l.GroupFilter == "" {
		errs = append(errs, l.Wrong("nested-groups", "needs group-base and group-filter"))
	}
	return errs
}

// wrongServer returns what is wrong with the URL of a server, or "".
func (l *LDAP) wrongServer(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "must be URLs such as ldaps://dc1.corp.example:636"
	}
	if port := u.Port(); port != "" {
		if _, err := net.LookupPort("tcp", port); err != nil {
			return "must have valid ports"
		}
	}
	if u.Scheme == "ldap" && !l.StartTLS && !loopback(u.Hostname()) {
		return "must use ldaps:// or start-tls, except for loopback addresses"
	}
	return ""
}
