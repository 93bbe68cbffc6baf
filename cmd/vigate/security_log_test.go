package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/logging"
	"github.com/vigate/vigate/internal/store"
)

// Each authentication is logged in one line: when, who, from where, how, and with which outcome.
func TestASVS_16_3_1_EveryAuthenticationLeavesOneAuditLine(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *config.Config) {
		jsonLog(c)
		c.LogLevel = 0
		c.LocalTickets = config.LocalTicketsLoopback
	})
	s.user("none", "a good long password", 0)
	s.user("ann", "a good long password", roleReadOnly)
	name, password, _ := s.localTicket()
	ticket := s.must(s.admin, sm+"AcquireCloneTicket", "").text()
	for _, x := range []struct{ method, body, outcome, user string }{
		{"Login", loginBody("ann", "a good long password"), "success", `VSPHERE.LOCAL\ann`},
		{"Login", loginBody("ann", "wrong"), "InvalidLogin", "ann"},
		{"Login", loginBody("nobody", "wrong"), "InvalidLogin", "nobody"},
		{"Login", loginBody("none", "a good long password"), "NoPermission", "none"},
		{"Login", loginBody(name, password), "success", name},
		{"Login", `{"userName":"ann","password":"x","locale":"!"}`, "InvalidLocale", "ann"},
		{"CloneSession", `{"cloneTicket":"` + ticket + `"}`, "success", `VSPHERE.LOCAL\Administrator`},
		{"CloneSession", `{"cloneTicket":"` + ticket + `"}`, "InvalidLogin", ""},
		{"LoginBySSPI", `{"base64Token":"AA=="}`, "NotSupported", ""},
		{"LoginByToken", `{}`, "InvalidLogin", ""},
		{"LoginExtension", `{"extensionKey":"com.example.a","base64SignedCredentials":"AA=="}`, "NotSupported",
			"com.example.a"},
		{"LoginExtensionByCertificate", `{"extensionKey":"com.example.a"}`, "NoClientCertificate", "com.example.a"},
		{"LoginExtensionBySubjectName", `{"extensionKey":"com.example.a"}`, "NoClientCertificate", "com.example.a"},
	} {
		before := s.logged()
		s.call("", sm+x.method, x.body)
		all := s.audit(before)
		if len(all) != 1 {
			t.Errorf("%s %s: %d audit lines: %v", x.method, x.outcome, len(all), all)
			continue
		}
		l := all[0]
		if l.text("operation") != "SessionManager."+x.method || l.text("outcome") != x.outcome ||
			!strings.EqualFold(l.text("user"), x.user) {
			t.Errorf("%s: want %s of %q in %v", x.method, x.outcome, x.user, l)
		}
		for _, field := range []string{"time", "level", "address", "binding", "request"} {
			if l.text(field) == "" {
				t.Errorf("%s: no %s in %v", x.method, field, l)
			}
		}
	}
	before := s.logged()
	automation(t, s.c, "POST", s.tls+"/api/session", basic("ann", "wrong"))
	if all := s.audit(before); len(all) != 1 || all[0].text("outcome") != "InvalidLogin" ||
		all[0].text("binding") != "rest" {
		t.Errorf("on the Automation API: %v", all)
	}
}

