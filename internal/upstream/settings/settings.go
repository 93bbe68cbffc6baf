// Package settings is the section "upstreams" of the configuration: the servers behind vigate, the
// fronts at which clients reach them, and the accounts with which vigate logs in there.
//
// [Section] decodes the section into a list of [Config] and checks everything that can be checked
// without reading other files. All mistakes are reported at once, with their lines. The package opens
// nothing; package upstream does.
package settings

import (
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/principal"
)

// Config is one element of the list "upstreams" of the configuration: a server behind vigate, and
// the front at which clients reach it.
type Config struct {
	config.Position
	// Name names the upstream in metrics, logs and commands.
	Name string `config:"name"`
	URL  string `config:"url"`
	// One of CA, Thumbprint and Insecure says which certificate is trusted. If none is set, the
	// roots of the system are.
	CA         string `config:"ca"`         // PEM file
	Thumbprint string `config:"thumbprint"` // SHA-256 in hex, with or without colons
	Insecure   bool   `config:"insecure"`   // only for loopback addresses

	Listen    string `config:"listen"` // address of the front
	PlainHTTP string `config:"plain-http"`
	TLSCert   string `config:"tls-cert"`
	TLSKey    string `config:"tls-key"`

	// Paths are prefixes of paths that the front passes on besides those that it knows.
	Paths []string `config:"paths"`

	Mode        Mode          `config:"mode"`
	MaxSessions int           `config:"max-sessions"` // of all accounts, locales and kinds together
	MaxRequests int           `config:"max-requests"` // in flight, without waits
	MaxWaits    int           `config:"max-waits"`    // in flight
	WaitTimeout time.Duration `config:"wait-timeout"` // how long a call waits for its place
	IdleTimeout time.Duration `config:"idle-timeout"` // of a session that nobody uses
	MaxLifetime time.Duration `config:"max-lifetime"` // of a session; it is replaced once it owns nothing

	Accounts    []AccountConfig `config:"accounts"`
	PassThrough bool            `config:"pass-through"`
	// VerifyFor is how long a password that the upstream has accepted is not tried there again.
	VerifyFor time.Duration `config:"verify-for"`

	Dispense []Dispense `config:"dispense"`
}

// Mode is how client sessions share sessions of the upstream.
type Mode string

// The modes.
const (
	Shared  Mode = "shared"  // all client sessions of an account share few sessions
	Private Mode = "private" // each client session has a session of its own
)

// AccountConfig is a user of the upstream, and who acts there as this user.
type AccountConfig struct {
	config.Position
	Name         string `config:"name"`
	Username     string `config:"username"`
	PasswordFile string `config:"password-file"`
	// For lists principals of vigate, and groups with the prefix [GroupPrefix].
	For []string `config:"for"`
	// Methods are patterns of methods and paths. If there is none, everything may be called.
	Methods []string `config:"methods"`
}

// GroupPrefix is the prefix of a group in AccountConfig.For.
const GroupPrefix = "group:"

// Dispense is a path of the front at which programs get tickets for sessions of an account.
type Dispense struct {
	config.Position
	Account string `config:"account"`
	Path    string `config:"path"`
	// Subjects are the subjects of the JSON Web Tokens that get tickets.
	Subjects   []string `config:"subjects"`
	TokensFile string   `config:"tokens-file"`
	PerMinute  int      `config:"per-minute"` // tickets for each subject
	Target     Target   `config:"target"`
}

// Target is where a dispensed ticket is good.
type Target string

// The targets.
const (
	TargetUpstream Target = "upstream"
	TargetFront    Target = "front"
)

// Section returns the section for config.Load, which decodes it into the list. Relative names of
// files are resolved from the directory of the configuration file.
func Section(file string, into *[]Config) config.Section {
	return config.Section{Name: "upstreams", Into: into, Check: func(all config.Config) []error {
		for i := range *into {
			(*into)[i].resolve(filepath.Dir(file))
		}
		return checkAll(*into, all)
	}}
}

// resolve makes the names of files absolute.
func (c *Config) resolve(dir string) {
	files := []*string{&c.CA, &c.TLSCert, &c.TLSKey}
	for i := range c.Accounts {
		files = append(files, &c.Accounts[i].PasswordFile)
	}
	for i := range c.Dispense {
		files = append(files, &c.Dispense[i].TokensFile)
	}
	for _, f := range files {
		if *f != "" && !filepath.IsAbs(*f) {
			*f = filepath.Join(dir, *f)
		}
	}
}

