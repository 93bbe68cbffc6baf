package token

import (
	"bytes"
	"crypto/x509"
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
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// issuing is a Security Token Service that answers every request with one token, and keeps the requests.
type issuing struct {
	*httptest.Server
	token string

	mu       sync.Mutex // guards requests
	requests []string   // SOAPAction, then the body
}

func newIssuing(t *testing.T, token string) *issuing {
	t.Helper()
	s := &issuing{token: token}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *issuing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/sts/STSService" {
		// The client asks which release of the API the server has.
		_, _ = io.WriteString(w, `{"api_release":"8.0.2.0"}`)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Header.Get("SOAPAction")+"\n"+string(body))
	s.mu.Unlock()
	const trust = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
	answer := `<w:RequestSecurityTokenResponse xmlns:w="` + trust + `"><w:RequestedSecurityToken>` + s.token +
		`</w:RequestedSecurityToken></w:RequestSecurityTokenResponse>`
	if strings.Contains(string(body), "RST/Issue") || strings.Contains(string(body), trust+"/Issue") {
		answer = `<w:RequestSecurityTokenResponseCollection xmlns:w="` + trust + `">` + answer +
			`</w:RequestSecurityTokenResponseCollection>`
	}
	_, _ = io.WriteString(w, `<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body>`+answer+
		`</S:Body></S:Envelope>`)
}

func (s *issuing) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		return ""
	}
	return s.requests[len(s.requests)-1]
}

// run runs the command token with the arguments, as a user of the service.
func run(t *testing.T, s *issuing, stdin string, args ...string) (string, error) {
	t.Helper()
	env := map[string]string{"VIGATE_INSECURE": "true", "XDG_STATE_HOME": t.TempDir()}
	if s != nil {
		env["VIGATE_URL"] = s.URL
	}
	root := &cobra.Command{Use: "vigate", SilenceErrors: true, SilenceUsage: true}
	set := command.New(root, command.Host{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Now:       func() time.Time { return now },
	})
	cmd := Command(set)
	cmd.PersistentFlags().AddFlagSet(set.Flags())
	root.AddCommand(cmd)
	var out bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append([]string{"token"}, args...))
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// file writes a file that only its owner can read, and returns its name.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pair writes the files of a key and its certificate.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	k := xmlsigtest.NewKey(t, "client")
	der, err := x509.MarshalPKCS8PrivateKey(k.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return file(t, "cert.pem", text("CERTIFICATE", k.Cert.Raw)), file(t, "key.pem", text("PRIVATE KEY", der))
}

func TestATokenIsShownWithWhatCanBeDoneWithIt(t *testing.T) {
	issuer := samltest.NewIssuer(t, "https://idp.example/metadata", "corp.example")
	key := xmlsigtest.NewKey(t, "client")
	bearer, holder := issuer.Bearer(now.Add(-time.Hour)), issuer.HolderOfKey(now, key.Cert)
	for i := range maxShown + 3 {
		bearer.Groups = append(bearer.Groups, principal.Name{Domain: "CORP.EXAMPLE", User: fmt.Sprint("group", i)})
	}
	holder.Holder = principal.Name{Domain: "CORP.EXAMPLE", User: "proxy"}
	holder.Renewable, holder.Renewals, holder.Delegations = true, 7, 3
	for what, c := range map[string]struct {
		token *saml.Assertion
		want  []string
	}{
		"bearer": {bearer, []string{"Verified: *no", `Subject: *ann@CORP.EXAMPLE`, "Kind: *bearer", "(expired)",
			"Renewals left: *0", "Delegations left: *10", "and 5 more"}},
		"holder of key": {holder, []string{"Held by: *proxy@CORP.EXAMPLE", "Kind: *holder of key", "Renewals left: *7",
			"Delegations left: *3", "Issuer: *https://idp.example/metadata"}},
	} {
		name := file(t, "token", "\n "+issuer.Token(t, c.token)+"\n")
		out, err := run(t, nil, "", "show", name)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for _, w := range c.want {
			label, value, _ := strings.Cut(w, " *")
			at := strings.Index(out, label)
			if at < 0 || !strings.Contains(strings.SplitN(out[at:], "\n", 2)[0], value) {
				t.Errorf("%s: %q is not in\n%s", what, w, out)
			}
		}
		if strings.Contains(out, "(expired)") != (what == "bearer") {
			t.Errorf("%s: whether it has expired:\n%s", what, out)
		}
		if asJSON, err := run(t, nil, "", "show", name, "-o", "json"); err != nil ||
			!strings.Contains(asJSON, `"notOnOrAfter"`) || strings.Contains(asJSON, "ds:") {
			t.Errorf("%s as JSON: %v\n%s", what, err, asJSON)
		}
	}
	for _, text := range []string{"", "x", "<a/>", `<Assertion xmlns="urn:oasis:names:tc:SAML:1.0:assertion"/>`} {
		if out, err := run(t, nil, text, "show", "-"); err == nil ||
			!strings.Contains(err.Error(), "not a SAML 2.0 assertion") {
			t.Errorf("%q is shown as %q: %v", text, out, err)
		}
	}
}

