package settings

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
)

// load returns the upstreams of a file, or the mistakes in it.
func load(lines ...string) ([]Config, []string) {
	var all []Config
	_, err := config.Load("/etc/v.yaml", []byte("data: /d\nupstreams:\n"+strings.Join(lines, "\n")), nil,
		Section("/etc/v.yaml", &all))
	if err == nil {
		return all, nil
	}
	return nil, strings.Split(err.Error(), "\n")
}

func TestTheKeysAreThoseOfTheDocumentation(t *testing.T) {
	all, mistakes := load(`
  - name: lab
    url: https://vc1.example/sdk
    ca: vc1-ca.pem
    listen: 0.0.0.0:9443
    tls-cert: front.pem
    tls-key: /etc/vigate/front.key
    plain-http: 127.0.0.1:9080
    paths: [/screen, /invsvc/v1]
    mode: private
    max-sessions: 11
    max-requests: 65
    max-waits: 401
    wait-timeout: 31s
    idle-timeout: 11m
    max-lifetime: 13h
    accounts:
      - name: ci
        username: svc-ci@vsphere.local
        password-file: lab-ci
        for: [ann@vsphere.local, "group:CORP\\Builders"]
        methods: ["Retrieve*", "*Tag*"]
    dispense:
      - account: ci
        path: /session
        subjects: ["system:serviceaccount:kube-system:vsphere-cpi"]
        tokens-file: lab-tokens
        per-minute: 31
        target: front
  - name: other
    url: https://10.0.0.1:8443
    thumbprint: "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"
    listen: 0.0.0.0:9444
    pass-through: true
    verify-for: 1m`)
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	c := &all[0]
	if c.CA != "/etc/vc1-ca.pem" || c.TLSCert != "/etc/front.pem" || c.TLSKey != "/etc/vigate/front.key" ||
		c.Accounts[0].PasswordFile != "/etc/lab-ci" || c.Dispense[0].TokensFile != "/etc/lab-tokens" {
		t.Errorf("the files are %+v", c)
	}
	if !slices.Equal(c.Paths, []string{"/screen", "/invsvc/v1"}) {
		t.Errorf("the paths are %q", c.Paths)
	}
	if c.Mode != Private || c.MaxSessions != 11 || c.MaxRequests != 65 || c.MaxWaits != 401 ||
		c.WaitTimeout != 31*time.Second || c.IdleTimeout != 11*time.Minute || c.MaxLifetime != 13*time.Hour ||
		c.Dispense[0].PerMinute != 31 || c.Dispense[0].Target != TargetFront {
		t.Errorf("the values are %+v", c)
	}
	o := &all[1]
	if o.Mode != Shared || o.MaxSessions != 10 || o.MaxRequests != 64 || o.MaxWaits != 400 ||
		o.VerifyFor != time.Minute || o.WaitTimeout != 30*time.Second ||
		o.IdleTimeout != 10*time.Minute || o.MaxLifetime != 12*time.Hour {
		t.Errorf("the defaults are %+v", o)
	}
	if u, err := o.Address(); err != nil || u.String() != "https://10.0.0.1:8443/sdk" {
		t.Errorf("the address is %v, %v", u, err)
	}
	if b, err := ParseThumbprint(o.Thumbprint); err != nil || len(b) != 32 || b[31] != 0xff {
		t.Errorf("the thumbprint is %x, %v", b, err)
	}
}

func TestAllMistakesAreReportedAtOnceWithTheirLines(t *testing.T) {
	_, mistakes := load(
		"  - name: a b",                  // 3
		"    url: http://vc.example/sdk", // 4
		"    insecure: true",             // 5
		"    plain-http: 0.0.0.0:1",      // 6
		"    tls-cert: x",                // 7
		"    mode: both",                 // 8
		"    max-sessions: 0",            // 9
		"    idle-timeout: 2h",           // 10
		"    verify-for: 5m",             // 11
		"    accounts:",                  // 12
		"      - {name: a, username: u, password-file: f}", // 13
		"      - {name: a, username: u, password-file: f}", // 14
		"    dispense:", // 15
		"      - {account: b, path: /s, subjects: [x]}", // 16
		"  - name: lab",       // 17
		"    url: ftp://x",    // 18
		"    listen: nowhere", // 19
	)
	for _, want := range []string{
		":3: name must have", ":4: url must begin with https://", ":5: insecure is allowed only for loopback",
		":6: plain-http must be a loopback address", ":7: tls-cert and tls-key", ":8: mode must be",
		":9: max-sessions must be", ":10: idle-timeout must be", ":11: verify-for needs pass-through",
		":14: name is that of another account", ":16: account is none of the accounts", ":18: url must be a URL",
		":19: listen must be an address", ":17: accounts is required",
	} {
		if !slices.ContainsFunc(mistakes, func(m string) bool { return strings.Contains(m, want) }) {
			t.Errorf("no mistake %q in\n%s", want, strings.Join(mistakes, "\n"))
		}
	}
}

func TestPathsArePrefixesThatCanBeReadInOneWay(t *testing.T) {
	for _, p := range []string{"screen", "/", "//", "/a//b", "/a/../b", "/..", "/a%2e", "/a;b", "/a?b", "/a b"} {
		_, mistakes := load("  - name: lab", "    url: https://vc.example/sdk", "    plain-http: 127.0.0.1:9080",
			"    pass-through: true", "    paths: ['"+p+"']")
		if !slices.ContainsFunc(mistakes, func(m string) bool { return strings.Contains(m, "paths must be") }) {
			t.Errorf("%q: %q", p, mistakes)
		}
	}
}

func TestInsecureIsOnlyForLoopbackAddresses(t *testing.T) {
	for host, allowed := range map[string]bool{
		"127.0.0.1": true, "[::1]:8989": true, "localhost": true, "127.8.0.1:1": true,
		"10.0.0.1": false, "vc.example": false, "localhost.example": false, "0.0.0.0": false,
	} {
		_, mistakes := load("  - name: lab", "    url: https://"+host+"/sdk", "    insecure: true",
			"    listen: 0.0.0.0:9443", "    pass-through: true")
		if (mistakes == nil) != allowed {
			t.Errorf("%s: %v", host, mistakes)
		}
	}
}

func TestUpstreamsMustNotShareNamesAndAddresses(t *testing.T) {
	one := []string{"  - name: lab", "    url: https://vc1", "    listen: 0.0.0.0:9443", "    pass-through: true"}
	two := slices.Clone(one)
	two[0] = "  - name: LAB"
	_, mistakes := load(append(one, two...)...)
	text := strings.Join(mistakes, "\n")
	for _, want := range []string{":7: name is that of another upstream", ":9: listen is an address"} {
		if !strings.Contains(text, want) {
			t.Error(text)
		}
	}
}
