package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
)

const (
	adminName = "administrator@vsphere.local"
	adminPass = "correct horse 12"
	ownKey    = "52f1a2b3-0000-4000-8000-000000000001"
)

// server is a small VI JSON server that follows the specification. It has real sessions; other
// operations return fixed responses.
type server struct {
	*httptest.Server

	mu      sync.Mutex // guards the fields below
	live    map[string]bool
	made    int
	answers map[string]string // by "POST Type.Method": the body of a response with status 200
	calls   []string          // each as "POST Type.Method body"
}

var anonymous = map[string]bool{
	"GET ServiceInstance.content": true, "GET SessionManager.defaultLocale": true,
	"GET SessionManager.supportedLocaleList": true, "GET SessionManager.messageLocaleList": true,
	"POST SessionManager.AcquireLocalTicket": true, "POST SessionManager.LoginExtension": true,
	"POST SessionManager.AcquireGenericServiceTicket": true,
}

func startServer(t *testing.T, answers map[string]string) *server {
	t.Helper()
	s := &server{live: map[string]bool{}, answers: answers}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if strings.HasSuffix(r.URL.Path, "/api/vcenter/system") {
		answer(w, `{"api_release":"8.0.2.0"}`)
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/sdk/vim25/"), "/")
	if len(parts) != 4 {
		http.NotFound(w, r)
		return
	}
	op := r.Method + " " + parts[1] + "." + parts[3]
	s.calls = append(s.calls, op+" "+string(body))
	token := r.Header.Get("vmware-api-session-id")
	if r.Header.Get("Authorization") != "" {
		s.calls = append(s.calls, "authorization "+strings.Fields(r.Header.Get("Authorization"))[0])
	}
	var in map[string]any
	_ = json.Unmarshal(body, &in)
	switch {
	case s.answers[op] == "" && parts[3] == "Login":
		if in["password"] != adminPass {
			fault(w, `{"_typeName":"InvalidLogin","faultstring":"Cannot complete login due to an incorrect user name `+
				`or password."}`)
			return
		}
		s.login(w, fmt.Sprint(in["userName"]))
	case s.answers[op] == "" && isWayIn(parts[3]):
		s.login(w, "VSPHERE.LOCAL\\Administrator")
	case op == "GET SessionManager.currentSession":
		if !s.live[token] {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, sessionJSON(ownKey, `VSPHERE.LOCAL\\Administrator`))
	case !anonymous[op] && !isWayIn(parts[3]) && !s.live[token]:
		fault(w, `{"_typeName":"NotAuthenticated","faultstring":"The session is not authenticated.",`+
			`"privilegeId":"System.View"}`)
	case op == "POST SessionManager.Logout":
		delete(s.live, token)
		w.WriteHeader(http.StatusNoContent)
	default:
		s.other(w, op)
	}
}

func (s *server) other(w http.ResponseWriter, op string) {
	body, ok := s.answers[op]
	switch {
	case op == "GET ServiceInstance.content":
		answer(w, contentJSON)
	case !ok:
		fault(w, `{"_typeName":"MethodNotFound","faultstring":"no answer to `+op+`"}`)
	case body == "":
		w.WriteHeader(http.StatusNoContent)
	case strings.HasPrefix(body, "503"):
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	case strings.HasPrefix(body, "fault "):
		fault(w, strings.TrimPrefix(body, "fault "))
	default:
		answer(w, body)
	}
}

func isWayIn(method string) bool {
	return strings.HasPrefix(method, "Login") && method != "LoginExtension" || method == "CloneSession"
}

func (s *server) login(w http.ResponseWriter, user string) {
	s.made++
	token := fmt.Sprintf("%040x", s.made)
	s.live[token] = true
	w.Header().Set("vmware-api-session-id", token)
	name, err := json.Marshal(user)
	if err != nil {
		panic(err)
	}
	answer(w, sessionJSON(ownKey, strings.Trim(string(name), `"`)))
}

// kill ends all sessions.
func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.live)
}

func (s *server) sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

func (s *server) logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made
}

// got returns the calls that begin with prefix.
func (s *server) got(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, c := range s.calls {
		if strings.HasPrefix(c, prefix) {
			found = append(found, c)
		}
	}
	return found
}

func (s *server) thumbprint() string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(s.Certificate().Raw)), " ", ":")
}

func (s *server) caFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, body)
}

func fault(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, body)
}

