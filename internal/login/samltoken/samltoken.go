// Package samltoken is the login method by SAML tokens, as LoginByToken and the Automation API take
// them: in the WS-Security header of a SOAP message, or in the header Authorization with the scheme
// SIGN.
//
// [Method] accepts the tokens of the configured issuers and of the server's own token service. It
// takes a bearer token once, unless Options.BearerReuse is set. A holder-of-key token can be used
// until it expires, as clients of vCenter do, but each proof of its key is accepted once. The store
// records what was used, so no node accepts it again, even after a restart.
//
// The package decides which user a token logs in. Package saml verifies tokens and proofs. The
// method for JSON Web Tokens is package jwt.
package samltoken

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// The defaults of Options.
const (
	DefaultSkew      = time.Minute
	DefaultBearerMax = 5 * time.Minute
	DefaultKeyMax    = 30 * 24 * time.Hour
)

// Options are the settings of a Method.
type Options struct {
	// Issuers are the trusted issuers. Each has a domain, which no other source of this server has.
	Issuers []saml.Issuer
	// Own returns the issuers of this server's own token service that have the name. It is called for
	// each token, because the keys change. Their tokens name a domain for each user, and may name
	// users of every domain: they were proved before the token was issued. If Own is nil, there is no
	// such service.
	Own func(name string) []saml.Issuer
	// Confirm returns the grant for the subject of a token of Own. It returns login.ErrRejected,
	// wrapped, if the subject does not exist any more or is disabled. The grant has the identity, and
	// conditions under which it is still valid. If Confirm is nil, the identity is that in the token.
	Confirm func(ctx context.Context, a *saml.Assertion) (session.Grant, error)
	// Again calls verify, once more if another server may have made the key of a token of Own meanwhile.
	// Its error is that of verify, or login.ErrUnconfirmed, wrapped. If it is nil, verify is called once.
	Again func(ctx context.Context, verify func() error) error
	// Spent shows which tokens and proofs were used.
	Spent *login.Spent
	// Skew is by how much the clocks of issuers and clients may differ. If it is 0, it is DefaultSkew.
	Skew time.Duration
	// BearerMax and KeyMax are how long after its issue a bearer token and a holder-of-key token are
	// accepted. If they are 0, they are DefaultBearerMax and DefaultKeyMax.
	BearerMax, KeyMax time.Duration
	// BearerReuse accepts a bearer token many times, until it expires.
	BearerReuse bool
	// Turns are for the verification of tokens, which anybody can ask for. If it is nil, any number is
	// verified at a time.
	Turns *budget.Turns
	// Now is the clock. If it is nil, it is time.Now.
	Now func() time.Time
}

// Method is the login method by SAML tokens. It is safe for concurrent use. Use New to make one.
type Method struct {
	o        Options
	verifier *saml.Verifier
}

// New returns the method. It returns an error if an issuer can't be used.
func New(o Options) (*Method, error) {
	o.Skew = cmp.Or(o.Skew, DefaultSkew)
	o.BearerMax, o.KeyMax = cmp.Or(o.BearerMax, DefaultBearerMax), cmp.Or(o.KeyMax, DefaultKeyMax)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Again == nil {
		o.Again = func(_ context.Context, verify func() error) error { return verify() }
	}
	if o.Spent == nil {
		return nil, errors.New("accept SAML tokens: nothing shows which tokens were used")
	}
	for _, i := range o.Issuers {
		if err := check(i); err != nil {
			return nil, fmt.Errorf("use issuer %q: %w", i.Name, err)
		}
	}
	m := &Method{o: o}
	m.verifier = &saml.Verifier{
		Issuers: m.issuers, Skew: o.Skew, BearerMax: o.BearerMax, KeyMax: o.KeyMax, Now: o.Now,
	}
	return m, nil
}

func check(i saml.Issuer) error {
	switch {
	case i.Name == "":
		return errors.New("it has no name")
	case len(i.Certificates) == 0 && (i.Authorities == nil || i.Signer == ""):
		return errors.New("it has no certificates")
	case i.Domain == "" || strings.ContainsAny(i.Domain, `\@`):
		return errors.New(`it has no domain, or one with \ or @`)
	}
	return nil
}

