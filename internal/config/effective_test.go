package config

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConflictsAreReportedTogetherWithMistakesInOtherKeys(t *testing.T) {
	got := problems(t, "tls-cert: c\nlog-level: loud\nidle-timeout: 48h\nmax-sessions: 0\n",
		Flag{"max-connections", []string{"x"}})
	want := []string{
		`v.yaml:2: log-level "loud" is not one of debug, info, warn, error`,
		`v.yaml:4: max-sessions "0" is not from 1 to 10000000`,
		`--max-connections "x" is not a whole number`,
		"v.yaml: data is required unless dev is set",
		"v.yaml:3: idle-timeout (48h0m0s) is longer than max-lifetime (24h0m0s)",
		"v.yaml:1: tls-cert needs tls-key",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAMistakeThatIsInNoTextIsOnTheCommandLine(t *testing.T) {
	_, err := Load("", nil, nil)
	if err == nil || err.Error() != "command line: data is required unless dev is set" {
		t.Errorf("got %v", err)
	}
}

func TestLevelsOfTheLogAreReadInAnyCase(t *testing.T) {
	for text, want := range map[string]slog.Level{
		"DEBUG": slog.LevelDebug, "Info": slog.LevelInfo, "warn": slog.LevelWarn, "eRRor": slog.LevelError,
	} {
		c, err := Load("v.yaml", []byte("dev: true\nlog-level: "+text), nil)
		if err != nil || c.LogLevel != want {
			t.Errorf("%s: %v, %v", text, c.LogLevel, err)
		}
	}
}

func TestOnlyALoopbackAddressHasPlainHTTP(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "localhost:0": true, "[::1]:80": true,
		"[::ffff:127.0.0.1]:80": true,
		"0.0.0.0:80":            false, ":80": false, "192.0.2.1:80": false, "[::]:80": false, "example:80": false,
	} {
		_, err := Load("v.yaml", []byte("dev: true\nplain-http: \""+address+"\""), nil)
		if (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// read reads a configuration from a file, an environment and flags.
func read(t *testing.T, file string, environ []string, flags ...Flag) Effective {
	t.Helper()
	e, err := Read(Input{File: "v.yaml", Content: []byte(file), Environ: environ, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheEnvironmentOverridesTheFileAndFlagsOverrideBoth(t *testing.T) {
	e := read(t, "data: /file\nidle-timeout: 1m\nmax-lifetime: 1h\nclient-ca: [one.pem]\ntrusted-proxy: 192.0.2.0/24\n",
		[]string{
			"VIGATE_SERVE_IDLE_TIMEOUT=2m", "VIGATE_SERVE_MAX_LIFETIME=2h", "VIGATE_SERVE_LISTEN=", "HOME=/x",
			"VIGATE_SERVE_UNIX=/run/s", "VIGATE_SERVE_TRUSTED_PROXY=10.0.0.0/8, 2001:db8::/32",
			"VIGATE_SERVE_CLIENT_CA=", "VIGATE_SERVE_CONFIG=v.yaml", "VIGATE_URL=https://x", "VIGATE_SERVE_DEV",
		}, Flag{"max-lifetime", []string{"3h"}})
	if e.Data != "/file" || e.IdleTimeout != 2*time.Minute || e.MaxLifetime != 3*time.Hour || e.Listen != "" ||
		e.Unix != "/run/s" || len(e.ClientCA) != 0 || e.Dev || !slices.Equal(e.TrustedProxies,
		[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}) {
		t.Errorf("%+v", e.Config)
	}
	for key, want := range map[string]string{
		"data": "v.yaml:1", "idle-timeout": "VIGATE_SERVE_IDLE_TIMEOUT", "max-lifetime": "--max-lifetime",
		"max-sessions": "default",
	} {
		if got := e.Origin(key); got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
}

func TestEveryKeyIsSetByItsVariable(t *testing.T) {
	for _, k := range Keys() {
		o := others[k.Name]
		e, _ := Read(Input{Environ: []string{k.Variable() + "=" + o.text}}) // may need other keys
		if got := o.field(e.Config); !reflect.DeepEqual(got, o.want) || e.Origin(k.Name) != k.Variable() {
			t.Errorf("%s gives %v from %s", k.Variable(), got, e.Origin(k.Name))
		}
	}
}

func TestMistakesInTheEnvironmentNameTheVariable(t *testing.T) {
	_, err := Read(Input{File: "v.yaml", Content: []byte("dev: true\nmax-sessions: 0"), Environ: []string{
		"VIGATE_SERVE_MAX_SESIONS=5", "VIGATE_SERVE_COLOUR=red", "VIGATE_SERVE_IDLE_TIMEOUT=soon",
		"VIGATE_SERVE_=x", "VIGATE_SERVE_MAX_LIFETIME=1s",
	}})
	want := []string{
		`v.yaml:2: max-sessions "0" is not from 1 to 10000000`,
		"VIGATE_SERVE_: is not the variable of a key",
		"VIGATE_SERVE_COLOUR: is not the variable of a key",
		`VIGATE_SERVE_IDLE_TIMEOUT: idle-timeout "soon" is not a duration such as "90s", "30m" or "24h"`,
		"VIGATE_SERVE_MAX_SESIONS: is not the variable of a key; did you mean VIGATE_SERVE_MAX_SESSIONS?",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
	_, err = Read(Input{Environ: []string{"VIGATE_SERVE_DEV=true", "VIGATE_SERVE_MAX_LIFETIME=1s"}})
	if err == nil || err.Error() != "VIGATE_SERVE_MAX_LIFETIME: idle-timeout (30m0s) is longer than max-lifetime (1s)" {
		t.Errorf("got %v", err)
	}
}

// team is a section for tests.
type team struct {
	Position
	Name    string            `config:"name"`
	Wait    time.Duration     `config:"wait"`
	Members []member          `config:"members"`
	Tags    []string          `config:"tags"`
	Rooms   map[string]string `config:"rooms"`
	Empty   string            `config:"empty"`
	Address netip.Addr        `config:"address"`
}

type member struct {
	Position
	Name string `config:"name"`
	Age  int    `config:"age"`
	Boss bool   `config:"boss"`
}

func TestTheConfigurationInForceIsShownWithItsOrigins(t *testing.T) {
	into := team{Wait: time.Minute}
	file := "data: /d\ntrusted-proxy: [10.0.0.0/8, 192.0.2.0/24]\nmax-sessions: 5000\nteam:\n  name: \"12\"\n" +
		"  members:\n  - name: ann\n    age: 40\n  - {name: 'bob: x', boss: true}\n" +
		"  tags: [a, 'true']\n  rooms: {b: c}\n  address: 192.0.2.1\n"
	section := func(into *team) Section { return Section{Name: "team", Into: into} }
	e, err := Read(Input{File: "v.yaml", Content: []byte(file),
		Environ: []string{"VIGATE_SERVE_DEFAULT_DOMAIN=123"}, Flags: []Flag{{"unix", []string{"/run/s"}}},
	}, section(&into))
	if err != nil {
		t.Fatal(err)
	}
	text, err := e.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"data: /d # v.yaml:1", "trusted-proxy: [10.0.0.0/8, 192.0.2.0/24] # v.yaml:2", "max-sessions: 5000 # v.yaml:3",
		"unix: /run/s # --unix", `default-domain: "123" # VIGATE_SERVE_DEFAULT_DOMAIN`,
		"idle-timeout: 30m # default", `tls-cert: "" # default`, "client-ca: [] # default", "dev: false # default",
		"team:", `  name: "12" # v.yaml:5`, "  wait: 1m0s # default", "    - name: ann # v.yaml:7",
		"      age: 40 # v.yaml:8",
		"    - name: 'bob: x' # v.yaml:9", "      boss: true # v.yaml:9", `  tags: [a, "true"] # v.yaml:10`,
		"  rooms: {b: c} # v.yaml:11", "  address: 192.0.2.1 # v.yaml:12",
	} {
		if !strings.Contains("\n"+string(text), "\n"+line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if strings.Contains(string(text), "empty") {
		t.Errorf("a key that is not set is shown:\n%s", text)
	}
	// What is shown is a configuration itself, and the same.
	var again team
	shown, err := Read(Input{File: "shown.yaml", Content: text}, section(&again))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(shown.Config, e.Config) {
		t.Errorf("%+v was shown as %+v", e.Config, shown.Config)
	}
	into.Position, again.Position = Position{}, Position{}
	for i := range into.Members {
		into.Members[i].Position, again.Members[i].Position = Position{}, Position{}
	}
	if !reflect.DeepEqual(into, again) {
		t.Errorf("%+v was shown as %+v", into, again)
	}
}

func TestTheExampleIsAConfigurationWithAndWithoutItsComments(t *testing.T) {
	text := Example("#team: {name: a}\n")
	if err := problems(t, text); err != nil {
		t.Errorf("%q\n%s", err, text)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if len(line) > exampleWidth+1 {
			t.Errorf("more than %d columns: %s", exampleWidth, line)
		}
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(line, "# ") && line != "#\n" {
			line = rest
		}
		lines = append(lines, line)
	}
	var into team
	all := strings.Join(lines, "")
	e, err := Read(Input{File: "v.yaml", Content: []byte(all),
		Environ: []string{"VIGATE_SERVE_STORE=etcd://localhost:1/v"}}, Section{Name: "team", Into: &into})
	if err != nil {
		t.Fatalf("%v\n%s", err, all)
	}
	if into.Name != "a" {
		t.Errorf("%+v", into)
	}
	for _, k := range Keys() {
		if e.Origin(k.Name) == DefaultOrigin {
			t.Errorf("the example does not have %s", k.Name)
		}
		if _, has := examples[k.Name]; has != (k.Default == "") {
			t.Errorf("%s has both a default and an example, or neither", k.Name)
		}
	}
	if len(examples) >= len(Keys()) {
		t.Error("examples of keys that are not there")
	}
}