func sessionJSON(key, user string) string {
	return `{"_typeName":"UserSession","key":"` + key + `","userName":"` + user + `","fullName":"Administrator ` +
		`vsphere.local",` +
		`"loginTime":"2025-01-02T03:04:05Z","lastActiveTime":"2025-01-02T03:05:05Z","locale":"en",` +
		`"messageLocale":"en",` +
		`"extensionSession":false,"ipAddress":"192.0.2.1","userAgent":"test\u001b[31m/1","callCount":3}`
}

const contentJSON = `{"_typeName":"ServiceContent",` +
	`"rootFolder":{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"},` +
	`"propertyCollector":{"_typeName":"ManagedObjectReference","type":"PropertyCollector",` +
	`"value":"propertyCollector"},` +
	`"sessionManager":{"_typeName":"ManagedObjectReference","type":"SessionManager","value":"SessionManager"},` +
	`"authorizationManager":{"_typeName":"ManagedObjectReference","type":"AuthorizationManager",` +
	`"value":"AuthorizationManager"},` +
	`"extensionManager":{"_typeName":"ManagedObjectReference","type":"ExtensionManager","value":"ExtensionManager"},` +
	`"eventManager":{"_typeName":"ManagedObjectReference","type":"EventManager","value":"EventManager"},` +
	`"userDirectory":{"_typeName":"ManagedObjectReference","type":"UserDirectory","value":"UserDirectory"},` +
	`"setting":{"_typeName":"ManagedObjectReference","type":"OptionManager","value":"VpxSettings"},` +
	`"accountManager":{"_typeName":"ManagedObjectReference","type":"HostLocalAccountManager","value":"accounts"},` +
	`"about":{"_typeName":"AboutInfo","name":"fake","fullName":"fake 1.0","vendor":"nobody","version":"1.0",` +
	`"build":"1",` +
	`"osType":"linux","productLineId":"vpx","apiType":"VirtualCenter","apiVersion":"8.0.2.0"}}`

// shell runs commands as a user does, with its own state directory.
type shell struct {
	t     *testing.T
	env   map[string]string
	asked []string
	typed []string // what the user types at the prompts; nil means that there is no terminal
}

func newShell(t *testing.T, s *server) *shell {
	t.Helper()
	return &shell{t: t, env: map[string]string{
		"VIGATE_URL": s.URL, "VIGATE_USERNAME": adminName, "VIGATE_PASSWORD": adminPass, "VIGATE_INSECURE": "true",
		"XDG_STATE_HOME": t.TempDir(),
	}}
}

type result struct {
	code     int
	out, err string
}

func (sh *shell) runIn(ctx context.Context, stdin string, args ...string) result {
	var out, errOut bytes.Buffer
	root := &cobra.Command{Use: "vigate", Short: "A session manager"}
	AddTo(root, Host{
		LookupEnv: func(name string) (string, bool) { v, ok := sh.env[name]; return v, ok },
		Prompt: func(_ context.Context, prompt string) (string, error) {
			sh.asked = append(sh.asked, prompt)
			if len(sh.typed) == 0 {
				return "", command.ErrNoTerminal
			}
			typed := sh.typed[0]
			sh.typed = sh.typed[1:]
			return typed, nil
		},
		Now: func() time.Time { return time.Date(2025, 1, 2, 4, 7, 5, 0, time.UTC) },
	})
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	code := Execute(ctx, root, args)
	return result{code, out.String(), errOut.String()}
}

func (sh *shell) run(args ...string) result { return sh.runIn(sh.t.Context(), "", args...) }

// must runs a command that must succeed, and returns its output.
func (sh *shell) must(args ...string) string {
	sh.t.Helper()
	r := sh.run(args...)
	if r.code != 0 {
		sh.t.Fatalf("vigate %s: exit %d: %s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// fails runs a command that must fail with the exit code, and returns its error text.
func (sh *shell) fails(code int, args ...string) string {
	sh.t.Helper()
	r := sh.run(args...)
	if r.code != code {
		sh.t.Fatalf("vigate %s: exit %d, want %d: %s", strings.Join(args, " "), r.code, code, r.err)
	}
	if !strings.HasPrefix(r.err, "vigate: ") || strings.Count(r.err, "\n") != 1 {
		sh.t.Errorf("vigate %s: not one line: %q", strings.Join(args, " "), r.err)
	}
	return r.err
}

func (sh *shell) savedFiles() []string {
	sh.t.Helper()
	paths, err := filepath.Glob(filepath.Join(sh.env["XDG_STATE_HOME"], "vigate", "sessions", "*"))
	if err != nil {
		sh.t.Fatal(err)
	}
	return paths
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}
