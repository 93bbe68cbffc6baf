package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fleet is a section as another package would define it.
type fleet struct {
	Position
	Timeout time.Duration     `config:"timeout"`
	Realms  map[string]string `config:"realms"`
	Servers []server          `config:"servers"`
	unread  string
}

type server struct {
	Position
	Name    string     `config:"name"`
	Address netip.Addr `config:"address"`
	Ports   []int      `config:"ports"`
	TLS     bool       `config:"start-tls"`
}

// dev is all that a configuration needs.
var dev = []Flag{{Name: "dev", Values: []string{"true"}}}

func (s *server) Check() []error {
	var errs []error
	if s.Name == "" {
		errs = append(errs, s.Wrong("name", "is required"))
	}
	if len(s.Ports) > 2 {
		errs = append(errs, s.Wrong("ports", "are more than %d", 2))
	}
	return errs
}

func (f *fleet) Check() []error {
	if f.Has("timeout") && f.Timeout == 0 {
		return []error{f.Wrong("timeout", "must not be 0")}
	}
	return nil
}

func loadFleet(src string, into *fleet) (Config, error) {
	return Load("f.yaml", []byte(src), dev, Section{Name: "fleet", Into: into})
}

func TestASectionIsDecodedIntoItsStruct(t *testing.T) {
	got := fleet{Timeout: time.Minute, unread: "x"}
	cfg, err := loadFleet(`
data: /var/lib/vigate
fleet:
  realms: {CORP.EXAMPLE: corp.example}
  servers:
    - {name: "one", address: 192.0.2.1, ports: [1, 2]}
    - name: two
      start-tls: true
`, &got)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Data != "/var/lib/vigate" {
		t.Errorf("data is %q", cfg.Data)
	}
	if got.Timeout != time.Minute || got.Realms["CORP.EXAMPLE"] != "corp.example" ||
		got.unread != "x" || len(got.Servers) != 2 {
		t.Fatalf("the section is %+v", got)
	}
	one, two := got.Servers[0], got.Servers[1]
	if one.Name != "one" || one.Address != netip.MustParseAddr("192.0.2.1") ||
		!reflect.DeepEqual(one.Ports, []int{1, 2}) || one.TLS {
		t.Errorf("the first server is %+v", one)
	}
	if two.Name != "two" || !two.TLS || two.Has("ports") || !two.Has("start-tls") {
		t.Errorf("the second server is %+v", two)
	}
}

func TestAllMistakesInASectionAreReportedWithTheirLines(t *testing.T) {
	var into fleet
	_, err := loadFleet(`fleet:
  timeout: soon
  realm: {A: b}
  servers:
    - {address: 192.0.2.1}
    - name: 7
      address: nowhere
      ports: 1
      start_tls: true
    - name: a
      name: b
    - just a text
    - name:
      ports: [x]
    - {name: c, ports: [1, 2, 3]}
`, &into)
	want := []string{
		"f.yaml:2: fleet.timeout must be a duration such as 90s, 5m or 12h, not \"soon\"",
		"f.yaml:3: fleet.\"realm\" is not a key; did you mean realms?",
		"f.yaml:5: name is required",
		"f.yaml:6: fleet.servers[1].name must be a text (put it in quotes), not \"7\"",
		"f.yaml:7: fleet.servers[1].address ParseAddr(\"nowhere\"): unable to parse IP",
		"f.yaml:8: fleet.servers[1].ports must be a list",
		"f.yaml:9: fleet.servers[1].\"start_tls\" is not a key; did you mean start-tls?",
		"f.yaml:11: fleet.servers[2].\"name\" is set twice, first at f.yaml:10",
		"f.yaml:12: fleet.servers[3] must be a mapping of keys to values",
		"f.yaml:13: fleet.servers[4].name has no value",
		"f.yaml:14: fleet.servers[4].ports[0] must be a whole number, not \"x\"",
		"f.yaml:15: ports are more than 2",
	}
	if got := strings.Split(fmt.Sprint(err), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var one *Error
	if !errors.As(err, &one) || one.From != "f.yaml:2" {
		t.Errorf("the first mistake is %+v", one)
	}
}

func TestTheWholeSectionIsCheckedAfterItsParts(t *testing.T) {
	var into fleet
	_, err := loadFleet("fleet: {timeout: 0s}\n", &into)
	if fmt.Sprint(err) != "f.yaml:1: timeout must not be 0" {
		t.Errorf("got %v", err)
	}
}

// A file is corrected once, not once for each stage of the checks.
func TestAMistakeInAPartHidesNoMistakeInTheWhole(t *testing.T) {
	var into fleet
	whole := func(Config) []error { return []error{into.Wrong("servers", "are in conflict with others")} }
	_, err := Load("f.yaml", []byte("fleet:\n  timeout: 0s\n  servers:\n    - {address: 192.0.2.1}\n    - {name: 7}\n"),
		dev, Section{Name: "fleet", Into: &into, Check: whole})
	want := []string{
		"f.yaml:4: name is required", `f.yaml:5: fleet.servers[1].name must be a text (put it in quotes), not "7"`,
		"f.yaml:2: timeout must not be 0", "f.yaml:3: servers are in conflict with others",
	}
	if got := strings.Split(fmt.Sprint(err), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestASectionIsBounded(t *testing.T) {
	for what, src := range map[string]string{
		"texts": "fleet: {servers: [{name: " + strings.Repeat("x", maxText+1) + "}]}",
		"lists": "fleet: {servers: [{name: a, ports: [" + strings.Repeat("1,", maxList+1) + "]}]}",
	} {
		if _, err := loadFleet(src, new(fleet)); err == nil {
			t.Errorf("%s of any length are accepted", what)
		}
	}
}

func TestASectionThatIsNotServedIsNoKey(t *testing.T) {
	_, err := Load("f.yaml", []byte("fleet: {}\n"), dev)
	if err == nil || !strings.Contains(err.Error(), `"fleet" is not a key`) {
		t.Errorf("got %v", err)
	}
}

func TestASectionIsComparedWithTheOtherKeysEvenIfTheyComeLater(t *testing.T) {
	var got fleet
	const src = "fleet:\n  realms: {A: corp.example}\ndefault-domain: corp.example\nmax-sessions: x\n"
	_, err := Load("f.yaml", []byte(src), dev,
		Section{Name: "fleet", Into: &got, Check: func(c Config) []error {
			if got.Realms["A"] == c.DefaultDomain {
				return []error{got.Wrong("realms", "must not be %s", c.DefaultDomain)}
			}
			return nil
		}})
	if err == nil || !strings.Contains(err.Error(), "f.yaml:2: realms must not be corp.example") ||
		!strings.Contains(err.Error(), "max-sessions") {
		t.Errorf("got %v", err)
	}
}
