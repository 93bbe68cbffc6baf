package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
)

// tour is a server on which every login method and every operation was used. It records all secrets
// that were used and all output of the server.
type tour struct {
	*scene
	dir     string
	client  *http.Client      // with a client certificate
	secrets map[string]string // the secrets, by their description
	shown   bytes.Buffer      // bodies of all responses except those that return a secret
	called  map[string]bool   // operations of SessionManager that were called
}

// newTour starts a server with all login methods enabled.
func newTour(t *testing.T) *tour {
	t.Helper()
	certs := t.TempDir()
	if err := writeClientCertificate(certs); err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(certs, "cert.pem"), filepath.Join(certs, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(certs, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}}
	t.Cleanup(tr.CloseIdleConnections)
	dir := t.TempDir()
	s := &scene{t: t, c: httpClient(t), running: start(t, dir, func(c *config.Config) {
		c.ClientCA, c.LocalTickets = []string{filepath.Join(certs, "cert.pem")}, config.LocalTicketsLoopback
		c.Lockout.Failures, c.Lockout.AddressFailures = 1000, 1000
	})}
	g := &tour{scene: s, dir: dir, client: &http.Client{Transport: tr}, secrets: map[string]string{},
		called: map[string]bool{}}
	s.admin, s.key = s.login(t, s.c)
	g.secret("administrator's token", s.admin)
	g.secret("administrator's password", adminPassword)
	g.register("com.example.backup", "CN=backup", string(pem))
	g.permit("com.example.backup", roleReadOnly)
	return g
}

// secret records a secret. It must be long enough not to appear by chance.
func (g *tour) secret(what, value string) string {
	g.t.Helper()
	if len(value) < 12 {
		g.t.Fatalf("%s %q is too short to be searched for", what, value)
	}
	g.secrets[what+" "+fmt.Sprint(len(g.secrets))] = value
	return value
}

// visit makes a call and records the response.
func (g *tour) visit(c *http.Client, base, token, path, body string) response {
	g.t.Helper()
	a := vi(g.t, c, base, token, path, body)
	name := path[strings.LastIndex(path, "/")+1:]
	g.called[name] = g.called[name] || strings.HasPrefix(path, sm)
	if token := a.header.Get("vmware-api-session-id"); token != "" {
		g.secret("token of "+name, token)
	}
	switch {
	case a.status == 200 && name == "AcquireCloneTicket":
		g.secret("clone ticket", a.text())
	case a.status == 200 && name == "AcquireGenericServiceTicket":
		g.secret("service ticket", a.member("id"))
	default:
		g.shown.WriteString(a.body + "\n")
	}
	return a
}

func (g *tour) do(token, path, body string) response {
	g.t.Helper()
	return g.visit(g.c, g.plain, token, path, body)
}

// soap makes a call over SOAP.
func (g *tour) soap(method, inner string) {
	g.t.Helper()
	req, err := http.NewRequest("POST", g.plain+"/sdk",
		strings.NewReader(`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><`+
			method+` xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this>`+inner+`</`+method+
			`></soapenv:Body></soapenv:Envelope>`))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	req.Header.Set("SOAPAction", "urn:vim25/8.0.1.0")
	a := g.send(req)
	g.shown.WriteString(a.body)
	if cookie := a.header.Get("Set-Cookie"); cookie != "" {
		_, rest, _ := strings.Cut(cookie, `"`)
		token, _, _ := strings.Cut(rest, `"`)
		g.secret("token of SOAP", token)
	} else if strings.Contains(a.body, "LoginResponse") {
		g.t.Errorf("no token in %v", a.header)
	}
}