// Refusals because of a missing privilege are logged, and so are changes of authority.
func TestASVS_16_3_2_And_16_3_3_RefusalsAndChangesOfAuthorityAreLogged(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *config.Config) { jsonLog(c); c.LogLevel = 0 })
	s.user("ann", "a good long password", roleReadOnly)
	ann, annKey := s.loginAs("ann", "a good long password")
	for _, x := range []struct{ token, path, body, operation, outcome string }{
		{ann, sm + "sessionList", "GET", "SessionManager.sessionList", "NoPermission"},
		{ann, sm + "UpdateServiceMessage", `{"message":"x"}`, "SessionManager.UpdateServiceMessage", "NoPermission"},
		{ann, sm + "TerminateSession", `{"sessionId":["` + s.key + `"]}`, "SessionManager.TerminateSession",
			"NoPermission"},
		{ann, accountPath + "RemoveUser", `{"userName":"ann"}`, "HostLocalAccountManager.RemoveUser", "NoPermission"},
		{s.admin, authorityPath + "AddAuthorizationRole", `{"name":"R","privIds":[]}`,
			"AuthorizationManager.AddAuthorizationRole", "success"},
		{s.admin, sm + "AcquireCloneTicket", "", "SessionManager.AcquireCloneTicket", "success"},
		{s.admin, sm + "ImpersonateUser", `{"userName":"nobody"}`, "SessionManager.ImpersonateUser", "InvalidLogin"},
		{s.admin, sm + "TerminateSession", `{"sessionId":["` + annKey + `"]}`, "SessionManager.TerminateSession",
			"success"},
		{s.admin, accountPath + "DisableUser", `{"userName":"ann"}`, "HostLocalAccountManager.DisableUser", "success"},
		{s.admin, sm + "Logout", "", "SessionManager.Logout", "success"},
	} {
		before := s.logged()
		s.call(x.token, x.path, x.body)
		all := s.audit(before)
		if len(all) != 1 || all[0].text("operation") != x.operation || all[0].text("outcome") != x.outcome ||
			all[0].text("session") == "" {
			t.Errorf("%s: want one line with %s, got %v", x.path, x.outcome, all)
		}
	}
	before := s.logged()
	s.post(s.plain, "Logout", "",
		http.Header{"Cookie": {"vmware_soap_session=" + s.admin}, "Sec-Fetch-Site": {"cross-site"}})
	if all := s.audit(before); len(all) != 1 || all[0].text("outcome") != "NoPermission" ||
		all[0].text("address") == "" {
		t.Errorf("a request of another site: %v", all)
	}
}

// Text that a client sends can neither end a log line nor add fields to it.
func TestASVS_16_4_1_NothingThatAClientWritesForgesALine(t *testing.T) {
	t.Parallel()
	const forged = "x\r\n{\"msg\":\"audit\",\"outcome\":\"forged\"}\n" +
		"time=2026-01-01T00:00:00Z level=INFO msg=audit outcome=forged\x1b[2K\u2028\u202e\x00"
	attack := func(t *testing.T, s *scene) {
		for _, user := range []string{forged, "ann" + forged, forged + "@vsphere.local", strings.Repeat("\n", 2000),
			strings.Repeat("A", 900_000)} {
			s.call("", sm+"Login", loginBody(user, "wrong"))
			s.call("", sm+"LoginExtensionByCertificate", `{"extensionKey":`+quoteJSON(user)+`}`)
			s.call("", sm+"AcquireLocalTicket", `{"userName":`+quoteJSON(user)+`}`)
			s.call(s.admin, accountPath+"RemoveUser", `{"userName":`+quoteJSON(user)+`}`)
		}
		s.call(s.admin, "SessionManager/x%0Aaudit%0D/message", "GET")
		s.post(s.plain, "Login", loginBody("ann", "wrong"),
			http.Header{"User-Agent": {"x\tlevel=INFO msg=audit outcome=forged\xff\u202e"}})
		s.post(s.plain, "Login", loginBody("ann", "wrong"), http.Header{"X-Forwarded-For": {"x outcome=forged"}})
		s.sendRaw("GET /%0Aaudit HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		s.sendRaw("BAD\x1b[2K / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		for i, l := range strings.Split(s.log.String(), "\n") {
			if len(l) > 8<<10 {
				t.Errorf("line %d has %d bytes", i, len(l))
			}
			if strings.ContainsAny(l, "\r\x1b\x00\u2028\u202e") {
				t.Errorf("line %d has control characters: %q", i, l)
			}
			if strings.HasPrefix(l, "time=2026-01-01") || strings.HasPrefix(l, `{"msg"`) {
				t.Errorf("line %d is forged: %q", i, l)
			}
		}
	}
	t.Run("json", func(t *testing.T) {
		s := newScene(t, jsonLog)
		attack(t, s)
		for _, l := range s.lines(0) {
			if l.text("outcome") == "forged" {
				t.Errorf("a forged line: %v", l)
			}
		}
	})
	t.Run("text", func(t *testing.T) {
		s := newScene(t, nil)
		attack(t, s)
		for l := range strings.Lines(s.log.String()) {
			if _, rest, ok := strings.Cut(l, "outcome=forged"); ok && (rest == "\n" || strings.HasPrefix(rest, " ")) &&
				strings.Count(l, `"`)%2 == 0 && !quoted(l, "outcome=forged") {
				t.Errorf("a forged field: %q", l)
			}
		}
	})
}

// quoted reports whether the text is within quotes in the line.
func quoted(line, text string) bool {
	before, _, _ := strings.Cut(line, text)
	return strings.Count(strings.ReplaceAll(before, `\"`, ""), `"`)%2 == 1
}

// unattended starts a server on a data directory that the test then damages. How the server ends is
// not checked.
func unattended(t *testing.T, dir string) *scene {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.PlainHTTP, cfg.LogLevel = dir, "127.0.0.1:0", "127.0.0.1:0", -4
	log := &output{}
	n, err := serve.Open(t.Context(), cfg, serve.Options{Logger: logging.New(cfg, log)})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = n.Run(ctx) // its error is not checked, because the store is gone
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = n.Close()
	})
	r := &running{Node: n, tls: "https://" + n.Addr("tls").String(), plain: "http://" + n.Addr("plain").String(),
		log: log}
	return &scene{running: r, t: t, c: httpClient(t)}
}

