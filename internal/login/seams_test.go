package login_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

const password = "the administrator's password"

// node is a domain with a gate over a store that it may share with other nodes.
type node struct {
	*domain.Domain
	gate *login.Gate
	log  *bytes.Buffer
}

// newNode starts a node. edit may change the options of the gate, whose methods are passwords alone.
func newNode(t *testing.T, s store.Store, clock *testclock.Clock, edit func(*domain.Domain, *login.GateOptions)) *node {
	t.Helper()
	n := &node{log: &bytes.Buffer{}}
	var err error
	n.Domain, err = domain.New(domain.Options{
		Store: s, Base: setting.Defaults(), Thumbprint: func() string { return "00" },
		Exists: func(principal.Name, bool) bool { return true },
		Cost:   account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: clock.Now,
		Logger: slog.New(slog.NewTextHandler(n.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	passwords, err := login.NewPasswords(n.Accounts, corp{})
	if err != nil {
		t.Fatal(err)
	}
	o := login.GateOptions{Methods: []login.Method{passwords}}
	if edit != nil {
		edit(n.Domain, &o)
	}
	n.gate = n.NewGate(o)
	storetest.Follow(t, n.Mirror)
	if _, err := n.Accounts.Bootstrap(t.Context(), []byte(password)); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) permit(t *testing.T, names ...principal.Name) {
	t.Helper()
	var all []access.Permission
	for _, name := range names {
		all = append(all, access.Permission{Principal: name, Role: access.ReadOnly, Propagate: true})
	}
	err := n.Access.SetPermissions(t.Context(), access.Server(event.By("test")), access.Root, all)
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) login(c login.Credential) (*session.Live, error) {
	a := login.Attempt{Credential: c, Peer: peer.Peer{Address: "192.0.2.1"}}
	l, _, err := n.gate.Login(context.Background(), a, nil)
	return l, err
}

func with(user, password string) login.Password {
	return login.Password{User: user, Secret: secret.New(password)}
}

// corp is the source of the domain CORP. It has the user carl.
type corp struct{}

func (corp) Domain() string { return "CORP" }

func (corp) Verify(_ context.Context, name principal.Name, a login.Attempt) (session.Grant, error) {
	if name.User != "carl" || a.Credential.(login.Password).Secret.Reveal() != "password of carl" {
		return session.Grant{}, login.ErrRejected
	}
	return session.Grant{
		Identity: session.Identity{Name: name, Groups: []string{`CORP\Staff`}}, Scope: session.Scope{Domain: "CORP"},
	}, nil
}

func TestAPasswordIsVerifiedByTheSourceOfItsDomainAlone(t *testing.T) {
	clock := testclock.New(time.Time{})
	n := newNode(t, storetest.NewMemory(clock.Now), clock, nil)
	n.permit(t, principal.Name{Domain: "CORP", User: "carl"})
	hashes := n.Accounts.Load().Hashes
	l, err := n.login(with("carl@corp", "password of carl"))
	if err != nil {
		t.Fatal(err)
	}
	if s := l.Session(); s.Method != "password" || s.Identity.Name.String() != `CORP\carl` {
		t.Errorf("session %+v", s)
	}
	if _, err := n.login(with(`CORP\administrator`, password)); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a local user's password in another domain: %v", err)
	}
	if now := n.Accounts.Load().Hashes; now != hashes {
		t.Errorf("%d hashes for users of another source", now-hashes)
	}
	if _, err := n.login(with("administrator", password)); err != nil {
		t.Errorf("a local user: %v", err)
	}
	if _, err := n.login(with("carl", "password of carl")); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a name without a domain is not a local user's: %v", err)
	}
}

func TestANameOfNobodyCostsTheWorkOfAWrongPassword(t *testing.T) {
	clock := testclock.New(time.Time{})
	n := newNode(t, storetest.NewMemory(clock.Now), clock, nil)
	for _, name := range []string{
		"administrator", "x@no.such.domain", `x\y\z`, "", "x@LOCALOS", strings.Repeat("x", 2000),
	} {
		before := n.Accounts.Load().Hashes
		if _, err := n.login(with(name, "wrong")); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%.20q: %v", name, err)
		}
		if did := n.Accounts.Load().Hashes - before; did != 1 {
			t.Errorf("%.20q: %d hashes", name, did)
		}
	}
}

// system is the source of accounts of the operating system. It takes the password "ticket" of anybody.
type system struct{}

func (system) Domain() string { return principal.SystemDomain }

func (system) Verify(_ context.Context, name principal.Name, a login.Attempt) (session.Grant, error) {
	if a.Credential.(login.Password).Secret.Reveal() != "ticket" {
		return session.Grant{}, login.ErrNotMine
	}
	return session.Grant{Identity: session.Identity{Name: name}, Scope: session.Scope{Local: true}}, nil
}

func TestANameWithoutADomainIsAnAccountsIfThePasswordIsItsTicket(t *testing.T) {
	clock := testclock.New(time.Time{})
	n := newNode(t, storetest.NewMemory(clock.Now), clock, func(d *domain.Domain, o *login.GateOptions) {
		passwords, err := login.NewPasswords(d.Accounts, system{})
		if err != nil {
			t.Fatal(err)
		}
		o.Methods = []login.Method{passwords}
	})
	n.permit(t, principal.Name{Domain: principal.SystemDomain, User: "administrator"})
	for _, c := range []struct{ user, password, want string }{
		{"administrator", "ticket", `LOCALOS\administrator`},
		{"administrator@localos", "ticket", `LOCALOS\administrator`},
		{"administrator", password, `VSPHERE.LOCAL\Administrator`},
		{"administrator@vsphere.local", "ticket", ""},
		{"administrator@localos", password, ""},
	} {
		l, err := n.login(with(c.user, c.password))
		switch {
		case c.want == "" && !errors.Is(err, login.ErrRejected):
			t.Errorf("%s, %q: %v", c.user, c.password, err)
		case c.want != "" && err != nil:
			t.Errorf("%s, %q: %v", c.user, c.password, err)
		case c.want != "" && l.Session().Identity.Name.String() != c.want:
			t.Errorf("%s, %q: is %s", c.user, c.password, l.Session().Identity.Name)
		}
	}
}

// namesake is a source of another domain.
type namesake struct {
	corp
	domain string
}

func (s namesake) Domain() string { return s.domain }

func TestADomainHasOneSourceOfPasswords(t *testing.T) {
	clock := testclock.New(time.Time{})
	n := newNode(t, storetest.NewMemory(clock.Now), clock, nil)
	for name, sources := range map[string][]login.PasswordSource{
		"two of one domain":              {corp{}, corp{}},
		"one of the local users' domain": {namesake{domain: account.DefaultDomain}},
		"one of a domain in lower case":  {namesake{domain: "corp.example"}},
		"one of no domain":               {namesake{}},
	} {
		if _, err := login.NewPasswords(n.Accounts, sources...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// said is a login method that grants what the test says for any assertion.
type said struct{ grant session.Grant }

func (*said) Name() string { return "said" }

func (*said) Challenge() string { return "SIGN" }

func (s *said) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	if _, ok := a.Credential.(login.Assertion); !ok {
		return session.Grant{}, login.ErrNotMine
	}
	return s.grant, nil
}

func TestASourceProvesNobodyOfAnotherDomain(t *testing.T) {
	clock := testclock.New(time.Time{})
	m := &said{}
	n := newNode(t, storetest.NewMemory(clock.Now), clock, func(_ *domain.Domain, o *login.GateOptions) {
		o.Methods = append(o.Methods, m)
	})
	user := func(domain string, groups ...string) session.Identity {
		return session.Identity{Name: principal.Name{Domain: domain, User: "carl"}, Groups: groups}
	}
	acme := session.Identity{Name: principal.Extension("com.example"), Extension: true}
	err := n.Extensions.Register(t.Context(), event.By("test"), extension.Registration{
		Key: "com.example", Data: []byte("{}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	inDomain := session.Identity{Name: user("CORP").Name, Extension: true}
	n.permit(t, user("CORP").Name, user("OTHER").Name, user("VSPHERE.LOCAL").Name, user("LOCALOS").Name, acme.Name)
	foreign, local, proved := session.Scope{Domain: "CORP"}, session.Scope{Local: true}, session.Scope{Proved: true}
	for name, c := range map[string]struct {
		scope  session.Scope
		who    session.Identity
		origin *session.Identity
		ok     bool
	}{
		"its own":                         {foreign, user("CORP", `CORP\Staff`, `CORP\All users`), nil, true},
		"another's":                       {foreign, user("OTHER"), nil, false},
		"a local user":                    {foreign, user("VSPHERE.LOCAL"), nil, false},
		"an account":                      {foreign, user("LOCALOS"), nil, false},
		"an extension":                    {foreign, acme, nil, false},
		"an extension in its domain":      {foreign, inDomain, nil, false},
		"a name without a domain":         {foreign, user(""), nil, false},
		"a group of another":              {foreign, user("CORP", `CORP\Staff`, `OTHER\Staff`), nil, false},
		"a local group":                   {foreign, user("CORP", `VSPHERE.LOCAL\Administrators`), nil, false},
		"a group without a domain":        {foreign, user("CORP", "Staff"), nil, false},
		"a group in another form":         {foreign, user("CORP", "Staff@corp"), nil, false},
		"its domain in another spelling":  {foreign, user("corp"), nil, false},
		"another's as the origin":         {foreign, user("CORP"), new(user("OTHER")), false},
		"nobody":                          {foreign, session.Identity{}, nil, false},
		"no scope":                        {session.Scope{}, user("CORP"), nil, false},
		"no scope, no domain":             {session.Scope{}, user(""), nil, false},
		"two scopes":                      {session.Scope{Domain: "CORP", Local: true}, user("CORP"), nil, false},
		"a source of the local domain":    {session.Scope{Domain: "VSPHERE.LOCAL"}, user("VSPHERE.LOCAL"), nil, false},
		"a source of accounts":            {session.Scope{Domain: "LOCALOS"}, user("LOCALOS"), nil, false},
		"local: a local user":             {local, user("VSPHERE.LOCAL", `VSPHERE.LOCAL\Users`), nil, true},
		"local: an account":               {local, user("LOCALOS"), nil, true},
		"local: an extension":             {local, acme, nil, true},
		"local: a user of another source": {local, user("CORP"), nil, false},
		"local: a group of another":       {local, user("VSPHERE.LOCAL", `CORP\Staff`), nil, false},
		"proved: a user of any source":    {proved, user("OTHER", `OTHER\Staff`), nil, true},
	} {
		n.log.Reset()
		m.grant = session.Grant{Identity: c.who, Origin: c.origin, Scope: c.scope}
		switch _, err := n.login(login.Assertion{}); {
		case c.ok && err != nil:
			t.Errorf("%s: refused: %v", name, err)
		case !c.ok && !errors.Is(err, login.ErrRejected):
			t.Errorf("%s: %v", name, err)
		}
		logged := strings.Count(n.log.String(), "level=ERROR")
		if c.ok && logged != 0 || !c.ok && (logged != 1 || !strings.Contains(n.log.String(), "method=said")) {
			t.Errorf("%s: logged %q", name, n.log)
		}
	}
}

func TestChallengesAreThoseOfTheMethods(t *testing.T) {
	clock := testclock.New(time.Time{})
	n := newNode(t, storetest.NewMemory(clock.Now), clock, func(d *domain.Domain, o *login.GateOptions) {
		o.Methods = append([]login.Method{login.Clone{Sessions: d.Sessions}}, o.Methods...)
	})
	if got := strings.Join(n.gate.Challenges(), " "); got != "Basic" {
		t.Errorf("passwords and tickets: %q", got)
	}
	n = newNode(t, storetest.NewMemory(clock.Now), clock, func(_ *domain.Domain, o *login.GateOptions) {
		o.Methods = append(o.Methods, &said{}, &said{})
	})
	if got := strings.Join(n.gate.Challenges(), " "); got != "Basic SIGN" {
		t.Errorf("passwords and tokens: %q", got)
	}
}

// once is a login method for proofs that may be used once. The proof is the text of the header.
type once struct {
	spent *login.Spent
	clock *testclock.Clock
	// meet, if set, is called after it was found that the proof is not spent.
	meet func()
}

func (*once) Name() string { return "once" }

func (*once) Challenge() string { return "SIGN" }

func (m *once) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.Assertion)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	id := c.Authorization.Reveal()
	if m.spent.Has(login.NewSpentID("test", "issuer", id)) {
		return session.Grant{}, login.ErrRejected
	}
	if m.meet != nil {
		m.meet()
	}
	return session.Grant{
		Identity: session.Identity{Name: principal.Name{Domain: "CORP", User: "carl"}},
		Scope:    session.Scope{Domain: "CORP"},
		Changes:  []store.Change{login.Spend("test", "issuer", id, m.clock.Now().Add(time.Minute))},
	}, nil
}

// onceNode is a node whose gate takes proofs once.
func onceNode(t *testing.T, s store.Store, clock *testclock.Clock, meet func()) *node {
	t.Helper()
	return newNode(t, s, clock, func(d *domain.Domain, o *login.GateOptions) {
		o.Methods = append(o.Methods, &once{d.Spent, clock, meet})
	})
}

func proof(id string) login.Assertion { return login.Assertion{Authorization: secret.New(id)} }

func TestAProofThatWasSpentIsRefusedOnAllNodesAndAfterARestart(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	n := onceNode(t, s, clock, nil)
	if _, err := n.login(proof("a")); !errors.Is(err, login.ErrNoAccess) {
		t.Fatalf("without a role: %v", err)
	}
	n.permit(t, principal.Name{Domain: "CORP", User: "carl"})
	if _, err := n.login(proof("a")); err != nil {
		t.Fatalf("a refused login has spent the proof: %v", err)
	}
	if _, err := n.login(proof("a")); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := n.login(proof("b")); err != nil {
		t.Errorf("another proof: %v", err)
	}
	// Another node on the store is also what this node is after a restart.
	other := onceNode(t, s, clock, nil)
	for _, id := range []string{"a", "b"} {
		if _, err := other.login(proof(id)); !errors.Is(err, login.ErrRejected) {
			t.Errorf("on another node: %v", err)
		}
	}
	if _, err := other.login(proof("c")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.login(proof("c")); !errors.Is(err, login.ErrRejected) {
		t.Errorf("spent on the other node: %v", err)
	}
	clock.Advance(time.Minute)
	if removed, err := n.Mirror.Sweep(t.Context(), 10, store.Spent); err != nil || removed != 3 {
		t.Errorf("%d records were swept, %v", removed, err)
	}
	if err := n.Mirror.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.Spent.Has(login.NewSpentID("test", "issuer", "a")) {
		t.Error("a proof is remembered after its end")
	}
}

func TestOfTwoNodesThatGetOneProofAtTheSameTimeOneWins(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	// Both methods find the proof unspent before any commit.
	var met sync.WaitGroup
	met.Add(2)
	nodes := make([]*node, 2)
	for i := range nodes {
		meet := sync.OnceFunc(func() {
			met.Done()
			met.Wait()
		})
		nodes[i] = onceNode(t, s, clock, meet)
	}
	nodes[0].permit(t, principal.Name{Domain: "CORP", User: "carl"})
	results := make(chan error, len(nodes))
	for _, n := range nodes {
		go func() {
			_, err := n.login(proof("a"))
			results <- err
		}()
	}
	first, second := <-results, <-results
	if first != nil {
		first, second = second, first
	}
	if first != nil || !errors.Is(second, login.ErrRejected) {
		t.Errorf("one got %v, the other %v", first, second)
	}
}

func TestPartsOfASpentIDCantBeMistakenForOneAnother(t *testing.T) {
	ids := map[login.SpentID][3]string{}
	for _, p := range [][3]string{
		{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "b\x00", "c"},
	} {
		id := login.NewSpentID(p[0], p[1], p[2])
		if same, ok := ids[id]; ok {
			t.Errorf("%q and %q have one id", same, p)
		}
		ids[id] = p
	}
}
