package samltoken_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/samltoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

func TestATokenLogsInByAMessageAndByAHeader(t *testing.T) {
	f := newFixture(t)
	f.good("bearer in a message", bearer(f.bearerToken()))
	f.good("bearer in a header", header(samltest.Header(f.bearerToken())))
	f.good("bearer in a header without quotes", header("SIGN token="+samltest.Compressed(f.bearerToken())))
	token := f.keyToken()
	f.good("holder of key in a message", f.signed(token))
	f.good("holder of key in a header", f.proved(token))
	l, err := f.login(bearer(f.bearerToken()))
	if err != nil {
		t.Fatal(err)
	}
	i := l.Session().Identity
	if i.FullName != "Ann Example" || !slices.Equal(i.Groups, []string{`CORP.EXAMPLE\Admins`,
		`CORP.EXAMPLE\Users`}) || i.Extension {
		t.Errorf("%+v", i)
	}
	if f.method.Challenge() != "SIGN" {
		t.Errorf("the challenge is %s", f.method.Challenge())
	}
}

func TestOtherCredentialsAreNotTheMethods(t *testing.T) {
	f := newFixture(t)
	for what, c := range map[string]login.Credential{
		"password": login.Password{User: "ann"}, "nothing": login.Assertion{},
		"JSON Web Token": login.Assertion{Authorization: secret.New("Bearer x")},
	} {
		if _, err := f.method.Authenticate(t.Context(), login.Attempt{Credential: c}); !errors.Is(err,
			login.ErrNotMine) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c := bearer(f.bearerToken())
	c.Authorization = secret.New("Basic x")
	f.good("a token beside another scheme", c)
	c = bearer(f.bearerToken())
	c.Authorization = secret.New(samltest.Header(f.bearerToken()))
	f.refused("two tokens", c)
}

func TestABearerTokenIsSpentOnce(t *testing.T) {
	f := newFixture(t)
	token := f.bearerToken()
	f.good("first", bearer(token))
	f.refused("again in a message", bearer(token))
	f.refused("again in a header", header(samltest.Header(token)))
	other := f.start() // another node, or this one after a restart
	if _, err := other.login(bearer(token)); !errors.Is(err, login.ErrRejected) {
		t.Errorf("on another node: %v", err)
	}
	f.good("another token", bearer(f.bearerToken()))
}

func TestABearerTokenIsReusedIfThatIsAllowed(t *testing.T) {
	f := newFixture(t, func(o *samltoken.Options) { o.BearerReuse = true })
	token := f.bearerToken()
	f.good("first", bearer(token))
	f.good("again", header(samltest.Header(token)))
	f.clock.Advance(5*time.Minute + samltoken.DefaultSkew)
	f.refused("after its end", bearer(token))
}

// Of many logins with one token on two nodes, one succeeds.
func TestOneOfManyUsesAtTheSameTimeWins(t *testing.T) {
	f := newFixture(t)
	nodes := []*node{f.node, f.start()}
	for what, c := range map[string]login.Assertion{"token": bearer(f.bearerToken()), "proof": f.signed(f.keyToken())} {
		var group sync.WaitGroup
		results := make([]error, 8)
		for i := range results {
			group.Go(func() { _, results[i] = nodes[i%2].login(c) })
		}
		group.Wait()
		won := 0
		for _, err := range results {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, login.ErrRejected):
				t.Errorf("%s: %v", what, err)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d logins", what, won)
		}
	}
}

func TestAHolderOfKeyTokenIsUsedOftenAndEachProofOnce(t *testing.T) {
	f := newFixture(t)
	token := f.keyToken()
	other := f.start()
	for what, proof := range map[string]func(string) login.Assertion{"message": f.signed, "header": f.proved} {
		c := proof(token)
		f.good(what, c)
		f.refused(what+" again", c)
		if _, err := other.login(c); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s on another node: %v", what, err)
		}
		f.clock.Advance(time.Second)
		f.good("another "+what, proof(token))
	}
	f.clock.Advance(time.Hour + samltoken.DefaultSkew)
	f.refused("after its end", f.signed(token))
}