// Without its store the server accepts no login, ends no session whose end it could not store, and
// reveals no details to the client.
func TestASVS_16_5_1_And_16_5_3_WithoutItsStoreTheServerRefusesAndTellsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir, nil)
	token, _ := first.login(t, httpClient(t))
	first.stop()
	s := unattended(t, dir)
	if !s.lives(token) {
		t.Fatal("the session is lost")
	}
	ticket := s.must(token, sm+"AcquireCloneTicket", "").text()
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{
		sm + "Login":        loginBody(adminUser, adminPassword),
		sm + "CloneSession": `{"cloneTicket":"` + ticket + `"}`,
		sm + "AcquireGenericServiceTicket": `{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec",` +
			`"url":"/sdk"}}`,
		authorityPath + "AddAuthorizationRole": `{"name":"R","privIds":[]}`,
		accountPath + "CreateUser": `{"user":{"_typeName":"HostAccountSpec","id":"ann","password":"a ` +
			`good long password"}}`,
	} {
		caller := token
		if path == sm+"Login" || path == sm+"CloneSession" {
			caller = ""
		}
		a := s.call(caller, path, body)
		if a.status != 503 && a.status != 500 || a.header.Get("vmware-api-session-id") != "" {
			t.Errorf("%s: %d %v %s", path, a.status, a.header, a.body)
		}
		for _, inner := range []string{dir, "store", "bolt", "vigate.db", "goroutine", ".go:", "closed"} {
			if strings.Contains(a.body, inner) {
				t.Errorf("%s tells of %q: %s", path, inner, a.body)
			}
		}
	}
	if n := s.Sessions.Size(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	if a := s.call(token, sm+"Logout", ""); a.status == 204 {
		t.Error("a logout was acknowledged that is written nowhere")
	}
}