func TestATokenIsAskedForInTheWayThatItsUserWants(t *testing.T) {
	issuer := samltest.NewIssuer(t, "https://idp.example/metadata", "corp.example")
	key := xmlsigtest.NewKey(t, "client")
	delegable := issuer.Token(t, issuer.HolderOfKey(now, key.Cert))
	s := newIssuing(t, issuer.Token(t, issuer.Bearer(now)))
	cert, private := pair(t)
	password, token := file(t, "password", "a long password\n"), file(t, "token", delegable+"\n")
	by := []string{"--cert", cert, "--key", private}
	user := []string{"--username", "ann@corp.example", "--password-file", password}
	for what, c := range map[string]struct {
		args      []string
		want, not []string
	}{
		"bearer": {append([]string{"issue"}, user...),
			[]string{"RST/Issue", "<wsse:Username>ann@corp.example<", "/Bearer"},
			[]string{"BinarySecurityToken", "ActAs"}},
		"holder of key": {append([]string{"issue", "--renewable", "--delegatable"}, append(user, by...)...),
			[]string{"/PublicKey", "BinarySecurityToken", `Allow="true"`, "<Delegatable>true<"}, []string{"ActAs"}},
		"extension": {append([]string{"issue"}, by...), []string{"BinarySecurityToken"}, []string{"Username", "ActAs"}},
		"act as": {append([]string{"issue", "--act-as", token, "--lifetime", "2h"}, by...),
			[]string{"<wst:ActAs", "ann@CORP.EXAMPLE", "BinarySecurityToken", "/PublicKey"}, []string{"UsernameToken"}},
		"renew": {append([]string{"renew", token}, by...), []string{"RST/Renew", "RenewTarget", "ann@CORP.EXAMPLE"},
			[]string{"ActAs"}},
	} {
		out := filepath.Join(t.TempDir(), "new")
		printed, err := run(t, s, "", append(c.args, "--out", out)...)
		if err != nil || printed != "" {
			t.Errorf("%s: %v %q", what, err, printed)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(s.last(), w) {
				t.Errorf("%s: %q is not in the request:\n%s", what, w, s.last())
			}
		}
		for _, w := range c.not {
			if strings.Contains(s.last(), w) {
				t.Errorf("%s: %q is in the request:\n%s", what, w, s.last())
			}
		}
		b, err := os.ReadFile(out)
		if info, statErr := os.Stat(out); err != nil || statErr != nil || string(b) != s.token+"\n" ||
			info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the file of the new token: %v %v %q", what, err, statErr, b)
		}
	}
	if printed, err := run(t, s, delegable, append([]string{"issue", "--act-as", "-"}, by...)...); err != nil ||
		printed != s.token+"\n" || !strings.Contains(s.last(), "<wst:ActAs") {
		t.Errorf("act as, from standard input: %v\n%s", err, printed)
	}
}

func TestATokenIsNotAskedForWithoutWhatItNeeds(t *testing.T) {
	s := newIssuing(t, "")
	cert, private := pair(t)
	token, password := file(t, "token", "<x/>"), file(t, "password", "a long password")
	ann := []string{"issue", "--username", "ann", "--password-file", password}
	for want, args := range map[string][]string{
		"give a user, or the certificate":  {"issue"},
		"--act-as needs --cert and --key":  append(ann, "--act-as", token),
		"can be renewed only with its key": {"renew", token},
		"no such file":                     {"issue", "--cert", cert, "--key", private, "--act-as", token + ".none"},
		"accepts 1 arg":                    {"renew"},
		"invalid argument":                 {"issue", "--lifetime", "long"},
		"unknown flag: --act":              {"issue", "--act", token},
	} {
		if out, err := run(t, s, "", args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q\n%s", args, err, want, out)
		}
	}
	if s.last() != "" {
		t.Errorf("the service was asked:\n%s", s.last())
	}
}