// The signature of a message does not cover the token. A proof must not count again with another token
// for the same key.
func TestAProofIsSpentForAllTokensOfItsKey(t *testing.T) {
	f := newFixture(t)
	first, renewed := f.keyToken(), f.keyToken()
	text := samltest.Signed(t, f.client.PrivateKey, f.clock.Now(), first)
	f.good("first", message(text))
	f.refused("with a renewed token", message(strings.Replace(text, first, renewed, 1)))
	f.clock.Advance(time.Second)
	f.good("a new proof", f.signed(renewed))
}

func TestATokenForOneUseIsSpentAlthoughItHasAKey(t *testing.T) {
	f := newFixture(t, func(o *samltoken.Options) { o.BearerReuse = true })
	for what, token := range map[string]string{"key": f.keyToken(), "bearer": f.bearerToken()} {
		_, bare := samltest.Cut(t, token, "<ds:Signature ", "</ds:Signature>")
		once := strings.Replace(bare, "</saml2:Conditions>",
			"<saml2:OneTimeUse></saml2:OneTimeUse></saml2:Conditions>", 1)
		b, err := f.issuer.Signer.SignEnveloped([]byte(once), "xs xsi")
		if err != nil {
			t.Fatal(err)
		}
		f.good(what, f.signed(string(b)))
		f.clock.Advance(time.Second)
		f.refused(what+" again", f.signed(string(b)))
	}
}

// A record of what was spent is kept until it can't be accepted any more by its time.
func TestWhatIsSpentIsKeptUntilItHasExpired(t *testing.T) {
	f := newFixture(t)
	for what, c := range map[string]login.Assertion{
		"bearer": bearer(f.bearerToken()), "message": f.signed(f.keyToken()), "header": f.proved(f.keyToken()),
	} {
		g, err := f.method.Authenticate(t.Context(), login.Attempt{Credential: c})
		if err != nil || len(g.Changes) != 1 {
			t.Fatalf("%s: %v", what, err)
		}
		end := g.Changes[0].Record.Expires
		if end.Before(f.clock.Now().Add(time.Minute + samltoken.DefaultSkew)) {
			t.Errorf("%s: is kept until %v", what, end)
		}
		at := f.clock.Now()
		f.clock.Set(end)
		f.refused(what+" when its record ends", c)
		f.clock.Set(at)
	}
}

func TestARefusedLoginSpendsNothing(t *testing.T) {
	f := newFixture(t)
	stranger := principal.Name{Domain: "CORP.EXAMPLE", User: "stranger"}
	token := f.bearerToken(func(a *saml.Assertion) { a.Subject = stranger; a.Groups = nil })
	if _, err := f.login(bearer(token)); !errors.Is(err, login.ErrNoAccess) {
		t.Fatal(err)
	}
	f.permit(stranger)
	if _, err := f.login(bearer(token)); err != nil {
		t.Errorf("after the permission: %v", err)
	}
}