// If the permission record can't be read, nobody has any privilege.
func TestASVS_16_5_3_DamagedPermissionsGrantNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	for _, bad := range []string{``, `{"v":1`, `{"v":99,"nextRole":1}`} {
		good, err := s.Mirror.Get(t.Context(), store.Permission, access.Root)
		if err != nil {
			t.Fatal(err)
		}
		s.put(bad)
		for path, body := range map[string]string{
			sm + "sessionList": "GET", sm + "TerminateSession": `{"sessionId":[]}`,
			accountPath + "RemoveUser":             `{"userName":"x"}`,
			authorityPath + "SetEntityPermissions": `{"entity":` + rootFolderJSON + `,"permission":[]}`,
		} {
			if got := s.fault(s.admin, path, body); got != "NoPermission" {
				t.Errorf("%q: %s: %s", bad, path, got)
			}
		}
		if got := s.fault("", sm+"Login", loginBody(adminUser, adminPassword)); got != "NoPermission" {
			t.Errorf("%q: login: %s", bad, got)
		}
		resp, err := s.c.Get(s.plain + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 503 {
			t.Errorf("%q: ready: %d %s", bad, resp.StatusCode, text)
		}
		s.put(string(good.Value))
		s.loginAs(adminUser, adminPassword)
	}
}

// put overwrites the permission record.
func (s *scene) put(value string) {
	s.t.Helper()
	old, err := s.Mirror.Get(s.t.Context(), store.Permission, access.Root)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Mirror.Commit(s.t.Context(),
		store.Put(store.Permission, access.Root, []byte(value), old.Expires)); err != nil {
		s.t.Fatal(err)
	}
}

// If a trusted certificate can't be read, the server does not start, instead of ignoring it.
func TestASVS_16_5_3_AServerDoesNotStartWithTrustThatCannotBeRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file,
		[]byte("-----BEGIN CERTIFICATE-----\n"+base64.StdEncoding.EncodeToString([]byte("no"))+
			"\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	authority, list := authorityAndList(t, filepath.Dir(file), "one")
	other, _ := authorityAndList(t, filepath.Dir(file), "two")
	if n, err := openWith(t, func(c *config.Config) {
		c.ClientCA, c.ClientCRL = []string{other, authority},
			[]string{list}
	}); err != nil {
		t.Errorf("with the list's authority: %v", err)
	} else {
		_ = n.Close()
	}
	for what, change := range map[string]func(*config.Config){
		"a stranger's list": func(c *config.Config) {
			c.ClientCA, c.ClientCRL = []string{other}, []string{list}
		},
		"authorities":       func(c *config.Config) { c.ClientCA = []string{file} },
		"missing":           func(c *config.Config) { c.ClientCA = []string{file + ".none"} },
		"revocations":       func(c *config.Config) { c.ClientCRL = []string{file} },
		"certificate":       func(c *config.Config) { c.TLSCert, c.TLSKey = file, file },
		"data is no folder": func(c *config.Config) { c.Data = file },
	} {
		named := file
		if what == "a stranger's list" {
			named = list
		}
		if n, err := openWith(t, change); err == nil {
			_ = n.Close()
			t.Errorf("%s: starts", what)
		} else if !strings.Contains(err.Error(), filepath.Base(named)) {
			t.Errorf("%s: %v does not name the file", what, err)
		}
	}
}

// openWith opens a server that does not listen, over a new directory.
func openWith(t *testing.T, change func(*config.Config)) (*serve.Node, error) {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen = t.TempDir(), "127.0.0.1:0"
	change(&cfg)
	return serve.Open(t.Context(), cfg, serve.Options{Logger: logging.New(cfg, io.Discard)})
}

// authorityAndList writes the certificate of a new authority and an empty
// revocation list of it, and returns their paths.
func authorityAndList(t *testing.T, dir, name string) (authority, list string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		SubjectKeyId: []byte(name),
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.CreateRevocationList(rand.Reader,
		&x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Now().Add(time.Hour)}, c, key)
	authority, list = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".crl")
	if err == nil {
		err = os.WriteFile(list, crl, 0o600)
	}
	if err == nil {
		err = os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return authority, list
}
