package main

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/serve"
)

// unsignedToken returns a JSON Web Token of the issuer that is configured by directoryConfig, with a signature
// that no key has made.
func unsignedToken(key int) string {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	now := time.Now().Unix()
	return encode(fmt.Sprintf(`{"alg":"RS256","kid":"key %d"}`, key)) + "." +
		encode(fmt.Sprintf(`{"iss":"https://127.0.0.1:1","aud":"vigate","sub":"olga","iat":%d,"exp":%d}`, now,
			now+300)) + "." + encode("no signature")
}

// While a source is down, every login that needs it is an error of the server, and strangers decide how many
// there are. Each login leaves its line in the audit log. The other lines are bounded.
func TestAFloodOfLoginsWhileSourcesAreDownDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	d := ldaptest.Start(t, ldaptest.Options{})
	in := inputs{file: directoryConfig(t, d), partial: true}
	c, err := in.check(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := newSceneWith(t, serve.Options{Patience: patience, Identity: c.identity}, func(c *config.Config) {
		jsonLog(c)
		c.LogLevel = slog.LevelInfo
	})
	d.Kill()
	began, before := time.Now(), s.logged()
	const logins = 200
	for i := range logins {
		for what, a := range map[string]response{
			"LDAP":                      s.call("", sm+"Login", loginBody(fmt.Sprintf(`corp.example\user%d`, i), "x")),
			"LDAP, the same user":       s.call("", sm+"Login", loginBody(`corp.example\alice`, "alice-pw")),
			"a token of an issuer":      s.post(s.plain, "LoginByToken", "{}", bearerOf(i)),
			"a token at the Automation": automation(t, s.c, "POST", s.tls+"/api/session", withHeader(bearerOf(i))),
		} {
			if a.status != http.StatusInternalServerError && a.status != http.StatusServiceUnavailable ||
				strings.Contains(a.body, "InvalidLogin") || strings.Contains(a.body, "127.0.0.1") {
				t.Fatalf("%s: %d %s", what, a.status, a.body)
			}
		}
	}
	audits, others := 0, map[string]int{}
	for _, l := range s.lines(before) {
		if l.text("msg") == "audit" {
			audits++
			continue
		}
		others[l.text("msg")]++
	}
	if audits != 4*logins {
		t.Errorf("%d audit lines of %d logins", audits, 4*logins)
	}
	// Each kind of line has ten in a minute, and one that counts the others.
	const each = 11
	minutes := 1 + int(time.Since(began)/time.Minute)
	for message, n := range others {
		if n > 3*each*minutes { // of up to three operations
			t.Errorf("%d lines: %s", n, message)
		}
	}
	if len(others) > 10 {
		t.Errorf("there are %d kinds of lines: %v", len(others), others)
	}
	s.must("", sm+"Login", loginBody("administrator", adminPassword)) // local users are served
}

func bearerOf(key int) http.Header {
	return http.Header{"Authorization": {"Bearer " + unsignedToken(key)}}
}

func withHeader(h http.Header) func(*http.Request) {
	return func(r *http.Request) { r.Header = h.Clone() }
}
