package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// problems returns the lines of the error that Load returns for the text and the flags.
func problems(t *testing.T, text string, flags ...Flag) []string {
	t.Helper()
	_, err := Load("v.yaml", []byte(text), flags)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Errorf("%T is no *Error", err)
	}
	return strings.Split(err.Error(), "\n")
}

// others has one value for each key that differs from the default.
var others = map[string]struct {
	text  string
	field func(Config) any
	want  any
}{
	"data":       {"/var/lib/vigate", func(c Config) any { return c.Data }, "/var/lib/vigate"},
	"dev":        {"true", func(c Config) any { return c.Dev }, true},
	"listen":     {"0.0.0.0:443", func(c Config) any { return c.Listen }, "0.0.0.0:443"},
	"plain-http": {"localhost:8080", func(c Config) any { return c.PlainHTTP }, "localhost:8080"},
	"plain-http-host": {"vigate.example", func(c Config) any { return c.PlainHTTPHosts },
		[]string{"vigate.example"}},
	"unix":             {"/run/vigate.sock", func(c Config) any { return c.Unix }, "/run/vigate.sock"},
	"admin-listen":     {"127.0.0.1:9090", func(c Config) any { return c.AdminListen }, "127.0.0.1:9090"},
	"admin-client-ca":  {"m.pem", func(c Config) any { return c.AdminClientCA }, []string{"m.pem"}},
	"admin-token-file": {"token", func(c Config) any { return c.AdminTokenFile }, "token"},
	"ready-file":       {"/run/r.json", func(c Config) any { return c.ReadyFile }, "/run/r.json"},
	"tls-cert":         {"c.pem", func(c Config) any { return c.TLSCert }, "c.pem"},
	"tls-key":          {"k.pem", func(c Config) any { return c.TLSKey }, "k.pem"},
	"client-ca":        {"ca.pem", func(c Config) any { return c.ClientCA }, []string{"ca.pem"}},
	"client-crl":       {"ca.crl", func(c Config) any { return c.ClientCRL }, []string{"ca.crl"}},
	"console":          {"false", func(c Config) any { return c.Console }, false},
	"trusted-proxy": {"10.0.0.0/8", func(c Config) any { return c.TrustedProxies },
		[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	"store": {"etcd://a:1,b:2/v/w", func(c Config) any { return c.Store },
		Store{[]string{"a:1", "b:2"}, "v/w"}},
	"etcd-ca":                     {"eca.pem", func(c Config) any { return c.Etcd.CA }, "eca.pem"},
	"etcd-cert":                   {"e.pem", func(c Config) any { return c.Etcd.Cert }, "e.pem"},
	"etcd-key":                    {"ek.pem", func(c Config) any { return c.Etcd.Key }, "ek.pem"},
	"etcd-user":                   {"vigate", func(c Config) any { return c.Etcd.User }, "vigate"},
	"etcd-password-file":          {"epw", func(c Config) any { return c.Etcd.PasswordFile }, "epw"},
	"etcd-start-timeout":          {"2m", func(c Config) any { return c.Etcd.StartTimeout }, 2 * time.Minute},
	"etcd-timeout":                {"15s", func(c Config) any { return c.Etcd.Timeout }, 15 * time.Second},
	"etcd-max-lag":                {"20s", func(c Config) any { return c.Etcd.MaxLag }, 20 * time.Second},
	"node-name":                   {"a", func(c Config) any { return c.NodeName }, "a"},
	"max-connections":             {"10", func(c Config) any { return c.MaxConnections }, 10},
	"max-connections-per-address": {"9", func(c Config) any { return c.MaxAddressConnections }, 9},
	"idle-connection-timeout":     {"3m", func(c Config) any { return c.IdleConnectionTimeout }, 3 * time.Minute},
	"drain-timeout":               {"1s", func(c Config) any { return c.DrainTimeout }, time.Second},
	"local-tickets":               {"off", func(c Config) any { return c.LocalTickets }, LocalTicketsOff},
	"max-sessions":                {"50000", func(c Config) any { return c.MaxSessions }, 50000},
	"max-sessions-per-user":       {"20", func(c Config) any { return c.MaxSessionsPerUser }, 20},
	"idle-timeout":                {"2h", func(c Config) any { return c.IdleTimeout }, 2 * time.Hour},
	"max-lifetime":                {"48h", func(c Config) any { return c.MaxLifetime }, 48 * time.Hour},
	"ticket-lifetime":             {"30s", func(c Config) any { return c.TicketLifetime }, 30 * time.Second},
	"default-domain":              {"example.org", func(c Config) any { return c.DefaultDomain }, "example.org"},
	"default-locale":              {"de", func(c Config) any { return c.DefaultLocale }, "de"},
	"admin-password-file":         {"pw", func(c Config) any { return c.AdminPasswordFile }, "pw"},
	"lockout-failures":            {"6", func(c Config) any { return c.Lockout.Failures }, 6},
	"lockout-window":              {"6s", func(c Config) any { return c.Lockout.Window }, 6 * time.Second},
	"lockout-duration":            {"7s", func(c Config) any { return c.Lockout.Duration }, 7 * time.Second},
	"lockout-user-failures":       {"8", func(c Config) any { return c.Lockout.UserFailures }, 8},
	"lockout-user-window":         {"9s", func(c Config) any { return c.Lockout.UserWindow }, 9 * time.Second},
	"lockout-address-failures":    {"10", func(c Config) any { return c.Lockout.AddressFailures }, 10},
	"lockout-address-window":      {"11s", func(c Config) any { return c.Lockout.AddressWindow }, 11 * time.Second},
	"log-format":                  {"json", func(c Config) any { return c.LogFormat }, LogJSON},
	"log-level":                   {"debug", func(c Config) any { return c.LogLevel }, slog.LevelDebug},
}

func TestEveryKeyIsSetByTheFileAndByItsFlag(t *testing.T) {
	companions := map[string]string{"tls-cert": "tls-key: k.pem\n", "tls-key": "tls-cert: c.pem\n",
		"client-crl":      "client-ca: ca.pem\n",
		"admin-client-ca": "admin-listen: 0.0.0.0:1\n", "admin-token-file": "admin-listen: 0.0.0.0:1\n",
		"etcd-ca": "store: etcd://a:1/v\n", "etcd-cert": "store: etcd://a:1/v\netcd-key: ek.pem\n",
		"etcd-key":           "store: etcd://a:1/v\netcd-cert: e.pem\n",
		"etcd-user":          "store: etcd://a:1/v\netcd-ca: ca.pem\netcd-password-file: p\n",
		"etcd-password-file": "store: etcd://127.0.0.1:1/v\netcd-user: u\n"}
	for _, k := range Keys() {
		o, ok := others[k.Name]
		if !ok {
			t.Errorf("%s is not tested", k.Name)
			continue
		}
		if reflect.DeepEqual(o.field(Default()), o.want) {
			t.Errorf("%s: the tested value is the default", k.Name)
		}
		with := companions[k.Name]
		if k.Name != "data" {
			with += "data: d\n"
		}
		byFile, err := Load("v.yaml", []byte(with+k.Name+": "+o.text), nil)
		if err != nil || !reflect.DeepEqual(o.field(byFile), o.want) {
			t.Errorf("%s: the file gives %v, %v", k.Name, o.field(byFile), err)
		}
		holder := k.FlagValue()
		if err := holder.Set(o.text); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		byFlag, err := Load("v.yaml", []byte(with), []Flag{holder.Flag()})
		if err != nil || !reflect.DeepEqual(byFlag, byFile) {
			t.Errorf("%s: the flag gives %v, %v", k.Name, o.field(byFlag), err)
		}
	}
	if len(others) != len(Keys()) {
		t.Errorf("%d keys tested of %d", len(others), len(Keys()))
	}
}

func TestTheTableIsValid(t *testing.T) {
	seen, fields := map[string]bool{}, map[any]bool{}
	var c Config
	for _, k := range Keys() {
		if seen[k.Name] || k.Name != strings.ToLower(k.Name) || k.Help == "" || k.kind.name == "" {
			t.Errorf("%q is listed twice, or is not in its normal form, or has no help", k.Name)
		}
		seen[k.Name] = true
		if f := k.field(&c); fields[f] {
			t.Errorf("%s shares its field", k.Name)
		} else {
			fields[f] = true
		}
		if k.Default != "" {
			if err := k.kind.set(k.field(&c), k.Default); err != nil {
				t.Errorf("%s: the default %v", k.Name, err)
			}
		}
	}
	if len(seen) >= 50 {
		t.Errorf("%d keys are too many", len(seen))
	}
}

func TestTheDefaultsAreWhatTheTableSays(t *testing.T) {
	c, err := Load("v.yaml", nil, []Flag{{"data", []string{"d"}}})
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxSessions != 100_000 || c.MaxSessionsPerUser != 2000 || c.IdleTimeout != 30*time.Minute ||
		c.MaxLifetime != 24*time.Hour ||
		c.TicketLifetime != 2*time.Minute || c.DefaultDomain != "vsphere.local" || c.DefaultLocale != "en" ||
		c.LogFormat != LogText ||
		c.LogLevel != slog.LevelInfo || c.LocalTickets != LocalTicketsSocket || c.Dev || c.Listen != "127.0.0.1:8989" ||
		c.DrainTimeout != 15*time.Second ||
		c.Lockout != (Lockout{5, 3 * time.Minute, 5 * time.Minute, 100, time.Hour, 100, 3 * time.Minute}) {
		t.Fatalf("%+v", c)
	}
}

func TestAllMistakesAreReportedAtOnceWithTheirLines(t *testing.T) {
	got := problems(t, `# a file full of mistakes
data: /d
max-sesions: 5
idle-timeout: 30
max-lifetime: 1 day
max-sessions: many
max-sessions-per-user: 0
dev: yes
data: /e
log-level: verbose
trusted-proxy:
  - 10.0.0.0/8
  - 10.1.2.3/8
  - [1]
unix:
listen: {a: b}
colour: red
`, Flag{"ticket-lifetime", []string{"0s"}}, Flag{"log-format", []string{"xml"}})
	want := []string{
		`v.yaml:3: "max-sesions" is not a key; did you mean max-sessions?`,
		`v.yaml:4: idle-timeout must be a duration such as "90s", "30m" or "24h", not "30"`,
		`v.yaml:5: max-lifetime "1 day" is not a duration such as "90s", "30m" or "24h"`,
		`v.yaml:6: max-sessions must be a whole number, not "many"`,
		`v.yaml:7: max-sessions-per-user "0" is not from 1 to 10000000`,
		`v.yaml:8: dev must be true or false, not "yes"`,
		`v.yaml:9: data is set twice, first at v.yaml:2`,
		`v.yaml:10: log-level "verbose" is not one of debug, info, warn, error`,
		`v.yaml:13: trusted-proxy "10.1.2.3/8" has address bits beyond its prefix; the network is 10.0.0.0/8`,
		`v.yaml:14: trusted-proxy must be a network such as 10.0.0.0/8, or a list of these`,
		`v.yaml:15: unix has no value`,
		`v.yaml:16: listen must be an address as host:port`,
		`v.yaml:17: "colour" is not a key`,
		`--ticket-lifetime "0s" is not from 1s to 1h0m0s`,
		`--log-format "xml" is not one of text, json`,
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMistakesBetweenKeysNameWhereTheyWereMade(t *testing.T) {
	for text, want := range map[string]string{
		"": "v.yaml: data is required unless dev is set",
		"dev: true\nlisten: \"\"": "v.yaml:2: listen is empty, and so are plain-http and unix; " +
			"at least one listener is required",
		"dev: true\ntls-cert: c":       "v.yaml:2: tls-cert needs tls-key",
		"dev: true\ntls-key: c":        "v.yaml:2: tls-key needs tls-cert",
		"dev: true\nclient-crl: [c]":   "v.yaml:2: client-crl needs client-ca, which must have issued it",
		"dev: true\nmax-sessions: 100": "v.yaml:2: max-sessions-per-user (2000) is greater than max-sessions (100)",

		"dev: true\nstore: etcd://localhost:1/v\netcd-user: u":  "v.yaml:3: etcd-user needs etcd-password-file",
		"dev: true\nstore: etcd://a:1/v\netcd-password-file: p": "v.yaml:3: etcd-password-file needs etcd-user",
		"dev: true\nstore: etcd://a:1/v\netcd-cert: c":          "v.yaml:3: etcd-cert needs etcd-key",
		"dev: true\netcd-user: u\netcd-password-file: p": "v.yaml:2: store is not an etcd store, but etcd-ca, " +
			"etcd-cert or etcd-user is set",
		"dev: true\nstore: etcd://127.0.0.1:1,[::2]:1/v\netcd-user: u\netcd-password-file: p": "v.yaml:3: etcd-user " +
			"needs etcd-ca or etcd-cert: without TLS others on the network could read the password",
		"dev: true\n\nidle-timeout: 25h": "v.yaml:3: idle-timeout (25h0m0s) is longer than max-lifetime (24h0m0s)",
		"dev: true\nmax-sessions-per-user: 2000000": "v.yaml:2: max-sessions-per-user (2000000) is greater than " +
			"max-sessions (100000)",
	} {
		if got := problems(t, text); !slices.Equal(got, []string{want}) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestAFileThatIsNotAFlatListOfKeysIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"- a":                                  "v.yaml:1: every line must have the form key: value",
		"just words":                           "v.yaml:1: every line must have the form key: value",
		"dev: true\n---\ndev: true":            "v.yaml:2: a second document begins here",
		"dev: true\n[a]: b":                    "v.yaml:2: a key must be a plain name",
		"dev: &x true":                         "v.yaml:1: dev uses an anchor or an alias",
		"data: &x a\nunix: *x":                 "v.yaml:1: data uses an anchor or an alias",
		"dev: true\n<<: {data: a}":             `v.yaml:2: "<<" is not a key`,
		"dev: true\ndata: 'a":                  "v.yaml:",
		"dev: true\n\tdata: a":                 "v.yaml:2: found a tab character",
		"dev: true\ndata: \"a\\0b\"":           "v.yaml:2: data has control characters",
		"dev: true\ndefault-domain: a b":       "v.yaml:2: default-domain must be a name without blanks",
		"dev: true\nmax-sessions: 1e3":         "v.yaml:2: max-sessions must be a whole number",
		"dev: true\nmax-sessions: 0x10":        `v.yaml:2: max-sessions "0x10" is not a whole number`,
		"dev: true\nmax-sessions: 99999999999": `v.yaml:2: max-sessions "99999999999" is not from 1`,
		"dev: true\nlisten: 443":               "v.yaml:2: listen must be an address",
		"dev: true\nlisten: host":              `v.yaml:2: listen "host" is not an address`,
		"dev: true\nlisten: a:70000": `v.yaml:2: listen "a:70000" does not have a port from 0 ` +
			`to 65535`,
		"dev: true\nlisten: a:http": `v.yaml:2: listen "a:http" does not have a port from 0 ` +
			`to 65535`,
		"dev: true\nlisten: 'a:+1'": `v.yaml:2: listen "a:+1" does not have a port from 0 to ` +
			`65535`,
		"dev: true\ndata: [a]":                             "v.yaml:2: data must be a text",
		"dev: true\ndata: " + strings.Repeat("x", MaxFile): "v.yaml: is larger than 65536 bytes",
	} {
		got := problems(t, text)
		if len(got) == 0 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%.80q: got %q, want %q", text, got, want)
		}
	}
}

func TestAFileMayBeEmpty(t *testing.T) {
	for _, text := range []string{"", "\n", "# only this\n", "---\n", "---\n...\n"} {
		if got := problems(t, text, Flag{"dev", []string{"true"}}); got != nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestFlagsOverrideTheFile(t *testing.T) {
	file := "data: /file\nmax-sessions: 5000\ntrusted-proxy: [10.0.0.0/8, 192.0.2.0/24]\nclient-ca: one.pem\n"
	c, err := Load("v.yaml", []byte(file), []Flag{
		{"data", []string{"/first", "/last"}},
		{"trusted-proxy", []string{"198.51.100.0/24", "2001:db8::/32"}},
		{"unix", nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	if c.Data != "/last" || c.MaxSessions != 5000 || !slices.Equal(c.TrustedProxies, proxies) ||
		!slices.Equal(c.ClientCA, []string{"one.pem"}) {
		t.Fatalf("%+v", c)
	}
	if got := problems(t, file, Flag{"max-sessions", []string{"100"}}); !slices.Equal(got,
		[]string{"--max-sessions: max-sessions-per-user (2000) is greater than max-sessions (100)"}) {
		t.Errorf("got %q", got)
	}
	if got := problems(t, file, Flag{"no-such", []string{"1"}}); !slices.Equal(got,
		[]string{"--no-such is not a key"}) {
		t.Errorf("got %q", got)
	}
}

func TestAFlagKeepsWhatItIsGivenUntilAllIsRead(t *testing.T) {
	for _, k := range Keys() {
		v := k.FlagValue()
		if v.String() != k.Default {
			t.Errorf("%s: unset it shows %q", k.Name, v)
		}
		if err := v.Set(others[k.Name].text); err != nil || v.String() != others[k.Name].text || v.Type() == "" {
			t.Errorf("%s: %q, %v", k.Name, v, err)
		}
		wrong := k.FlagValue()
		if err := wrong.Set("\x00"); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		if got := problems(t, "dev: true", wrong.Flag()); len(got) != 1 || !strings.HasPrefix(got[0], "--"+k.Name+" ") {
			t.Errorf("%s: %q", k.Name, got)
		}
	}
}

func TestAStoreIsBoltOrEtcdWithAPrefix(t *testing.T) {
	for _, bad := range []string{"", "etcd", "etcd://", "etcd://a:1", "etcd://a:1/", "etcd://a/v", "etcd://:1/v",
		"etcd://u:p@a:1/v", "http://a:1/v", "etcd://a:1,/v"} {
		if got, err := ParseStore(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
	if got, err := ParseStore("bolt"); err != nil || len(got.Endpoints) != 0 {
		t.Errorf("bolt is %+v, %v", got, err)
	}
}

func TestACommandReadsTheKeysOfEtcdOnly(t *testing.T) {
	at, err := ParseStore("etcd://a:1/v")
	if err != nil {
		t.Fatal(err)
	}
	flag := func(name, value string) Flag { return Flag{Name: name, Values: []string{value}} }
	c, err := LoadEtcd(at, []Flag{flag("etcd-ca", "ca.pem"), flag("etcd-timeout", "7s")})
	if err != nil || c.Etcd.CA != "ca.pem" || c.Etcd.Timeout != 7*time.Second ||
		c.Etcd.StartTimeout != Default().Etcd.StartTimeout || !reflect.DeepEqual(c.Store, at) {
		t.Errorf("got %+v, %v", c, err)
	}
	for want, flags := range map[string][]Flag{
		"--etcd-key needs etcd-cert":                 {flag("etcd-key", "k")},
		"--etcd-user needs etcd-ca or etcd-cert":     {flag("etcd-user", "u"), flag("etcd-password-file", "p")},
		`--etcd-timeout "0s" is not from 1s to 1m0s`: {flag("etcd-timeout", "0s")},
		"--etcd-max-lag is not a key":                {flag("etcd-max-lag", "1s")},
		"--max-sessions is not a key":                {flag("max-sessions", "1")},
	} {
		if _, err := LoadEtcd(at, flags); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", flags, err, want)
		}
	}
}

func TestAHostIsANameOrAnAddressWithoutAPort(t *testing.T) {
	for text, good := range map[string]bool{
		"vigate.example": true, "VIGATE": true, "192.0.2.1": true, "2001:db8::1": true, `"*"`: true,
		`""`: false, "vigate.example:80": false, "http://vigate.example": false, "a/b": false, "a b": false,
		"u@a": false, `"[2001:db8::1]"`: false,
		`"*.example"`: false, `"a,b"`: false, strings.Repeat("a", 256): false,
	} {
		c, err := Load("v.yaml", []byte("data: d\nplain-http-host: ["+text+"]\n"), nil)
		if (err == nil) != good || good && len(c.PlainHTTPHosts) != 1 {
			t.Errorf("%.40s: %q, %v", text, c.PlainHTTPHosts, err)
		}
	}
}

func TestMisspelledKeysAreRecognised(t *testing.T) {
	l := newLoader("", Keys())
	for slip, want := range map[string]string{
		"lissten": "listen", "TLS_CERT": "tls-cert", "idle-timeut": "idle-timeout", "maxsessions": "max-sessions",
		"trusted-proxies": "trusted-proxy", "colour": "", "": "", strings.Repeat("x", 500): "",
	} {
		if got := l.nearest(slip); got != want {
			t.Errorf("%.20q: %q, want %q", slip, got, want)
		}
	}
}

func FuzzAFileIsReadWholeOrRefusedWithItsMistakes(f *testing.F) {
	f.Add("dev: true\nmax-sessions: 5000\ntrusted-proxy: [10.0.0.0/8]\n")
	f.Add("dev: &a [*a]\n--- {}\n? [x]\n: y\n")
	f.Add(strings.Repeat("[", 2000))
	f.Add(strings.Repeat("{a: ", 500))
	for name, o := range others {
		f.Add(fmt.Sprintf("%s: %s\n", name, o.text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Load("v.yaml", []byte(text), nil)
		if err != nil {
			if !reflect.DeepEqual(c, Config{}) {
				t.Fatal("Load returned a configuration together with an error")
			}
			return
		}
		if c.Data == "" && !c.Dev || c.MaxSessionsPerUser > c.MaxSessions || c.IdleTimeout > c.MaxLifetime ||
			c.IdleTimeout < time.Second {
			t.Fatalf("accepted: %+v", c)
		}
	})
}
