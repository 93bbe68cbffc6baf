package identity

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
	"github.com/vigate/vigate/test/etcd/member"
)

// lenient are settings with which the failed logins of a test lock nobody.
const lenient = "lockout-failures: 10000\nlockout-user-failures: 10000\nlockout-address-failures: 10000\n"

// recorder keeps the last request of a client.
type recorder struct {
	http.RoundTripper
	last request
}

// RoundTrip is part of http.RoundTripper.
func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	r.last = request{q.URL.Path, q.URL.Host, q.Header.Clone(), string(b)}
	q.Body = io.NopCloser(bytes.NewReader(b))
	return r.RoundTripper.RoundTrip(q)
}

// govmomi logs in with a token by govmomi's client. It returns the name of the session's user, and the
// request of the login.
func (n *node) govmomi(signer *sts.Signer) (string, request) {
	n.t.Helper()
	sc := soap.NewClient(&url.URL{Scheme: "https", Host: n.address, Path: "/sdk"}, true)
	c, err := vim25.NewClient(n.t.Context(), sc)
	if err != nil {
		n.t.Fatal(err)
	}
	r := &recorder{RoundTripper: c.Client.Transport}
	c.Client.Transport = r
	m := session.NewManager(c)
	if err := m.LoginByToken(c.WithHeader(n.t.Context(), soap.Header{Security: signer})); err != nil {
		n.t.Fatalf("govmomi: %v", err)
	}
	login := r.last
	s, err := m.UserSession(n.t.Context())
	if err != nil || s == nil {
		n.t.Fatalf("govmomi: %v, %v", s, err)
	}
	return s.UserName, login
}

// proof is a login that a server accepts once.
type proof struct {
	name string
	request
}

// proofs returns new logins for a server: a bearer token, a holder-of-key token with a proof, and, if k
// is not nil, a ticket with an authenticator.
func (n *node) proofs(i samltest.Issuer, k *kdc) []proof {
	n.t.Helper()
	key := xmlsigtest.NewKey(n.t, "client")
	now := time.Now()
	held := i.Token(n.t, i.HolderOfKey(now, key.Cert))
	host, port, _ := strings.Cut(n.plain, ":")
	r := saml.Request{Method: http.MethodPost, Target: "/api/session", Host: n.plain}
	bound := signed(samltest.Proved(n.t, held, key.PrivateKey, now, r, host, port))
	bound.host = n.plain
	all := []proof{
		{"bearer token", signed(samltest.Header(i.Token(n.t, i.Bearer(now))))},
		{"proof of a key", bound},
	}
	if k != nil {
		all = append(all, proof{"ticket", viJSON("SessionManager/SessionManager/LoginBySSPI", "",
			fmt.Sprintf(`{"base64Token":%q}`, base64.StdEncoding.EncodeToString(k.token("spnego"))))})
	}
	return all
}

// accepts checks that each login is accepted.
func (n *node) accepts(when string, all []proof) {
	n.t.Helper()
	for _, p := range all {
		if a := n.send(p.request); a.status != http.StatusCreated && a.status != http.StatusOK {
			n.t.Errorf("%s, %s: %d %s", p.name, when, a.status, a.body)
		}
	}
}

// refuses checks that each login is refused as one with a wrong credential.
func (n *node) refuses(when string, all []proof) {
	n.t.Helper()
	for _, p := range all {
		a := n.send(p.request)
		refused := a.status == http.StatusInternalServerError && strings.Contains(a.body, "InvalidLogin")
		if p.path == "/api/session" {
			refused = a.status == http.StatusUnauthorized && strings.Contains(a.body, "UNAUTHENTICATED")
		}
		if !refused {
			n.t.Errorf("%s, %s: %d %s", p.name, when, a.status, a.body)
		}
	}
}

func TestAProgramWithEverySourceLogsInByEachAndTakesAProofOnceAlsoAfterACrash(t *testing.T) {
	k, p := newKDC(t), newProvider(t)
	issuer, source := samlSource(t)
	n := newNode(t, configuration(t, lenient, source, p.source(), k.source()))
	n.permit(kerberosUser, oidcUser, samlUser)

	token := p.idToken()
	if out := python(t, nil, "testdata/bearer.py", n.port(), token); strings.Count(out, "session of "+oidcUser) != 2 {
		t.Errorf("pyVmomi by a JWT: %s", out)
	}
	if a := n.send(signed("Bearer " + token)); a.status != http.StatusCreated {
		t.Errorf("Automation API by a JWT: %d %s", a.status, a.body)
	}
	if out := python(t, k.env, "testdata/kerberos.py", "spnego", n.port()); out != "session of "+kerberosUser {
		t.Errorf("pyVmomi by a ticket: %s", out)
	}
	now := time.Now()
	key := xmlsigtest.NewKey(t, "client")
	who, bearer := n.govmomi(&sts.Signer{Token: issuer.Token(t, issuer.Bearer(now))})
	if who != samlUser {
		t.Errorf("govmomi by a bearer token: %s", who)
	}
	who, bound := n.govmomi(&sts.Signer{
		Token:       issuer.Token(t, issuer.HolderOfKey(now, key.Cert)),
		Certificate: &tls.Certificate{Certificate: [][]byte{key.Cert.Raw}, PrivateKey: key.PrivateKey},
	})
	if who != samlUser {
		t.Errorf("govmomi by a holder-of-key token: %s", who)
	}
	spent := n.proofs(issuer, k)
	n.accepts("new", spent)
	spent = append(spent, proof{"bearer token in a message", bearer}, proof{"signed message", bound})
	n.refuses("again", spent)
	n.crash()
	n.refuses("after a crash", spent)
	n.accepts("new, after a crash", n.proofs(issuer, k))
}

