// Package identity tests logins by tokens and tickets of real identity providers: an OpenID provider,
// and a KDC of MIT Kerberos. The clients are Debian's pyVmomi and HTTP clients of the Automation API and
// of VI JSON. All of them run on this machine, on loopback addresses.
package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// patience is how long a test waits for a condition. It is long enough for the slowest machines.
const patience = 5 * time.Minute

// bin is the directory of the programs that tests build.
var bin string

func TestMain(m *testing.M) {
	// Tests create files with secrets, which must not be writable by the group.
	syscall.Umask(0o022)
	var err error
	if bin, err = os.MkdirTemp("", "vigate-identity-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(bin)
	os.Exit(code)
}

// server is the API with one more login method, on HTTP.
type server struct {
	*httptest.Server
	t testing.TB
}

// newServer starts a server that accepts the method made by with, and gives the user a role.
func newServer(t testing.TB, with func(*vimtest.Parts) login.Method, user string) *server {
	t.Helper()
	name, err := principal.Parse(user, "")
	if err != nil {
		t.Fatal(err)
	}
	f := vimtest.New(t, func(d *vimtest.Parts) {
		d.Methods = append(d.Methods, with(d))
		d.Directory = append(d.Directory, directory.Open(name.Domain))
	})
	f.Must(property.Serve(f.API, f.Sessions))
	f.Must(f.Access.SetPermissions(t.Context(), access.Server(event.By("test")), access.Root,
		[]access.Permission{{Principal: name, Role: access.ReadOnly, Propagate: true}}))
	mux, bodies := http.NewServeMux(), binding.NewBodies(0)
	vijson.Mount(mux, f.API, bodies)
	soap.Mount(mux, f.API, bodies, soap.Options{Version: vimtest.APIVersion})
	rest.Mount(mux, f.API, bodies, f.Gate.Challenges())
	s := &server{t: t, Server: httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		mux.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &peer.Peer{Address: host, TLS: true, UserAgent: "test"})))
	}))}
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the server:\n%s", f.Logged())
		}
	})
	return s
}

func (s *server) port() string {
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	return port
}

// post sends a request of JSON and returns the status and the body of the response.
func (s *server) post(path string, header map[string]string, body any) (int, string) {
	s.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return w.StatusCode, string(text)
}

const sessionManager = "/sdk/vim25/8.0.1.0/SessionManager/SessionManager/"

// run runs a command with additional variables and returns its output. It must succeed.
func run(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out.String(), bad.String())
	}
	return strings.TrimSpace(out.String())
}

// python runs a script in Debian's Python, which finds Debian's packages.
func python(t testing.TB, env []string, args ...string) string {
	t.Helper()
	return run(t, env, "/usr/bin/python3", args...)
}
