// Package sspi is the login method of LoginBySSPI: Kerberos, alone or negotiated by SPNEGO.
//
// [Method] verifies the ticket of a client with the keys of a keytab file. It asks no KDC. A client
// that offers NTLM first and Kerberos as well is asked for Kerberos. NTLM is never accepted, nor are
// keys of other types than AES: RC4 and DES are too weak.
//
// A ticket is used for many logins, but each login needs an authenticator of its own. The commit that
// starts the session spends the authenticator, so that nobody can use a recorded login, on any node.
//
// The package does not answer the client's request for mutual authentication, because the result of
// LoginBySSPI has no place for the answer: the server proves its identity by TLS. It does not read the
// groups in the tickets of Active Directory.
package sspi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// DefaultSkew is how much the clocks of a client and of this server may differ.
const DefaultSkew = time.Minute

// maxToken is the length of the longest token, in bytes. It is the maximum of Windows.
const maxToken = 65_535

// Service is a service of Kerberos: this server.
type Service struct {
	// Keytab is the file with the keys of the service. Every principal in it is a name of the service,
	// for example HTTP/vigate.corp.example. Only the account of the server, and root, may be able to
	// change it. It is read again when it changes.
	Keytab string
	// Realms maps the realms of clients to the domains of their principals. A client of another realm
	// is rejected. The names of realms are case-sensitive.
	//
	// The KDC of a realm that has a key in the keytab alone speaks for the users of its realm. It also
	// speaks for those of the other realms that have no key there: Kerberos trusts it to check them.
	Realms map[string]string
	// Skew is how much the clocks of a client and of this server may differ. If it is 0, it is
	// DefaultSkew.
	Skew time.Duration
}

// Method is the login method by Kerberos. It is safe for concurrent use. Use New to make one.
type Method struct {
	keys   *keytabFile
	realms map[string]string // domains in upper case
	skew   time.Duration
	spent  *login.Spent
	now    func() time.Time
}

// New returns the method for the service. It returns an error if the keytab can't be read, has no key
// that can be used, or other accounts could change it. Attach must be called before the first login. If now
// is nil, it is time.Now; if logger is nil, it is slog.Default().
func New(s Service, now func() time.Time, logger *slog.Logger) (*Method, error) {
	if now == nil {
		now = time.Now
	}
	if logger == nil {
		logger = slog.Default()
	}
	if s.Skew == 0 {
		s.Skew = DefaultSkew
	}
	m := &Method{realms: map[string]string{}, skew: s.Skew, now: now}
	if len(s.Realms) == 0 || s.Skew < 0 {
		return nil, errors.New("use Kerberos: there is no realm, or the skew of clocks is negative")
	}
	for realm, domain := range s.Realms {
		if realm == "" || domain == "" || strings.ContainsAny(domain, `\@`) {
			return nil, fmt.Errorf("use Kerberos: the realm %q or its domain %q is not a name", realm, domain)
		}
		m.realms[realm] = strings.ToUpper(domain)
	}
	var err error
	m.keys, err = openKeytab(s.Keytab, now, logger)
	return m, err
}

// Attach sets what shows the authenticators that were used before. It must be called once.
func (m *Method) Attach(spent *login.Spent) { m.spent = spent }

// Name is part of login.Method.
func (*Method) Name() string { return "kerberos" }

// Challenge is part of login.Method. LoginBySSPI does not use the HTTP scheme Negotiate.
func (*Method) Challenge() string { return "" }

// Authenticate is part of login.Method. It returns *login.Continue if the client offers Kerberos, but
// did not send a token of it.
func (m *Method) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.SSPI)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	token := c.Token.Reveal()
	if len(token) > maxToken {
		return session.Grant{}, rejected(fmt.Errorf("the token has more than %d bytes", maxToken))
	}
	request, answer, err := negotiate(token)
	if err != nil {
		return session.Grant{}, rejected(err)
	}
	if answer != nil {
		return session.Grant{}, &login.Continue{Token: secret.NewBytes(answer)}
	}
	p, err := m.verify(request, a.Peer)
	if err != nil {
		return session.Grant{}, rejected(err)
	}
	name, err := m.principal(p.realm, p.client)
	if err != nil {
		return session.Grant{}, rejected(err)
	}
	if m.spent.Has(login.NewSpentID(spentKind, p.realm, p.authenticator)) {
		return session.Grant{}, rejected(errors.New("the authenticator was used already"))
	}
	// A server whose clock is behind by the skew must find the record as long as it would accept the
	// authenticator.
	spend := login.Spend(spentKind, p.realm, p.authenticator, p.made.Add(2*m.skew))
	return session.Grant{
		Identity: session.Identity{Name: name}, Scope: session.Scope{Domain: name.Domain},
		Changes: []store.Change{spend},
	}, nil
}

// spentKind distinguishes authenticators from other proofs that are used once.
const spentKind = "kerberos"

// rejected is the error of a token that is not good.
func rejected(cause error) error {
	return fmt.Errorf("verify ticket: %w: %w", login.ErrRejected, cause)
}

// principal returns the principal that the client of a realm is here. A client with an instance, such as
// ann/admin or host/node1, is rejected: it is not a user of the realm's directory, which therefore could
// not disable it.
func (m *Method) principal(realm string, client []string) (principal.Name, error) {
	domain := m.realms[realm]
	if domain == "" {
		return principal.Name{}, fmt.Errorf("the realm %.128q is not configured", realm)
	}
	// A slash in a part of the name would look like an instance.
	if len(client) != 1 || strings.Contains(client[0], "/") {
		return principal.Name{}, errors.New("the client has an instance: only users can log in")
	}
	if err := principal.CheckNew(client[0], principal.MaxLength-len(domain)-1); err != nil {
		return principal.Name{}, err
	}
	return principal.Name{Domain: domain, User: client[0]}, nil
}

// guarded calls f. A panic of the library on what a client has sent is an error.
func guarded(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: the library failed", what)
		}
	}()
	return f()
}

var _ login.Method = (*Method)(nil)