// checkAll returns the conflicts of the upstreams with each other and with the server.
func checkAll(all []Config, server config.Config) []error {
	var errs []error
	names, addresses := map[string]bool{}, map[string]string{}
	for _, a := range []string{server.Listen, server.PlainHTTP, server.AdminListen} {
		addresses[a] = "the server"
	}
	for i := range all {
		c := &all[i]
		if names[strings.ToLower(c.Name)] {
			errs = append(errs, c.Wrong("name", "is that of another upstream: %s", c.Name))
		}
		names[strings.ToLower(c.Name)] = true
		for _, l := range []struct{ key, address string }{{"listen", c.Listen}, {"plain-http", c.PlainHTTP}} {
			if l.address == "" || strings.HasSuffix(l.address, ":0") {
				continue // the system chooses a free port
			}
			if other := addresses[l.address]; other != "" {
				errs = append(errs, c.Wrong(l.key, "is an address on which %s listens: %s", other, l.address))
			}
			addresses[l.address] = "upstream " + c.Name
		}
		for j := range c.Accounts {
			errs = append(errs, c.Accounts[j].principals(server.DefaultDomain)...)
		}
	}
	return errs
}

// Check is called by package config.
func (c *Config) Check() []error {
	c.setDefaults()
	var errs []error
	wrong := func(key, format string, args ...any) { errs = append(errs, c.Wrong(key, format, args...)) }
	if !validName(c.Name) {
		wrong("name", "must have 1 to 63 letters, digits, dots, dashes and underscores, not %q", c.Name)
	}
	errs = append(errs, c.checkURL()...)
	errs = append(errs, c.checkFront()...)
	if c.Mode != Shared && c.Mode != Private {
		wrong("mode", "must be %s or %s, not %q", Shared, Private, c.Mode)
	}
	for _, n := range []struct {
		key         string
		value, most int
	}{
		{"max-sessions", c.MaxSessions, 1000}, {"max-requests", c.MaxRequests, 10_000},
		{"max-waits", c.MaxWaits, 100_000},
	} {
		if n.value < 1 || n.value > n.most {
			wrong(n.key, "must be from 1 to %d", n.most)
		}
	}
	for _, d := range []struct {
		key         string
		value       time.Duration
		least, most time.Duration
	}{
		{"wait-timeout", c.WaitTimeout, 100 * time.Millisecond, 10 * time.Minute},
		{"idle-timeout", c.IdleTimeout, time.Second, maxIdle},
		{"max-lifetime", c.MaxLifetime, time.Minute, 30 * 24 * time.Hour},
		{"verify-for", c.VerifyFor, time.Second, time.Hour},
	} {
		if d.value < d.least || d.value > d.most {
			wrong(d.key, "must be from %v to %v", d.least, d.most)
		}
	}
	return append(errs, c.checkAccounts()...)
}

// maxIdle is the longest idle-timeout. After half an hour without a call, vCenter and ESXi end a
// session themselves.
const maxIdle = 25 * time.Minute

// setDefaults sets the keys that the file does not set.
func (c *Config) setDefaults() {
	for key, set := range map[string]func(){
		"mode":         func() { c.Mode = Shared },
		"max-sessions": func() { c.MaxSessions = 10 },
		"max-requests": func() { c.MaxRequests = 64 },
		"max-waits":    func() { c.MaxWaits = 400 },
		"wait-timeout": func() { c.WaitTimeout = 30 * time.Second },
		"idle-timeout": func() { c.IdleTimeout = 10 * time.Minute },
		"max-lifetime": func() { c.MaxLifetime = 12 * time.Hour },
		"verify-for":   func() { c.VerifyFor = 5 * time.Minute },
	} {
		if !c.Has(key) {
			set()
		}
	}
}

// validName reports whether a name can be a label of a metric and an argument of a command.
func validName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return name != "" && len(name) < 64 && strings.Trim(name, letters+"._-") == "" && !strings.Contains("._-", name[:1])
}

// Address returns the URL of the SDK of the upstream.
func (c *Config) Address() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	u.Path = "/sdk"
	return u, nil
}

func (c *Config) checkURL() []error {
	var errs []error
	wrong := func(key, format string, args ...any) { errs = append(errs, c.Wrong(key, format, args...)) }
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "sdk" && strings.Trim(u.Path, "/") != "" {
		wrong("url", "must be a URL such as https://vc1.example/sdk, without user name and query")
		return errs
	}
	if port := u.Port(); port != "" {
		if _, err := net.LookupPort("tcp", port); err != nil {
			wrong("url", "must have a valid port")
		}
	}
	local := loopback(u.Hostname())
	if u.Scheme == "http" && !local {
		wrong("url", "must begin with https://, except for loopback addresses")
	}
	if c.Insecure && !local {
		wrong("insecure", "is allowed only for loopback addresses: set ca or thumbprint")
	}
	set := 0
	for _, is := range []bool{c.CA != "", c.Thumbprint != "", c.Insecure} {
		if is {
			set++
		}
	}
	if set > 1 {
		wrong("ca", "thumbprint and insecure exclude each other")
	}
	if set > 0 && u.Scheme == "http" {
		wrong("url", "must begin with https:// if ca, thumbprint or insecure is set")
	}
	if _, err := ParseThumbprint(c.Thumbprint); err != nil {
		wrong("thumbprint", "must be a SHA-256 in hex: 64 digits, with or without colons")
	}
	return errs
}

