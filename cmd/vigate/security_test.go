package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
)

// The tests in the files security_*_test.go test a whole server over the network. A test of a
// requirement of OWASP ASVS 5.0 has the requirement's number in its name. docs/security.md
// describes how each requirement is met.

const (
	accountPath   = "HostLocalAccountManager/ha-localacctmgr/"
	authorityPath = "AuthorizationManager/AuthorizationManager/"
	extensionPath = "ExtensionManager/ExtensionManager/"
	eventPath     = "EventManager/EventManager/"
	optionPath    = "OptionManager/VpxSettings/"

	rootFolderJSON = `{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"}`

	roleAdmin    = -1
	roleReadOnly = -2
)

// scene is a server with an administrator's session.
type scene struct {
	*running
	t     *testing.T
	c     *http.Client
	admin string // token
	key   string // key of the administrator's session
}

func newScene(t *testing.T, change func(*config.Config)) *scene {
	t.Helper()
	return newSceneWith(t, serve.Options{Patience: patience}, change)
}

// newSceneWith does the same as newScene with other options.
func newSceneWith(t *testing.T, o serve.Options, change func(*config.Config)) *scene {
	t.Helper()
	s := &scene{running: startWith(t, t.TempDir(), o, change), t: t, c: httpClient(t)}
	s.admin, s.key = s.login(t, s.c)
	return s
}

// jsonLog selects a log format that a test can parse.
func jsonLog(c *config.Config) { c.LogFormat = config.LogJSON }

func (s *scene) call(token, path, body string) response {
	s.t.Helper()
	return vi(s.t, s.c, s.plain, token, path, body)
}

// must makes the call and ends the test if the call fails.
func (s *scene) must(token, path, body string) response {
	s.t.Helper()
	a := s.call(token, path, body)
	if a.status != 200 && a.status != 204 {
		s.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return a
}

// fault makes the call and returns the kind of its fault.
func (s *scene) fault(token, path, body string) string {
	s.t.Helper()
	a := s.call(token, path, body)
	if a.status != 500 {
		s.t.Errorf("%s: %d %s", path, a.status, a.body)
	}
	return a.member("_typeName")
}

func loginBody(user, password string) string {
	return fmt.Sprintf(`{"userName":%s,"password":%s}`, quoteJSON(user), quoteJSON(password))
}

func quoteJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // marshalling a string can't fail
	}
	return string(b)
}

// user makes a user with a role on the root folder. If role is 0, the user has no role.
func (s *scene) user(name, password string, role int) {
	s.t.Helper()
	s.must(s.admin, accountPath+"CreateUser", fmt.Sprintf(
		`{"user":{"_typeName":"HostAccountSpec","id":%s,"password":%s,"description":"A user"}}`, quoteJSON(name),
		quoteJSON(password)))
	if role != 0 {
		s.permit(name, role)
	}
}

func (s *scene) permit(name string, role int) {
	s.t.Helper()
	s.must(s.admin, authorityPath+"SetEntityPermissions", fmt.Sprintf(
		`{"entity":%s,"permission":[{"_typeName":"Permission","principal":%s,"group":false,"roleId":%d,`+
			`"propagate":true}]}`,
		rootFolderJSON, quoteJSON(name), role))
}

// role makes a role with the privileges and returns its id.
func (s *scene) role(name string, privileges ...string) int {
	s.t.Helper()
	ids, err := json.Marshal(privileges)
	if err != nil {
		s.t.Fatal(err)
	}
	var id int
	a := s.must(s.admin, authorityPath+"AddAuthorizationRole", fmt.Sprintf(`{"name":%q,"privIds":%s}`, name, ids))
	if err := json.Unmarshal([]byte(a.body), &id); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// loginAs logs in and returns the session's token and key.
func (s *scene) loginAs(user, password string) (token, key string) {
	s.t.Helper()
	a := s.must("", sm+"Login", loginBody(user, password))
	return a.header.Get("vmware-api-session-id"), a.member("key")
}

func (s *scene) clone(token string) (clone, key string) {
	s.t.Helper()
	ticket := s.must(token, sm+"AcquireCloneTicket", "").text()
	a := s.must("", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`)
	return a.header.Get("vmware-api-session-id"), a.member("key")
}

// lives reports whether the token authenticates a request.
func (s *scene) lives(token string) bool {
	s.t.Helper()
	a := s.call(token, sm+"message", "GET")
	if a.status != 200 && a.member("_typeName") != "NotAuthenticated" {
		s.t.Errorf("message: %d %s", a.status, a.body)
	}
	return a.status == 200
}

// line is a JSON line of the log.
type line map[string]any

func (l line) text(name string) string { s, _ := l[name].(string); return s }

// lines returns the log lines after the first offset bytes. Each line must be complete JSON.
func (s *scene) lines(offset int) []line {
	s.t.Helper()
	var all []line
	sc := bufio.NewScanner(strings.NewReader(s.log.String()[offset:]))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			s.t.Errorf("a line of the log is not JSON: %q", sc.Text())
			continue
		}
		all = append(all, l)
	}
	return all
}

// audit returns the audit lines after the first offset bytes of the log.
func (s *scene) audit(offset int) []line {
	s.t.Helper()
	return slices.DeleteFunc(s.lines(offset), func(l line) bool { return l.text("msg") != "audit" })
}

// logged returns the current length of the log in bytes.
func (s *scene) logged() int { return len(s.log.String()) }

// eventually waits until ok returns true, for work that the server does in the background.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}