// passwords logs in, and fails to log in, with all methods that take a password, and changes
// passwords.
func (g *tour) passwords() {
	first, second, third := g.secret("password", "ann's first password"), g.secret("password", "ann's second password"),
		g.secret("password", "ann's third password")
	wrong := g.secret("wrong password", "a wrong password 4711")
	spec := func(method, token, password string) {
		g.do(token, accountPath+method, fmt.Sprintf(`{"user":{"_typeName":"HostAccountSpec","id":"ann","password":%q}}`,
			password))
	}
	spec("CreateUser", g.admin, first)
	spec("CreateUser", g.admin, wrong) // fails because the user exists
	g.permit("ann", roleReadOnly)
	ann := g.do("", sm+"Login", loginBody("ann", first)).header.Get("vmware-api-session-id")
	spec("UpdateUser", ann, second)
	spec("UpdateUser", g.admin, third)
	spec("UpdateUser", "", wrong)
	spec("UpdateUser", g.admin, g.secret("password too long", strings.Repeat("too long a password ", 60)))
	for _, body := range []string{
		loginBody("ann", wrong), loginBody("nobody", wrong), loginBody("ann@elsewhere.example", wrong),
		loginBody(`LOCALOS\root`, wrong), loginBody("", wrong),
		`{"userName":"ann","password":"` + wrong + `","locale":"!"}`, `{"userName":"ann","password":["` + wrong + `"]}`,
		`{"userName":"ann","password":"` + wrong + `","password":"` + wrong + `"}`, `{"userName":"ann","secret":"` +
			wrong + `"}`,
		`{"userName":"ann","password":"` + wrong + ``, `{"password":"` + wrong + `"}`, `"` + wrong + `"`,
		loginBody("ann", g.admin),
	} {
		g.do("", sm+"Login", body)
	}
	g.do(g.admin, sm+"Login", loginBody("ann", third)) // with a live session
	for _, password := range []string{wrong, third} {
		a := automation(g.t, g.c, "POST", g.tls+"/api/session", basic("ann", password))
		if a.status == 201 {
			g.secret("token of the Automation API", a.text())
		} else {
			g.shown.WriteString(a.body)
		}
		g.soap("Login", "<userName>ann</userName><password>"+password+"</password>")
		g.soap("Login", "<userName>ann</userName><password>"+password+"</password><password>"+password+"</password>")
		g.soap("Login", "<userName>ann</userName><secret>"+password+"</secret>")
		g.secret("Basic credentials", base64.StdEncoding.EncodeToString([]byte("ann:"+password)))
	}
}

// tickets acquires and uses tickets of each kind, and presents secrets in places where they don't
// belong.
func (g *tour) tickets() {
	const spec = `{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec",` +
		`"url":"/sdk/vim25/8.0.1.0/SessionManager/SessionManager/message"}}`
	ticket := g.do(g.admin, sm+"AcquireCloneTicket", "").text()
	g.do(g.admin, sm+"AcquireCloneTicket", "") // this ticket is never used
	g.do("", sm+"AcquireCloneTicket", "")
	for range 2 {
		g.do("", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`)
	}
	service := g.do(g.admin, sm+"AcquireGenericServiceTicket", spec).member("id")
	g.do("", sm+"AcquireGenericServiceTicket", spec)
	g.do(g.admin, sm+"AcquireGenericServiceTicket", `{"spec":{"_typeName":"SessionManagerVmomiServiceRequestSpec",`+
		`"method":"cloneSession"}}`)
	for range 2 {
		g.shown.WriteString(g.get("message", "Cookie", "vmware_cgi_ticket="+service).body)
	}
	for _, secret := range []string{g.admin, ticket, service} {
		g.do(g.admin, sm+"TerminateSession", `{"sessionId":["`+secret+`"]}`)
		g.do(g.admin, sm+"SessionIsActive", `{"sessionID":"`+secret+`","userName":"administrator"}`)
		g.do("", sm+"CloneSession", `{"cloneTicket":"`+secret+`"}`)
		g.do(secret, sm+"currentSession", "GET")
		g.do(g.admin, sm+"ImpersonateUser", `{"userName":"nobody","locale":"`+secret+`"}`)
		g.shown.WriteString(g.get("message", "Cookie", "vmware_soap_session="+secret+"x").body)
	}
	name, password, _ := g.localTicket()
	g.called["AcquireLocalTicket"] = true
	g.secret("local ticket", password)
	for range 2 {
		g.do("", sm+"Login", loginBody(name, password))
	}
	_, password, _ = g.localTicket() // this ticket is never used
	g.secret("local ticket", password)
	g.do("", sm+"AcquireLocalTicket", `{"userName":"no-such-account"}`)
}

// otherWays uses the login methods without a password.
func (g *tour) otherWays() {
	for _, method := range []string{"LoginExtensionByCertificate", "LoginExtensionBySubjectName"} {
		a := g.visit(g.client, g.tls, "", sm+method, `{"extensionKey":"com.example.backup"}`)
		if a.status != 200 {
			g.t.Errorf("%s: %d %s", method, a.status, a.body)
		}
		g.visit(g.client, g.tls, "", sm+method, `{"extensionKey":"com.example.other"}`)
		g.do("", sm+method, `{"extensionKey":"com.example.backup"}`)
	}
	blob := func(what string) string {
		return g.secret(what, base64.StdEncoding.EncodeToString([]byte(what+" that nobody may see")))
	}
	g.do("", sm+"LoginBySSPI", `{"base64Token":"`+blob("SSPI token")+`"}`)
	g.do("", sm+"LoginExtension", `{"extensionKey":"com.example.backup","base64SignedCredentials":"`+
		blob("signed credentials")+`"}`)
	g.do("", sm+"LoginByToken", `{}`)
	for _, header := range []string{`SIGN token="` + blob("SIGN token") + `"`, "Bearer " + blob("bearer token"),
		"Basic " + blob("Basic credentials")} {
		g.shown.WriteString(g.post(g.plain, "LoginByToken", `{}`, http.Header{"Authorization": {header}}).body)
		a := automation(g.t, g.c, "POST", g.plain+"/api/session", func(r *http.Request) {
			r.Header.Set("Authorization", header)
		})
		g.shown.WriteString(a.body)
	}
}

// rest calls the remaining ones of the 22 operations.
func (g *tour) rest() {
	g.do("", sm+"Login", loginBody(adminUser, adminPassword))
	other := g.do("", sm+"Login", loginBody(adminUser, adminPassword)).header.Get("vmware-api-session-id")
	for _, name := range []string{"currentSession", "defaultLocale", "message", "messageLocaleList", "sessionList",
		"supportedLocaleList"} {
		g.do("", sm+name, "GET")
		g.do(g.admin, sm+name, "GET")
	}
	g.do(other, sm+"ImpersonateUser", `{"userName":"ann"}`)
	g.do(other, sm+"SetLocale", `{"locale":"de"}`)
	g.do(other, sm+"SetLocale", `{"locale":"!"}`)
	g.do(g.admin, sm+"UpdateServiceMessage", `{"message":"a message"}`)
	g.do(other, sm+"UpdateServiceMessage", `{"message":"a message"}`)
	g.do(other, sm+"Logout", "")
	g.do(other, sm+"Logout", "")
	for _, path := range []string{authorityPath + "roleList", extensionPath + "extensionList"} {
		g.do(g.admin, path, "GET")
	}
	g.do(g.admin, eventPath+"QueryEvents", `{"filter":{}}`)
}

// forms returns the encodings in which a secret could have been written.
func forms(secret string) []string {
	all := []string{secret, url.QueryEscape(secret), strings.Trim(quoteJSON(secret), `"`),
		base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))}
	if b, err := hex.DecodeString(secret); err == nil {
		all = append(all, string(b))
	}
	if b, err := base64.StdEncoding.DecodeString(secret); err == nil && len(b) > 12 {
		all = append(all, string(b))
	}
	return all
}