// issuers returns the trusted issuers with a name. Nobody else can have the name of our own.
func (m *Method) issuers(name string) []saml.Issuer {
	if m.o.Own != nil {
		if own := m.o.Own(name); len(own) > 0 {
			return own
		}
	}
	var all []saml.Issuer
	for _, i := range m.o.Issuers {
		if i.Name == name {
			all = append(all, i)
		}
	}
	return all
}

// Name is part of login.Method.
func (*Method) Name() string { return "saml" }

// Challenge is part of login.Method.
func (*Method) Challenge() string { return "SIGN" }

// Authenticate is part of login.Method. Every error except login.ErrNotMine, login.ErrBusy and those of
// Confirm and Again is login.ErrRejected.
func (m *Method) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(login.Assertion)
	if !ok || !saml.IsSign(c.Authorization.Reveal()) && c.Security.IsZero() {
		return session.Grant{}, login.ErrNotMine
	}
	var v verified
	err := m.o.Again(ctx, func() (err error) {
		v, err = m.verify(ctx, a, c)
		return err
	})
	if err != nil {
		return session.Grant{}, err
	}
	spend, err := m.spend(v)
	if err != nil {
		return session.Grant{}, err
	}
	g, err := m.grant(ctx, v)
	if err != nil {
		return session.Grant{}, err
	}
	g.Changes = append(g.Changes, spend...)
	return g, nil
}

// locked is the network that all locked networks are, for turns.
const locked = "locked networks"

// verify verifies a token when it is the network's turn. All networks that are locked have one turn together.
func (m *Method) verify(ctx context.Context, a login.Attempt, c login.Assertion) (v verified, err error) {
	if m.o.Turns != nil {
		who := a.Peer.Network()
		if a.Behind {
			who = locked
		}
		err := m.o.Turns.Acquire(ctx, who, budget.MaxWaitingEach)
		switch {
		case errors.Is(err, budget.ErrBusy):
			return v, fmt.Errorf("verify token: %w", login.ErrBusy)
		case err != nil:
			return v, fmt.Errorf("verify token: %w", err)
		}
		defer m.o.Turns.Release()
	}
	switch header := c.Authorization.Reveal(); {
	case !saml.IsSign(header):
		v, err = m.message(c.Message.Reveal())
	case c.Security.IsZero():
		v, err = m.sign(header, c)
	default:
		err = errors.New("there are two tokens: one in the message, one in the header of the request")
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", login.ErrRejected, err)
	}
	return v, err
}

// verified is a verified token, and the verified proof of its key unless it is a bearer token.
type verified struct {
	*saml.Assertion
	issuer saml.Issuer
	proof  saml.Proof
}

// sign verifies the header Authorization.
func (m *Method) sign(header string, c login.Assertion) (v verified, err error) {
	s, err := saml.ParseSign(header)
	if err != nil {
		return v, err
	}
	if v.Assertion, v.issuer, err = m.verifier.VerifyToken(s.Token.Reveal()); err != nil || v.Bearer() {
		return v, err // clients may add a proof to a bearer token, which has no key to verify it with
	}
	v.proof, err = s.Verify(v.Key.PublicKey, saml.Request{
		Method: c.Method, Target: c.Target, Host: c.Host, Body: c.Body.Reveal(),
	}, m.o.Now(), m.o.Skew)
	return v, err
}

// operation is the only operation whose messages bring tokens.
const operation = "LoginByToken"