func TestATokenIsRefused(t *testing.T) {
	f := newFixture(t)
	other, now := xmlsigtest.NewKey(t, "other"), f.clock.Now()
	past, future := now.Add(-2*time.Minute), now.Add(2*time.Minute)
	stranger := samltest.NewIssuer(t, "stranger", "corp.example")
	forged := stranger.Bearer(now)
	forged.Issuer = f.issuer.Name
	edited := func(edit func(*saml.Assertion)) login.Assertion { return bearer(f.bearerToken(edit)) }
	signed := func(key xmlsigtest.Key, at time.Duration) login.Assertion {
		return message(samltest.Signed(t, key.PrivateKey, now.Add(at), f.keyToken()))
	}
	proved := func(key xmlsigtest.Key, at time.Duration, host string) login.Assertion {
		return header(samltest.Proved(t, f.keyToken(), key.PrivateKey, now.Add(at), request, host, "80"))
	}
	plain := func(security string) login.Assertion { return message(samltest.Message(security, samltest.Operation)) }
	for what, c := range map[string]login.Assertion{
		"holder of key as bearer in a message": bearer(f.keyToken()),
		"holder of key as bearer in a header":  header(samltest.Header(f.keyToken())),
		"holder of key with a Timestamp alone": plain(samltest.Timestamp(now) + f.keyToken()),
		"another key in a message":             signed(other, 0),
		"another key in a header":              proved(other, 0, "vc.example"),
		"a proof for another host":             proved(f.client, 0, "other"),
		"a proof for another path":             f.forPath("/rest/com/vmware/cis/session"),
		"an old proof in a message":            signed(f.client, -2*time.Minute),
		"an old proof in a header":             proved(f.client, -3*time.Minute, "vc.example"),
		"a proof of the future":                signed(f.client, 2*time.Minute),
		"expired":                              edited(func(a *saml.Assertion) { a.NotOnOrAfter = past }),
		"early":                                edited(func(a *saml.Assertion) { a.NotBefore = future }),
		"issued long ago":                      edited(func(a *saml.Assertion) { a.Issued = now.Add(-time.Hour) }),
		"another domain":                       edited(func(a *saml.Assertion) { a.Subject.Domain = "VSPHERE.LOCAL" }),
		"the domain of the " +
			"system": edited(func(a *saml.Assertion) { a.Subject.Domain = principal.SystemDomain }),
		"a name that nobody can have":   edited(func(a *saml.Assertion) { a.Subject.User = "a(b)" }),
		"a stranger's key":              bearer(stranger.Token(t, forged)),
		"an unknown issuer":             bearer(stranger.Token(t, stranger.Bearer(now))),
		"a stale Timestamp of a bearer": plain(samltest.Timestamp(now.Add(-time.Hour)) + f.bearerToken()),
		"a signed bearer without a Timestamp": message(strings.Replace(f.signedBearer(), samltest.Timestamp(now), "",
			1)),
		"no assertion": plain(samltest.Timestamp(now)),
		"a password": plain("<wsse:UsernameToken><wsse:Username>a</wsse:Username><" +
			"/wsse:UsernameToken>"),
		"another operation": message(samltest.Message(f.bearerToken(),
			`<Logout xmlns="urn:vim25"/>`)),
		"no message":                   message("x"),
		"a header without a token":     header("SIGN nonce=1"),
		"a header with something else": header(samltest.Header("<a/>")),
		"a bomb":                       header(samltest.Header(strings.Repeat(" ", 64<<20))),
		"a comment in the name":        bearer(strings.ReplaceAll(f.bearerToken(), "ann@", "ann<!-- -->@")),
		"a name changed":               bearer(strings.ReplaceAll(f.bearerToken(), "ann@", "administrator@")),
		"a document type": message("<!DOCTYPE x>" + samltest.Message(f.bearerToken(),
			samltest.Operation)),
		"another audience":                 bearer(f.forAudience("https://other.example")),
		"an audience, without a name here": bearer(f.forAudience("https://vigate.example")),
	} {
		f.refused(what, c)
	}
}

// forPath is a proof for another path than the request's.
func (f *fixture) forPath(path string) login.Assertion {
	other := request
	other.Target = path
	return header(samltest.Proved(f.t, f.keyToken(), f.client.PrivateKey, f.clock.Now(), other, "vc.example", "80"))
}

// signedBearer is a message with a bearer token and the signature of a key that nobody knows.
func (f *fixture) signedBearer() string {
	return samltest.Signed(f.t, f.client.PrivateKey, f.clock.Now(), f.bearerToken())
}