// ParseThumbprint returns the bytes of a thumbprint, or nil if there is none.
func ParseThumbprint(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err == nil && len(b) != 0 && len(b) != 32 {
		err = hex.ErrLength
	}
	return b, err
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// checkFront checks the keys of the listener.
func (c *Config) checkFront() []error {
	var errs []error
	if c.Listen == "" && c.PlainHTTP == "" {
		errs = append(errs, c.Wrong("listen", "is required, or plain-http"))
	}
	for _, l := range []struct{ key, address string }{{"listen", c.Listen}, {"plain-http", c.PlainHTTP}} {
		if l.address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.address)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			errs = append(errs, c.Wrong(l.key, "must be an address such as 0.0.0.0:9443, not %q", l.address))
		} else if l.key == "plain-http" && !loopback(host) {
			errs = append(errs, c.Wrong(l.key, "must be a loopback address, not %q", l.address))
		}
	}
	for _, p := range c.Paths {
		if !strings.HasPrefix(p, "/") || strings.Trim(p, "/") == "" || strings.ContainsAny(p, " \t?#{}%\\;") ||
			strings.Contains(p, "//") || strings.Contains(p+"/", "/./") || strings.Contains(p+"/", "/../") {
			errs = append(errs, c.Wrong("paths", "must be prefixes such as /screen, not %q", p))
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, c.Wrong("tls-cert", "and tls-key must be set together"))
	}
	return errs
}

// checkAccounts checks the accounts and who gets tickets for them.
func (c *Config) checkAccounts() []error {
	var errs []error
	switch {
	case c.PassThrough && len(c.Accounts) > 0:
		errs = append(errs, c.Wrong("pass-through", "and accounts exclude each other"))
	case c.PassThrough && len(c.Dispense) > 0:
		errs = append(errs, c.Wrong("dispense", "needs accounts"))
	case !c.PassThrough && len(c.Accounts) == 0:
		errs = append(errs, c.Wrong("accounts", "is required, or pass-through"))
	}
	if c.Has("verify-for") && !c.PassThrough {
		errs = append(errs, c.Wrong("verify-for", "needs pass-through"))
	}
	known := map[string]bool{}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		if known[a.Name] {
			errs = append(errs, a.Wrong("name", "is that of another account: %s", a.Name))
		}
		known[a.Name] = true
	}
	paths := map[string]bool{}
	for i := range c.Dispense {
		d := &c.Dispense[i]
		if !known[d.Account] {
			errs = append(errs, d.Wrong("account", "is none of the accounts: %q", d.Account))
		}
		if paths[d.Path] {
			errs = append(errs, d.Wrong("path", "is listed twice: %s", d.Path))
		}
		paths[d.Path] = true
	}
	return errs
}

// Check is called by package config.
func (a *AccountConfig) Check() []error {
	var errs []error
	if !validName(a.Name) {
		errs = append(errs,
			a.Wrong("name", "must have 1 to 63 letters, digits, dots, dashes and underscores, not %q", a.Name))
	}
	if a.Username == "" || !principal.ValidText(a.Username) {
		errs = append(errs, a.Wrong("username", "must be a name such as svc@vsphere.local"))
	}
	if a.PasswordFile == "" {
		errs = append(errs, a.Wrong("password-file", "is required"))
	}
	for _, m := range a.Methods {
		if m == "" || strings.ContainsAny(m, " \t?[]") {
			errs = append(errs, a.Wrong("methods", "must be names, in which * stands for any text, not %q", m))
		}
	}
	return errs
}

// principals returns a mistake for each principal that can't be one.
func (a *AccountConfig) principals(defaultDomain string) []error {
	var errs []error
	for _, f := range a.For {
		name, _ := strings.CutPrefix(f, GroupPrefix)
		if _, err := principal.Parse(name, defaultDomain); err != nil {
			errs = append(errs,
				a.Wrong("for", `must be names such as ann@corp.example or "group:CORP\\Builders", not %q`, f))
		}
	}
	return errs
}

// Check is called by package config.
func (d *Dispense) Check() []error {
	if !d.Has("per-minute") {
		d.PerMinute = 30
	}
	if !d.Has("target") {
		d.Target = TargetUpstream
	}
	var errs []error
	if d.Account == "" {
		errs = append(errs, d.Wrong("account", "is required"))
	}
	if !strings.HasPrefix(d.Path, "/") || strings.ContainsAny(d.Path, " ?#{}%") || strings.Contains(d.Path, "//") {
		errs = append(errs, d.Wrong("path", "must be a path such as /session, not %q", d.Path))
	}
	if len(d.Subjects) == 0 && d.TokensFile == "" {
		errs = append(errs, d.Wrong("subjects", "or tokens-file is required"))
	}
	if d.PerMinute < 1 || d.PerMinute > 10_000 {
		errs = append(errs, d.Wrong("per-minute", "must be from 1 to 10000"))
	}
	if d.Target != TargetUpstream && d.Target != TargetFront {
		errs = append(errs, d.Wrong("target", "must be %s or %s, not %q", TargetUpstream, TargetFront, d.Target))
	}
	return errs
}