// A stranger that knows the name of a user can't lock the user out with tokens that it makes itself.
func TestAForeignTokenCountsForItsAddressOnly(t *testing.T) {
	issuer, source := samlSource(t)
	const failures = 8
	n := newNode(t, configuration(t, fmt.Sprintf("lockout-failures: 2\nlockout-user-failures: 2\n"+
		"lockout-address-failures: %d\n", failures), source))
	n.permit(samlUser)
	forger, other := loopback("127.0.0.2"), loopback("127.0.0.3")
	t.Cleanup(forger.CloseIdleConnections)
	t.Cleanup(other.CloseIdleConnections)
	foreign := samltest.NewIssuer(t, "https://other.example", "saml.example")
	forged := issuer
	forged.Signer = foreign.Signer
	good := func() request { return signed(samltest.Header(issuer.Token(t, issuer.Bearer(time.Now())))) }
	if a := n.sendBy(forger, good()); a.status != http.StatusCreated {
		t.Fatalf("a good token: %d %s", a.status, a.body)
	}
	for i := range failures {
		by := []samltest.Issuer{foreign, forged}[i%2]
		r := signed(samltest.Header(by.Token(t, by.Bearer(time.Now()))))
		if a := n.sendBy(forger, r); a.status != http.StatusUnauthorized {
			t.Errorf("a token of %s with a foreign key: %d %s", by.Name, a.status, a.body)
		}
	}
	if a := n.sendBy(forger, good()); a.status != http.StatusUnauthorized {
		t.Errorf("a good token from the forger's address: %d %s", a.status, a.body)
	}
	if a := n.sendBy(other, good()); a.status != http.StatusCreated {
		t.Errorf("a good token from another address: %d %s", a.status, a.body)
	}
}

// etcd builds etcd below the directory of all tests and returns its path.
var etcd = sync.OnceValues(func() (string, error) { return member.Build("../etcd", bin) })

func TestOfTwoNodesOneTakesATokenAndBothRefuseItAfterwards(t *testing.T) {
	path, err := etcd()
	if err != nil {
		t.Fatal(err)
	}
	m := member.Started(t, path, 1, member.Options{})[0]
	issuer, source := samlSource(t)
	k := newKDC(t)
	file := configuration(t, lenient, source, k.source())
	var nodes [2]*node
	for i := range nodes {
		nodes[i] = newNode(t, file, "--store", "etcd://"+m.Endpoint+"/vigate", "--node-name", fmt.Sprint("n", i),
			"--etcd-start-timeout", "5m")
	}
	nodes[0].permit(samlUser, kerberosUser)

	const rounds = 10
	for round := range rounds {
		p := nodes[0].proofs(issuer, nil)[0]
		var answers [2]answer
		var errs [2]error
		begin := make(chan struct{})
		var wg sync.WaitGroup
		for i, n := range nodes {
			wg.Go(func() {
				<-begin
				answers[i], errs[i] = n.try(n.transport, p.request)
			})
		}
		close(begin)
		wg.Wait()
		won := 0
		for i, a := range answers {
			switch {
			case errs[i] != nil:
				t.Fatal(errs[i])
			case a.status == http.StatusCreated:
				won++
			case a.status != http.StatusUnauthorized:
				t.Errorf("round %d, node %d: %d %s", round, i, a.status, a.body)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d nodes took the same token", round, won)
		}
		for _, n := range nodes {
			n.refuses("after both nodes got it", []proof{p})
		}
	}
	spent := nodes[0].proofs(issuer, k)
	nodes[0].accepts("new", spent)
	nodes[1].refuses("on another node", spent)
	nodes[1].crash()
	nodes[1].refuses("on another node after its crash", spent)
	nodes[1].accepts("new on the other node", nodes[1].proofs(issuer, k))
}
