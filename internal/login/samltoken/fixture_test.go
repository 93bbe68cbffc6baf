package samltoken_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/samltoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

var ann = principal.Name{Domain: "CORP.EXAMPLE", User: "ann"}

// fixture is a store, an issuer that its nodes trust, and a client with a key.
type fixture struct {
	t      testing.TB
	clock  *testclock.Clock
	store  store.Store
	issuer samltest.Issuer
	client xmlsigtest.Key
	*node
}

// node is one server on the store.
type node struct {
	*domain.Domain
	gate   *login.Gate
	method *samltoken.Method
	logins atomic.Int32
}

// newFixture returns a fixture with one node. edit may change the settings of the method.
func newFixture(t testing.TB, edit ...func(*samltoken.Options)) *fixture {
	t.Helper()
	f := &fixture{
		t: t, clock: testclock.New(time.Time{}), issuer: samltest.NewIssuer(t, "https://idp.example/metadata",
			"corp.example"),
		client: xmlsigtest.NewKey(t, "client"),
	}
	f.store = storetest.NewMemory(f.clock.Now)
	f.node = f.start(edit...)
	if _, err := f.Accounts.Bootstrap(t.Context(), []byte("the administrator's password")); err != nil {
		t.Fatal(err)
	}
	f.permit(ann)
	return f
}

// start starts a node.
func (f *fixture) start(edit ...func(*samltoken.Options)) *node {
	f.t.Helper()
	d, err := domain.New(domain.Options{
		Store: f.store, Base: setting.Defaults(), Thumbprint: func() string { return "00" },
		Exists: func(principal.Name, bool) bool { return true },
		Cost:   account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: f.clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	o := samltoken.Options{Issuers: []saml.Issuer{f.issuer.Issuer}, Spent: d.Spent, Now: f.clock.Now}
	for _, e := range edit {
		e(&o)
	}
	m, err := samltoken.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	storetest.Follow(f.t, d.Mirror)
	return &node{Domain: d, gate: d.NewGate(login.GateOptions{Methods: []login.Method{m}}), method: m}
}

func (f *fixture) permit(names ...principal.Name) {
	f.t.Helper()
	var all []access.Permission
	for _, name := range names {
		all = append(all, access.Permission{Principal: name, Role: access.ReadOnly, Propagate: true})
	}
	err := f.Access.SetPermissions(context.Background(), access.Server(event.By("test")), access.Root, all)
	if err != nil {
		f.t.Fatal(err)
	}
}

// login logs in, each time from another network: one that fails often is locked.
func (n *node) login(c login.Assertion) (*session.Live, error) {
	i := n.logins.Add(1)
	from := peer.Peer{Address: fmt.Sprintf("10.%d.%d.1", i/200, i%200)}
	l, _, err := n.gate.Login(context.Background(), login.Attempt{Credential: c, Peer: from}, nil)
	return l, err
}

// message is the credential that a SOAP message brings.
func message(text string) login.Assertion {
	return login.Assertion{
		Method: "POST", Host: "vc.example", Target: "/sdk", Message: secret.NewBytes([]byte(text)),
		Security: secret.NewBytes([]byte("there is one")), Body: secret.NewBytes([]byte(text)),
	}
}

// bearer is the message of a bearer token, as pyVmomi sends it: without a Timestamp.
func bearer(token string) login.Assertion {
	return message(samltest.Message(" "+token+" ", samltest.Operation))
}

// signed is the message of a holder-of-key token.
func (f *fixture) signed(token string) login.Assertion {
	return message(samltest.Signed(f.t, f.client.PrivateKey, f.clock.Now(), token))
}

// header is the credential of a request to the Automation API.
func header(authorization string) login.Assertion {
	return login.Assertion{
		Authorization: secret.New(authorization), Method: request.Method, Host: request.Host, Target: request.Target,
		Body: secret.NewBytes(request.Body),
	}
}

var request = saml.Request{Method: "POST", Host: "vc.example", Target: "/api/session", Body: []byte("{}")}

// proved is the credential of a holder-of-key token with a proof, in the header of a request.
func (f *fixture) proved(token string) login.Assertion {
	return header(samltest.Proved(f.t, token, f.client.PrivateKey, f.clock.Now(), request, "vc.example", "80"))
}

// bearerToken and keyToken return new tokens for ann. edit may change what they say.
func (f *fixture) bearerToken(edit ...func(*saml.Assertion)) string {
	return f.token(f.issuer.Bearer(f.clock.Now()), edit)
}

func (f *fixture) keyToken(edit ...func(*saml.Assertion)) string {
	return f.token(f.issuer.HolderOfKey(f.clock.Now(), f.client.Cert), edit)
}

func (f *fixture) token(a *saml.Assertion, edit []func(*saml.Assertion)) string {
	for _, e := range edit {
		e(a)
	}
	return f.issuer.Token(f.t, a)
}

// good checks that the credential logs ann in.
func (f *fixture) good(what string, c login.Assertion) {
	f.t.Helper()
	l, err := f.login(c)
	if err != nil {
		f.t.Errorf("%s: %v", what, err)
	} else if s := l.Session(); s.Identity.Name != ann || s.Method != "saml" {
		f.t.Errorf("%s: %+v by %s", what, s.Identity, s.Method)
	}
}

// refused checks that the credential is refused as a failed login, and that the failure is posted.
func (f *fixture) refused(what string, c login.Assertion) {
	f.t.Helper()
	before := f.failures()
	if l, err := f.login(c); !errors.Is(err, login.ErrRejected) {
		f.t.Errorf("%s: %v %v", what, l, err)
	}
	if now := f.failures(); now != before+1 {
		f.t.Errorf("%s: %d failures are posted", what, now-before)
	}
}

func (f *fixture) failures() int {
	return len(f.Events.Query(event.Filter{Types: []string{"BadUsernameSessionEvent"}, MaxCount: 10_000}))
}
