package sts

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/sts/signing"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

const (
	password = "a long enough password"
	solution = "com.example.csi"
)

var ann = principal.Name{Domain: "VSPHERE.LOCAL", User: "ann"}

// site is a service over HTTP, with the user ann, an administrator, and an extension.
type site struct {
	*domain.Domain
	t         testing.TB
	service   *Service
	clock     *testclock.Clock
	url       *url.URL
	extension xmlsigtest.Key
	log       *logs
	staff     *staff
	postErr   error // of events
	// beforePost, if set, is called once before the next event is posted.
	beforePost func()

	mu   sync.Mutex
	peer peer.Peer
}

// logs keeps what is logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// signingKey is a store record that all tests share, because making a key takes long.
var signingKey struct {
	sync.Mutex
	value []byte
}

// newSite returns a site whose clock shows the present, because govmomi's client has the real clock. It is in the
// precision of tokens, so that a token that a test signs is not older than the site.
func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{
		t: t, clock: testclock.New(time.Now().UTC().Truncate(time.Millisecond)),
		extension: xmlsigtest.NewKey(t, solution), log: &logs{},
		staff: &staff{groups: map[string][]string{}},
	}
	s.peer = peer.Peer{Address: "192.0.2.1", TLS: true}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	keys := signing.New(signing.Options{Longest: DefaultKeyMax, Now: s.clock.Now, Logger: logger})
	memory := storetest.NewMemory(s.clock.Now)
	var err error
	s.Domain, err = domain.New(domain.Options{
		Store: memory, Base: setting.Defaults(), Thumbprint: func() string { return "00" },
		Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: s.clock.Now, Logger: logger,
		Views: []store.View{keys.View()}, Sources: []directory.Source{directory.Open("oidc.example"), s.staff},
	})
	s.must(err)
	keys.Attach(s.Mirror)
	signingKey.Lock()
	if signingKey.value != nil {
		_, err = memory.Commit(t.Context(), store.Create(store.SigningKey, "1", signingKey.value, time.Time{}))
	}
	storetest.Follow(t, s.Mirror)
	if s.must(err); signingKey.value == nil {
		s.must(keys.Ensure(t.Context()))
		r, err := memory.Get(t.Context(), store.SigningKey, "1")
		s.must(err)
		signingKey.value = r.Value
	}
	signingKey.Unlock()
	s.populate()
	s.service = New(Options{
		Keys: keys, Instance: s.Settings.Instance, Accounts: s.Accounts.Table(), Extensions: s.Extensions.Table(),
		Access: s.Access.Table(), Directory: s.Directory, Sync: s.Mirror.Sync, Now: s.clock.Now, Logger: logger,
		Post: func(ctx context.Context, e event.Event, conditions ...store.Change) error {
			if s.postErr != nil {
				return s.postErr
			}
			if before := s.beforePost; before != nil {
				s.beforePost = nil
				before()
			}
			_, err := s.Mirror.Commit(ctx, append(conditions, s.Events.Change(e))...)
			return err
		},
	})
	passwords, err := login.NewPasswords(s.Accounts)
	s.must(err)
	gate := s.NewGate(login.GateOptions{
		Methods: []login.Method{Method{}, bearerMethod{s.clock.Now().Add(sessionLife)}, passwords},
	})
	s.serve(gate)
	return s
}

func (s *site) serve(gate *login.Gate) {
	mux := http.NewServeMux()
	s.service.Mount(mux, gate, binding.NewBodies(0))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		p := s.peer
		s.mu.Unlock()
		mux.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &p)))
	}))
	s.t.Cleanup(server.Close)
	var err error
	s.url, err = url.Parse(server.URL)
	s.must(err)
}

