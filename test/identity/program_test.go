package identity

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/saml/samltest"
)

const (
	adminUser     = "administrator@vsphere.local"
	adminPassword = "correct horse battery staple 7"
	samlUser      = `SAML.EXAMPLE\ann`
)

// program builds vigate below the directory of all tests and returns its path.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bin, "vigate")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/vigate")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build vigate: %w\n%s", err, out)
	}
	return path, nil
})

// node is a process of vigate. It can be killed and started again with the same data.
type node struct {
	t         testing.TB
	args      []string
	address   string // HOST:PORT of the listener with TLS
	plain     string // HOST:PORT of the listener without TLS
	cmd       *exec.Cmd
	log       *bytes.Buffer // complete once ended is closed
	ended     chan struct{}
	transport *http.Transport
}

// newNode starts vigate with a configuration file, and stops it at the end of the test.
func newNode(t testing.TB, file string, args ...string) *node {
	t.Helper()
	n := &node{t: t, args: append([]string{
		"serve", "--config", file, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--plain-http", "127.0.0.1:0",
	}, args...), transport: loopback("127.0.0.1")}
	t.Cleanup(func() {
		n.transport.CloseIdleConnections()
		if n.cmd == nil {
			return
		}
		_ = n.cmd.Process.Signal(syscall.SIGTERM)
		n.wait()
		if t.Failed() {
			t.Logf("log of the server:\n%s", n.log)
		}
	})
	n.start()
	return n
}

var listening = regexp.MustCompile(`msg=listening listener=(\w+) address=(\S+)`)

// start starts the process and waits until it serves.
func (n *node) start() {
	n.t.Helper()
	path, err := program()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command(path, n.args...)
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+adminPassword)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmd, n.log, n.ended = cmd, &bytes.Buffer{}, make(chan struct{})
	found := make(chan [2]string, 2)
	go func(log *bytes.Buffer, ended chan struct{}) {
		defer close(ended)
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				found <- [2]string(m[1:])
			}
		}
	}(n.log, n.ended)
	n.address, n.plain = "", ""
	for n.address == "" || n.plain == "" {
		select {
		case l := <-found:
			if l[0] == "tls" {
				n.address = l[1]
			} else {
				n.plain = l[1]
			}
		case <-n.ended:
			n.t.Fatalf("the server ended at its start:\n%s", n.log)
		case <-time.After(patience):
			n.t.Fatal("the server does not serve")
		}
	}
}

// wait waits for the end of the process.
func (n *node) wait() {
	<-n.ended
	_ = n.cmd.Wait()
	n.cmd = nil
}

// crash kills the process and starts it again.
func (n *node) crash() {
	n.t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	n.wait()
	n.start()
}

// loopback returns the transport of a client with a loopback address.
func loopback(address string) *http.Transport {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Transport{DialContext: d.DialContext}
}

// request is an HTTP request that can be sent more than once, also to another server.
type request struct {
	path   string
	host   string // header Host; if empty, the address of the server
	header http.Header
	body   string
}

// signed returns a login to the Automation API with the value of the header Authorization.
func signed(authorization string) request {
	return request{path: "/api/session", header: http.Header{"Authorization": {authorization}}}
}

// viJSON returns a request of VI JSON for the session in the token, if there is one.
func viJSON(path, token, body string) request {
	r := request{path: "/sdk/vim25/8.0.1.0/" + path, body: body,
		header: http.Header{"Content-Type": {"application/json"}}}
	if token != "" {
		r.header.Set("vmware-api-session-id", token)
	}
	return r
}

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request from 127.0.0.1.
func (n *node) send(r request) answer {
	n.t.Helper()
	return n.sendBy(n.transport, r)
}

func (n *node) sendBy(transport *http.Transport, r request) answer {
	n.t.Helper()
	a, err := n.try(transport, r)
	if err != nil {
		n.t.Fatal(err)
	}
	return a
}

// try does the same as sendBy. It can be called by any goroutine.
func (n *node) try(transport *http.Transport, r request) (answer, error) {
	q, err := http.NewRequest(http.MethodPost, "http://"+n.plain+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	q.Header, q.Host = r.header.Clone(), r.host
	w, err := transport.RoundTrip(q)
	if err != nil {
		return answer{}, err
	}
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	return answer{w.StatusCode, w.Header, string(b)}, err
}

// port returns the port of the listener with TLS.
func (n *node) port() string {
	_, port, _ := strings.Cut(n.address, ":")
	return port
}

// admin returns the token of a session of the administrator.
func (n *node) admin() string {
	n.t.Helper()
	a := n.send(viJSON("SessionManager/SessionManager/Login", "",
		fmt.Sprintf(`{"userName":%q,"password":%q}`, adminUser, adminPassword)))
	token := a.header.Get("vmware-api-session-id")
	if token == "" {
		n.t.Fatalf("log in as administrator: %d %s", a.status, a.body)
	}
	return token
}

// call calls a method that returns nothing, and must succeed.
func (n *node) call(token, path, body string) {
	n.t.Helper()
	if a := n.send(viJSON(path, token, body)); a.status != http.StatusNoContent {
		n.t.Fatalf("%s %s: %d %s", path, body, a.status, a.body)
	}
}

// permit gives the role ReadOnly to users.
func (n *node) permit(users ...string) {
	n.t.Helper()
	token := n.admin()
	for _, user := range users {
		n.call(token, "AuthorizationManager/AuthorizationManager/SetEntityPermissions", fmt.Sprintf(
			`{"entity":{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"},"permission":[`+
				`{"_typeName":"Permission","principal":%q,"group":false,"roleId":-2,"propagate":true}]}`, user))
	}
}

// samlSource returns an issuer for the users of saml.example, and its entry in the configuration.
func samlSource(t testing.TB) (samltest.Issuer, string) {
	t.Helper()
	i := samltest.NewIssuer(t, "https://idp.example/metadata", "saml.example")
	file := filepath.Join(t.TempDir(), "idp.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificates[0].Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return i, fmt.Sprintf("  saml: [{issuer: %q, certificates: %q, domain: saml.example}]\n", i.Name, file)
}

// source returns the provider's entry in the configuration.
func (p *provider) source() string {
	return fmt.Sprintf("  oidc: [{issuer: %q, ca: %q, audience: %s, algorithms: [RS256], domain: oidc.example}]\n",
		p.URL, p.ca, client)
}

// source returns the KDC's entry in the configuration.
func (k *kdc) source() string {
	return fmt.Sprintf("  kerberos: {keytab: %q, realms: {%s: corp.example}}\n", k.keytab, realm)
}

// configuration writes a file with the settings and the identity sources.
func configuration(t testing.TB, settings string, sources ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vigate.yaml")
	text := settings + "identity:\n" + strings.Join(sources, "")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