// search fails the test for each secret that the text contains in any form.
func (g *tour) search(where, text string) {
	g.t.Helper()
	for what, secret := range g.secrets {
		for _, form := range forms(secret) {
			if at := strings.Index(text, form); at >= 0 {
				g.t.Errorf("%s contains the %s: …%q…", where, what, text[max(0, at-80):min(len(text), at+len(form)+20)])
				break
			}
		}
	}
}

func TestASVS_16_2_5_NoSecretIsInALogAnEventAnAnswerOrAFile(t *testing.T) {
	t.Parallel()
	g := newTour(t)
	g.passwords()
	g.tickets()
	g.otherWays()
	g.rest()
	rows := g.API.Object("SessionManager")
	n := 0
	for _, m := range rows.Methods {
		if n++; !g.called[m.Name] {
			t.Errorf("the tour has not called %s", m.Name)
		}
	}
	for _, p := range rows.Properties {
		if n++; !g.called[p.Name] {
			t.Errorf("the tour has not read %s", p.Name)
		}
	}
	if n != 22 || len(g.secrets) < 25 {
		t.Fatalf("%d operations and %d secrets", n, len(g.secrets))
	}
	g.search("answers", g.shown.String())
	key := g.key
	g.stop() // flushes everything from memory
	g.search("log", g.log.String())
	if !strings.Contains(g.log.String(), "level=DEBUG") || !strings.Contains(g.log.String(), key) {
		t.Error("the log does not have what it is to be searched for")
	}
	stored := false
	err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(path)) == "local" {
			// The password of an unused local ticket is in a file that only its account can read,
			// because that is how the account receives it.
			return err
		}
		b, err := os.ReadFile(path)
		stored = stored || bytes.Contains(b, []byte(key)) && bytes.Contains(b, []byte("$argon2id$"))
		g.search(filepath.Base(path), string(b))
		return err
	})
	if err != nil || !stored {
		t.Errorf("the store's file was not found: %v", err)
	}
}

func TestTheDataDirectoryIsItsOwners(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	cfg := config.Default()
	cfg.Data = dir
	made, clean, err := serve.DataDir(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer clean()
	start(t, made, nil)
	for name, most := range map[string]fs.FileMode{".": 0o711, "local": 0o711, "vigate.db": 0o600, "key.pem": 0o600,
		"cert.pem": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&^most != 0 {
			t.Errorf("%s: %v %v, want no more than %o", name, info.Mode(), err, most)
		}
	}
}