// populate makes the principals.
func (s *site) populate() {
	s.t.Helper()
	ctx, root := context.Background(), access.Server(event.By("test"))
	_, err := s.Settings.EnsureInstance(ctx)
	s.must(err)
	_, err = s.Accounts.Bootstrap(ctx, []byte(password))
	s.must(err)
	s.must(s.Accounts.Create(ctx, event.By("test"), ann, []byte(password), "Ann Example"))
	s.must(s.Access.SetPermissions(ctx, root, access.Root, []access.Permission{
		{Principal: ann, Role: access.ReadOnly, Propagate: true},
		{Principal: principal.Name{Domain: "OIDC.EXAMPLE", User: "Staff"}, Group: true, Role: access.ReadOnly,
			Propagate: true},
		{Principal: sue, Role: access.Admin, Propagate: true}, // who may act as others
	}))
	s.must(s.Extensions.Register(ctx, event.By("test"), extension.Registration{Key: solution, Data: []byte("{}")}))
	s.must(s.Extensions.SetCertificate(ctx, event.By("test"), solution, s.extension.Cert.Raw, ""))
}

// sue is a user of staff.
var sue = principal.Name{Domain: "STAFF.EXAMPLE", User: "sue"}

// staff is a directory whose users can be disabled. Search finds them all the same.
type staff struct {
	mu     sync.Mutex
	groups map[string][]string // of the users that are enabled
	err    error
	asked  func() // if set, called when a user is looked up
	// changed is when all users have changed their password.
	changed time.Time
}

func (*staff) Domain() string { return sue.Domain }

func (f *staff) set(user string, groups []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.groups, user)
	if f.err = err; groups != nil {
		f.groups[user] = groups
	}
}

func (f *staff) Search(context.Context, string, bool) ([]directory.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []directory.Entry{{Name: sue, Groups: []string{`STAFF.EXAMPLE\Search`}}}, f.err
}

func (f *staff) User(_ context.Context, name principal.Name) (directory.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked != nil {
		f.asked()
	}
	groups, ok := f.groups[name.User]
	switch {
	case f.err != nil:
		return directory.Entry{}, f.err
	case !ok:
		return directory.Entry{}, fmt.Errorf("%w: the account is disabled", login.ErrRejected)
	}
	return directory.Entry{Name: name, FullName: "Sue Example", Groups: groups, PasswordChanged: f.changed}, nil
}

// sessionLife is how long sessions live that begin with short.token.here.
const sessionLife = time.Hour

// bearerMethod is a login method by JSON Web Tokens that accepts two tokens. The sessions of one end at end.
type bearerMethod struct{ end time.Time }

func (bearerMethod) Name() string      { return "jwt" }
func (bearerMethod) Challenge() string { return "Bearer" }

func (m bearerMethod) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.Assertion)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	var end time.Time
	switch c.Authorization.Reveal() {
	case "Bearer good.token.here":
	case "Bearer short.token.here":
		end = m.end
	default:
		return session.Grant{}, fmt.Errorf("%w: not the token", login.ErrRejected)
	}
	return session.Grant{
		NotAfter: end,
		Identity: session.Identity{
			Name: principal.Name{Domain: "OIDC.EXAMPLE", User: "olga"}, FullName: "Olga of the Example",
			Groups: []string{`OIDC.EXAMPLE\Staff`},
		},
		Scope: session.Scope{Domain: "OIDC.EXAMPLE"},
	}, nil
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// from sets the client of the requests that follow.
func (s *site) from(p peer.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer = p
}

// client returns govmomi's client of the service.
func (s *site) client() *sts.Client {
	c := soap.NewClient(s.url, true).NewServiceClient(sts.Path, sts.Namespace)
	return &sts.Client{Client: c, RoundTripper: c}
}

// pair is a key as govmomi has it.
func pair(k xmlsigtest.Key) *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{k.Cert.Raw}, PrivateKey: k.PrivateKey}
}

// issue asks for a token and verifies it.
func (s *site) issue(r sts.TokenRequest) (string, *saml.Assertion) {
	s.t.Helper()
	signer, err := s.client().Issue(context.Background(), r)
	s.must(err)
	return signer.Token, s.read(signer.Token)
}

// renew renews a token and verifies the new one.
func (s *site) renew(r sts.TokenRequest) (string, *saml.Assertion) {
	s.t.Helper()
	signer, err := s.client().Renew(context.Background(), r)
	s.must(err)
	return signer.Token, s.read(signer.Token)
}

// read verifies a token.
func (s *site) read(token string) *saml.Assertion {
	s.t.Helper()
	v := saml.Verifier{Issuers: s.service.Issuers, Now: s.clock.Now}
	a, _, err := v.VerifyToken([]byte(token))
	s.must(err)
	return a
}