// message verifies a SOAP message.
func (m *Method) message(raw []byte) (v verified, err error) {
	message, err := saml.ReadMessage(raw)
	if err != nil {
		return v, err
	}
	if message.Operation.Name() != operation {
		return v, errors.New("the message is for another operation")
	}
	if message.Assertion.IsZero() {
		return v, errors.New("the message has no assertion")
	}
	if err := message.Fresh(m.o.Now(), m.o.Skew); err != nil {
		return v, err
	}
	if v.Assertion, v.issuer, err = m.verifier.Verify(message.Assertion); err != nil || v.Bearer() {
		return v, err // clients may sign the message of a bearer token, which has no key to verify it with
	}
	v.proof, err = message.Verify(v.Key.PublicKey)
	return v, err
}

// The kinds of spent records.
const (
	kindToken = "saml token"
	kindProof = "saml proof"
)

// spend returns the changes that spend the token or the proof. The error is login.ErrRejected if
// either was spent before.
func (m *Method) spend(v verified) (changes []store.Change, err error) {
	add := func(kind, issuer, id string, end time.Time) {
		if m.o.Spent.Has(login.NewSpentID(kind, issuer, id)) {
			err = fmt.Errorf("%w: the token or the proof was used before", login.ErrRejected)
		}
		// The record outlives the proof also on a node whose clock is behind.
		changes = append(changes, login.Spend(kind, issuer, id, end.Add(2*m.o.Skew)))
	}
	if !v.Bearer() {
		// The signature of a message does not cover the token, so the key alone identifies the proof.
		key := sha256.Sum256(v.Key.RawSubjectPublicKeyInfo)
		add(kindProof, hex.EncodeToString(key[:]), hex.EncodeToString(v.proof.ID[:]), v.proof.End)
	}
	if v.Bearer() && !m.o.BearerReuse || v.OneTimeUse {
		add(kindToken, v.issuer.Name, v.ID, v.NotOnOrAfter)
	}
	return changes, err
}

// grant returns the grant for a verified token.
func (m *Method) grant(ctx context.Context, v verified) (session.Grant, error) {
	g := session.Grant{Identity: identity(v.Assertion), Scope: session.Scope{Proved: true}}
	switch {
	case v.issuer.Domain != "":
		if err := restrict(&g.Identity, v); err != nil {
			return session.Grant{}, err
		}
		g.Scope = session.Scope{Domain: strings.ToUpper(v.issuer.Domain)}
	case m.o.Confirm != nil:
		var err error
		if g, err = m.o.Confirm(ctx, v.Assertion); err != nil {
			return session.Grant{}, err
		}
	}
	if !v.SessionEnd.IsZero() && (g.NotAfter.IsZero() || v.SessionEnd.Before(g.NotAfter)) {
		g.NotAfter = v.SessionEnd
	}
	return g, nil
}

// identity returns the identity in a token of our own.
func identity(a *saml.Assertion) session.Identity {
	if a.Solution {
		return session.Identity{Name: principal.Extension(a.Subject.User), FullName: a.Subject.User, Extension: true}
	}
	i := session.Identity{Name: a.Subject, FullName: fullName(a), Groups: make([]string, len(a.Groups))}
	for n, g := range a.Groups {
		i.Groups[n] = g.String()
	}
	return i
}

// restrict makes the identity one that an issuer outside of this server may state: a user of its domain, and groups
// of its domain, with names that can be used here. Other groups are dropped. Such an issuer has no solution users.
func restrict(i *session.Identity, v verified) error {
	if err := principal.CheckNew(v.Subject.User, maxName); err != nil {
		return fmt.Errorf("%w: %w", login.ErrRejected, err)
	}
	*i = session.Identity{Name: v.Subject, FullName: fullName(v.Assertion)}
	for _, g := range saml.In(v.issuer.Domain, v.Groups) {
		if principal.CheckNew(g.User, maxName) == nil {
			i.Groups = append(i.Groups, g.String())
		}
	}
	slices.Sort(i.Groups)
	return nil
}

// maxName is the length of the longest name of a user or a group, in bytes.
const maxName = 256

// fullName returns the given name and the surname, if they can be shown.
func fullName(a *saml.Assertion) string {
	name := strings.TrimSpace(a.GivenName + " " + a.Surname)
	if len(name) > maxName || !principal.ValidText(name) {
		return ""
	}
	return name
}