func (f *fixture) forAudience(name string) string {
	_, bare := samltest.Cut(f.t, f.bearerToken(), "<ds:Signature ", "</ds:Signature>")
	restricted := strings.Replace(bare, "</saml2:Conditions>", "<saml2:AudienceRestriction><saml2:Audience>"+name+
		"</saml2:Audience></saml2:AudienceRestriction></saml2:Conditions>", 1)
	b, err := f.issuer.Signer.SignEnveloped([]byte(restricted), "xs xsi")
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

func TestTheAudienceOfAnIssuerIsRequired(t *testing.T) {
	f := newFixture(t, func(o *samltoken.Options) { o.Issuers[0].Audience = "https://vigate.example" })
	f.good("named", bearer(f.forAudience("https://vigate.example")))
	f.refused("another", bearer(f.forAudience("https://other.example")))
	f.refused("none", bearer(f.bearerToken()))
}

// govc signs the message of a bearer token if it has a key. There is no key to verify it with.
func TestASuperfluousSignatureOfABearerIsIgnored(t *testing.T) {
	f := newFixture(t)
	f.good("message", message(f.signedBearer()))
	f.good("header", f.proved(f.bearerToken()))
}

func TestWithoutATrustedIssuerNothingIsAccepted(t *testing.T) {
	f := newFixture(t, func(o *samltoken.Options) { o.Issuers = nil })
	f.refused("bearer", bearer(f.bearerToken()))
	f.refused("holder of key", f.proved(f.keyToken()))
}

func TestGroupsOfOtherDomainsAndSolutionUsersOfOtherIssuersDoNotCount(t *testing.T) {
	f := newFixture(t)
	l, err := f.login(bearer(f.bearerToken(func(a *saml.Assertion) {
		a.Solution = true
		a.Groups = append(a.Groups, principal.Name{Domain: "VSPHERE.LOCAL", User: "Administrators"},
			principal.Name{Domain: "CORP.EXAMPLE", User: "a(b)"})
	})))
	if err != nil {
		t.Fatal(err)
	}
	if i := l.Session().Identity; i.Extension || len(i.Groups) != 2 || i.Name != ann {
		t.Errorf("%+v", i)
	}
}

func TestASessionEndsWhenTheIssuerSaysSo(t *testing.T) {
	f := newFixture(t)
	_, bare := samltest.Cut(t, f.bearerToken(), "<ds:Signature ", "</ds:Signature>")
	end := f.clock.Now().Add(20 * time.Minute)
	changed := strings.Replace(bare, "AuthnInstant=",
		`SessionNotOnOrAfter="`+end.Format(time.RFC3339)+`" AuthnInstant=`, 1)
	b, err := f.issuer.Signer.SignEnveloped([]byte(changed), "xs xsi")
	if err != nil {
		t.Fatal(err)
	}
	l, err := f.login(bearer(string(b)))
	if err != nil || !l.Session().Deadline.Equal(end) {
		t.Errorf("%v", err)
	}
}

// own is a token service of the server's own.
func (f *fixture) own(o *samltoken.Options) samltest.Issuer {
	sts := samltest.NewIssuer(f.t, "https://vc.example/websso/SAML2/Metadata/vsphere.local", "")
	o.Own = func(name string) []saml.Issuer {
		if name != sts.Name {
			return nil
		}
		return []saml.Issuer{sts.Issuer}
	}
	return sts
}

func TestTokensOfTheServersOwnServiceNameUsersOfEveryDomain(t *testing.T) {
	f := newFixture(t)
	var sts samltest.Issuer
	f.node = f.start(func(o *samltoken.Options) { sts = f.own(o) })
	extension := principal.Extension("com.example.ext")
	administrator := principal.Name{Domain: "VSPHERE.LOCAL", User: "Administrator"}
	for _, c := range []struct {
		subject, want principal.Name
		solution      bool
	}{
		{administrator, administrator, false}, {ann, ann, false},
		{principal.Name{Domain: "VSPHERE.LOCAL", User: extension.User}, extension, true},
	} {
		a := sts.Bearer(f.clock.Now())
		a.Subject, a.Solution, a.Groups = c.subject, c.solution, []principal.Name{{Domain: "VSPHERE.LOCAL",
			User: "Users"}}
		g, err := f.method.Authenticate(t.Context(), login.Attempt{Credential: bearer(sts.Token(t, a))})
		if err != nil || !g.Identity.Name.Equal(c.want) || g.Identity.Extension != c.solution ||
			g.Scope != (session.Scope{Proved: true}) {
			t.Errorf("%v: %v: %+v", c.subject, err, g)
		}
	}
	a := sts.Bearer(f.clock.Now())
	a.Subject, a.Groups = administrator, nil
	if l, err := f.login(bearer(sts.Token(t, a))); err != nil || !l.Session().Identity.Name.Equal(administrator) {
		t.Errorf("the administrator: %v", err)
	}
	// Another issuer must not use the name of our own.
	b := f.issuer.Bearer(f.clock.Now())
	b.Issuer = sts.Name
	f.refused("a trusted issuer in our name", bearer(f.issuer.Token(t, b)))
	f.good("the other issuer", bearer(f.bearerToken()))
}

func TestTheSubjectOfAnOwnTokenIsConfirmed(t *testing.T) {
	f := newFixture(t)
	var sts samltest.Issuer
	gone := false
	f.node = f.start(func(o *samltoken.Options) {
		sts = f.own(o)
		o.Confirm = func(_ context.Context, a *saml.Assertion) (session.Grant, error) {
			if gone {
				return session.Grant{}, login.ErrRejected
			}
			return session.Grant{
				Identity: session.Identity{Name: a.Subject, FullName: "as it is now"},
				Scope:    session.Scope{Proved: true},
				Changes:  []store.Change{f.Events.Change(event.Event{Type: "EventEx", ID: "test.confirmed"})},
			}, nil
		}
	})
	a := sts.Bearer(f.clock.Now())
	a.Subject, a.Groups = ann, nil
	token := sts.Token(t, a)
	gone = true
	f.refused("a user who is gone", bearer(token))
	gone = false
	l, err := f.login(bearer(token))
	if err != nil || l.Session().Identity.FullName != "as it is now" {
		t.Errorf("%v", err)
	}
	if n := len(f.Events.Query(event.Filter{IDs: []string{"test.confirmed"}})); n != 1 {
		t.Errorf("%d changes of the grant are committed", n)
	}
	f.refused("spent all the same", bearer(token))
}

func TestAnIssuerThatCanNotBeUsedIsNotTaken(t *testing.T) {
	good := samltest.NewIssuer(t, "good", "corp.example").Issuer
	for what, edit := range map[string]func(*samltoken.Options){
		"no name":         func(o *samltoken.Options) { o.Issuers[0].Name = "" },
		"no certificates": func(o *samltoken.Options) { o.Issuers[0].Certificates = nil },
		"no domain":       func(o *samltoken.Options) { o.Issuers[0].Domain = "" },
		"odd domain":      func(o *samltoken.Options) { o.Issuers[0].Domain = "a@b" },
		"no memory":       func(o *samltoken.Options) { o.Spent = nil },
	} {
		o := samltoken.Options{Issuers: []saml.Issuer{good}, Spent: &login.Spent{}}
		edit(&o)
		if _, err := samltoken.New(o); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// Others verify their tokens while one network, or many that are locked, send more than can be verified.
func TestNetworksTakeTurnsToHaveTheirTokensVerified(t *testing.T) {
	turns := budget.NewTurns(1)
	f := newFixture(t, func(o *samltoken.Options) { o.Turns = turns })
	if err := turns.Acquire(t.Context(), "somebody", 1); err != nil { // a verification that takes long
		t.Fatal(err)
	}
	attempt := func(address string, behind bool) login.Attempt {
		return login.Attempt{Credential: header(samltest.Header("<no token>")), Peer: peer.Peer{Address: address},
			Behind: behind}
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	flood := func(from func(i int) string, behind bool) {
		for i := range budget.MaxWaitingEach {
			wg.Go(func() {
				if _, err := f.method.Authenticate(ctx, attempt(from(i), behind)); !errors.Is(err, context.Canceled) {
					t.Errorf("a token of a flood: %v", err)
				}
			})
		}
	}
	flood(func(int) string { return "192.0.2.1" }, false)
	flood(func(i int) string { return fmt.Sprintf("198.51.100.%d", i) }, true)
	await := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
			if _, waiting := turns.Load(); waiting == want {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("%d wait, want %d", waiting, want)
			}
		}
	}
	await(2 * budget.MaxWaitingEach)
	for what, a := range map[string]login.Attempt{
		"one more of the network": attempt("192.0.2.1", false), "another locked network": attempt("203.0.113.7", true),
	} {
		if _, err := f.method.Authenticate(t.Context(), a); !errors.Is(err, login.ErrBusy) {
			t.Errorf("%s: %v", what, err)
		}
	}
	got := make(chan error, 1)
	good := bearer(f.bearerToken())
	go func() {
		_, err := f.method.Authenticate(t.Context(), login.Attempt{
			Credential: good, Peer: peer.Peer{Address: "203.0.113.1"},
		})
		got <- err
	}()
	await(2*budget.MaxWaitingEach + 1)
	stop()
	wg.Wait()
	turns.Release()
	if err := <-got; err != nil {
		t.Errorf("a good token of another network: %v", err)
	}
}