// token signs a token of the service, for what no client can ask for.
func (s *site) token(edit func(*saml.Assertion)) string {
	s.t.Helper()
	signer, err := s.service.o.Keys.Signer(context.Background())
	s.must(err)
	now := s.service.now()
	a := &saml.Assertion{
		ID: saml.NewID(), Issuer: s.service.Issuer(), Subject: ann, Issued: now, NotBefore: now,
		NotOnOrAfter: now.Add(time.Hour), Context: saml.ContextPassword, Key: s.extension.Cert, Renewable: true,
		Renewals: 3, Delegations: 2,
	}
	edit(a)
	b, err := a.Sign(signer)
	s.must(err)
	return string(b)
}

// message is a request with the parts of its Security header and of its body.
type message struct {
	kind     string // of the request
	action   string // if empty, that of the kind
	security string // the header without Timestamp and Signature
	body     string // what follows RequestType
	time     string // the Timestamp; if empty, one of now; "-": none
	key      *xmlsigtest.Key
	signed   bool // by key
}

// text returns the message.
func (s *site) text(m message) string {
	s.t.Helper()
	security := m.time
	if security == "" {
		security = samltest.Timestamp(s.clock.Now())
	}
	security = strings.TrimPrefix(security, "-") + m.security
	operation := `<wst:RequestSecurityToken xmlns:wst="` + nsTrust + `"><wst:RequestType>` + nsTrust + "/" + m.kind +
		`</wst:RequestType>` + m.body + `</wst:RequestSecurityToken>`
	if !m.signed {
		return samltest.Message(security, operation)
	}
	return xmlsigtest.SignMessage(s.t, m.key.PrivateKey, samltest.Message(security+xmlsigtest.Placeholder, operation),
		xmlsigtest.Variant{}, "time", "body")
}

// send sends a message and returns the status and the body of the answer.
func (s *site) send(m message) (int, string) {
	s.t.Helper()
	action := m.action
	if action == "" {
		action = nsTrust + "/RST/" + m.kind
	}
	return s.post("/sts/STSService/vsphere.local", action, s.text(m))
}

func (s *site) post(path, action, body string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url.JoinPath(path).String(), strings.NewReader(body))
	s.must(err)
	r.Header.Set("Content-Type", "text/xml")
	if action != "" {
		r.Header.Set("SOAPAction", action)
	}
	w, err := http.DefaultClient.Do(r)
	s.must(err)
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	s.must(err)
	return w.StatusCode, string(b)
}

// validated returns what the service says of a token: valid, invalid, or "" if it answers with a fault.
func (s *site) validated(token string) string {
	s.t.Helper()
	_, body := s.send(message{kind: kindValidate, body: "<wst:TokenType>" + nsTrust + "/RSTR/Status</wst:TokenType>" +
		"<wst:ValidateTarget>" + token + "</wst:ValidateTarget>"})
	_, status, _ := strings.Cut(body, "/status/")
	status, _, _ = strings.Cut(status, "<")
	return status
}

// refused sends a message, which must be refused with the code.
func (s *site) refused(what, code string, m message) {
	s.t.Helper()
	status, body := s.send(m)
	if status != http.StatusInternalServerError || !strings.Contains(body, ">"+code+"</faultcode><faultstring>") ||
		strings.Contains(body, "detail") || !wellFormed(body) {
		s.t.Errorf("%s: %d %s, want %s\n%s", what, status, body, code, s.log)
	}
}

func wellFormed(body string) bool {
	_, err := xmlsig.Parse([]byte(body))
	return err == nil
}

// user returns a UsernameToken.
func user(name, password string) string {
	return "<wsse:UsernameToken><wsse:Username>" + name + "</wsse:Username><wsse:Password>" + password +
		"</wsse:Password></wsse:UsernameToken>"
}

// certificate returns a BinarySecurityToken.
func certificate(c *x509.Certificate) string {
	return `<wsse:BinarySecurityToken ValueType="http://docs.oasis-open.org/wss/2004/01/` +
		`oasis-200401-wss-x509-token-profile-1.0#X509v3" wsu:Id="cert">` + base64.StdEncoding.EncodeToString(c.Raw) +
		`</wsse:BinarySecurityToken>`
}
