package sts

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Method is the login method for the credentials of requests for tokens. Only a Service makes them, and it
// starts no session with them: no client can log in by this method.
type Method struct{}

// credential is a credential that a Service has verified. prove returns the grant, or the reason why the
// credential is rejected. The gate may call it several times.
type credential struct {
	prove func(context.Context) (session.Grant, error)
}

// Delayed implements login.Delayed.
func (credential) Delayed() {}

// Claims is part of login.Credential. A name in a token counts only once the token is accepted.
func (credential) Claims() string { return "" }

// Name is part of login.Method.
func (Method) Name() string { return "token request" }

// Challenge is part of login.Method.
func (Method) Challenge() string { return "" }

// Authenticate is part of login.Method.
func (Method) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	c, ok := a.Credential.(credential)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	return c.prove(ctx)
}

// count counts a request as a failed login of the client's address if a signature or a token in it was not
// accepted. It returns the error.
func (s *Service) count(ctx context.Context, p *peer.Peer, err error) error {
	if !errors.Is(err, login.ErrRejected) {
		return err
	}
	reject := func(context.Context) (session.Grant, error) { return session.Grant{}, err }
	_, _ = s.gate.Prove(ctx, login.Attempt{Credential: credential{reject}, Peer: *p})
	return err
}

// requester finds out who asks for a token.
func (s *Service) requester(ctx context.Context, p *peer.Peer, r *request) (login.Proof, error) {
	attempt := login.Attempt{Peer: *p}
	switch e, isExtension, err := s.solution(ctx, r); {
	case err != nil:
		return login.Proof{}, err
	case r.token != nil:
		attempt.Credential = credential{func(ctx context.Context) (session.Grant, error) {
			return s.spend(r)(s.Confirm(ctx, r.token))
		}}
	case isExtension && r.password != nil:
		// The certificate and the password name two principals.
		attempt.Credential = credential{func(context.Context) (session.Grant, error) {
			return session.Grant{}, fmt.Errorf("%w: the certificate is not the user's", login.ErrRejected)
		}}
	case isExtension:
		attempt.Credential = credential{func(context.Context) (session.Grant, error) {
			return s.spend(r)(s.extension(e.Key, r.certificate))
		}}
	case r.password != nil:
		attempt.Credential = *r.password
	case r.certificate != nil:
		attempt.Credential = credential{func(context.Context) (session.Grant, error) {
			return session.Grant{}, fmt.Errorf("%w: no extension has the certificate", login.ErrRejected)
		}}
	default:
		return login.Proof{}, failed(invalidSecurity, "The message has no credential", nil)
	}
	proof, err := s.gate.Prove(ctx, attempt)
	if err != nil {
		return login.Proof{}, faultOf(err, failedAuthentication, textCredentials)
	}
	return proof, nil
}

// solution returns the extension whose certificate has signed the request.
func (s *Service) solution(ctx context.Context, r *request) (extension.Extension, bool, error) {
	if r.certificate == nil || r.token != nil {
		return extension.Extension{}, false, nil
	}
	e, ok := s.o.Extensions.Holder(r.certificate)
	if !ok && r.password == nil {
		// Another node may have registered it an instant ago.
		if err := s.o.Sync(ctx); err != nil {
			return e, false, faultOf(err, failedAuthentication, textCredentials)
		}
		e, ok = s.o.Extensions.Holder(r.certificate)
	}
	return e, ok, nil
}

// kindProof is the kind of proofs in signed requests.
const kindProof = "token request"

// spend returns a function that makes a grant spend the proof of a request for a bearer token. Otherwise anybody who
// has recorded such a request could get a token with it. A holder-of-key token is of no use without the key.
func (s *Service) spend(r *request) func(session.Grant, error) (session.Grant, error) {
	return func(g session.Grant, err error) (session.Grant, error) {
		if err == nil && r.bearer {
			end := r.proof.End.Add(2 * s.o.Skew)
			g.Changes = append(g.Changes, login.Spend(kindProof, "", hex.EncodeToString(r.proof.ID[:]), end))
		}
		return g, err
	}
}

// extension returns the grant of an extension that holds the key of the certificate.
func (s *Service) extension(key string, held *x509.Certificate) (session.Grant, error) {
	e, err := s.o.Extensions.AuthenticateCertificate(key, held)
	if err != nil {
		return session.Grant{}, fmt.Errorf("%w: %w", login.ErrRejected, err)
	}
	return grantOf(e), nil
}

func grantOf(e extension.Extension) session.Grant {
	g := session.Grant{
		Identity: session.Identity{Name: e.Principal(), FullName: e.Key, Extension: true},
		Scope:    session.Scope{Local: true},
	}
	g.Changes = append(g.Changes, e.Require())
	return g
}

// Confirm returns the grant for the subject of a token of this service, or login.ErrRejected, wrapped, if the subject
// may not log in any more. It is called for every use of a token, because a token may be valid for much longer than
// the facts in it:
//
//   - A local user exists, is enabled, and has not changed its password since the token was issued.
//   - An extension is registered. A holder-of-key token is for its current certificate.
//   - A user of another directory exists there and is not disabled, and has not changed its password since, as far as
//     the directory knows and the clocks agree. The groups are those that the directory reports. In a domain whose
//     users can't be looked up, they are those in the token.
//
// The key of this service that has signed the token is still trusted. If another principal holds the key of the
// token, it acts as the subject: it must be confirmed too, and the grant has it as the origin. Each principal to
// which the token was delegated must be confirmed as well: otherwise the token would outlive the trust in one of
// them.
//
// A session that starts with the token ends when the token says so: a token that was exchanged for one whose end
// ends its sessions does.
func (s *Service) Confirm(ctx context.Context, a *saml.Assertion) (session.Grant, error) {
	trusted, known := s.o.Keys.Require(a.Signer)
	if !known {
		return session.Grant{}, fmt.Errorf("%w: the key that has signed the token is replaced", login.ErrRejected)
	}
	g, err := s.subject(ctx, a)
	if err != nil {
		return g, err
	}
	require(&g, trusted)
	g.NotAfter = a.SessionEnd
	for _, d := range a.Delegates {
		if d.Name == a.Holder {
			continue // it is confirmed with its key
		}
		conditions, err := s.passed(ctx, a, d.Name)
		if err != nil {
			return session.Grant{}, err
		}
		require(&g, conditions...)
	}
	if a.Holder.IsZero() {
		return g, nil
	}
	h, err := s.holder(ctx, a)
	if err != nil {
		return session.Grant{}, err
	}
	require(&g, h.Changes...)
	g.Origin = &h.Identity
	if !h.Scope.Local || !g.Scope.Local {
		g.Scope = session.Scope{Proved: true}
	}
	return g, nil
}

// require adds conditions to a grant. A commit must not name a record twice, and one principal may be the subject
// of a token, its holder, and one through whom it has passed.
func require(g *session.Grant, conditions ...store.Change) {
	for _, c := range conditions {
		if !slices.ContainsFunc(g.Changes, func(x store.Change) bool {
			return x.Record.Kind == c.Record.Kind && x.Record.ID == c.Record.ID
		}) {
			g.Changes = append(g.Changes, c)
		}
	}
}

// subject confirms the subject of a token.
func (s *Service) subject(ctx context.Context, a *saml.Assertion) (session.Grant, error) {
	if !a.Solution {
		return s.user(ctx, a)
	}
	if a.Key != nil && a.Holder.IsZero() {
		return s.extension(a.Subject.User, a.Key)
	}
	e, err := s.registered(a, a.Subject.User)
	if err != nil {
		return session.Grant{}, err
	}
	return grantOf(e), nil
}

// registered returns an extension that a token names without its certificate. One that was registered after the
// token was issued is another one with the same name.
func (s *Service) registered(a *saml.Assertion, key string) (extension.Extension, error) {
	e, ok := s.o.Extensions.Find(key)
	if !ok || a.Issued.Before(e.Registered) {
		return e, fmt.Errorf("%w: the extension is not registered any more", login.ErrRejected)
	}
	return e, nil
}

// holder confirms the principal that holds the key of a token for another subject.
func (s *Service) holder(ctx context.Context, a *saml.Assertion) (session.Grant, error) {
	switch is, err := s.isExtension(a.Holder); {
	case err != nil:
		return session.Grant{}, err
	case !is:
		return s.user(ctx, as(a, a.Holder))
	}
	return s.extension(a.Holder.User, a.Key)
}

// passed confirms a principal through which a token has passed before it came to its holder. It returns the
// conditions under which it does.
func (s *Service) passed(ctx context.Context, a *saml.Assertion, name principal.Name) ([]store.Change, error) {
	is, err := s.isExtension(name)
	if err != nil {
		return nil, err
	}
	if !is {
		g, err := s.user(ctx, as(a, name))
		return g.Changes, err
	}
	e, err := s.registered(a, name.User)
	if err != nil {
		return nil, err
	}
	return []store.Change{e.Require()}, nil
}

// isExtension reports whether the name of somebody other than the subject of a token is that of an extension. If
// a user has it too, nobody can tell whose it is, and the token is rejected.
func (s *Service) isExtension(name principal.Name) (bool, error) {
	if name.Domain != s.domain || !s.o.Extensions.Exists(name.User) {
		return false, nil
	}
	if _, both := s.o.Accounts.Find(name); both {
		return false, fmt.Errorf("%w: a user and an extension have the name %s", login.ErrRejected, name)
	}
	return true, nil
}

// as returns the assertion with another subject. Of this subject it has only the name.
func as(a *saml.Assertion, name principal.Name) *saml.Assertion {
	other := *a
	other.Subject, other.Groups, other.GivenName, other.Surname = name, nil, "", ""
	return &other
}

// user confirms a user.
func (s *Service) user(ctx context.Context, a *saml.Assertion) (session.Grant, error) {
	if a.Subject.Domain == s.domain {
		u, ok := s.o.Accounts.Find(a.Subject)
		switch {
		case !ok || u.Disabled:
			return session.Grant{}, fmt.Errorf("%w: the user does not exist any more or is disabled", login.ErrRejected)
		case a.Issued.Before(u.PasswordChanged):
			return session.Grant{}, fmt.Errorf("%w: the password is newer than the token", login.ErrRejected)
		}
		g := session.Grant{
			Identity: session.Identity{Name: u.Name, FullName: u.FullName}, Scope: session.Scope{Local: true},
		}
		g.Changes = append(g.Changes, u.Require())
		return g, nil
	}
	return s.outsider(ctx, a)
}

// users is a directory that knows which of its users may log in. User returns login.ErrRejected, wrapped, if
// it is certain that there is no such user or that it is disabled.
type users interface {
	User(ctx context.Context, name principal.Name) (directory.Entry, error)
}

// outsider confirms a user of another directory. What the directory says replaces what the token says. Only
// in a domain whose users nobody can look up, the token's groups count.
func (s *Service) outsider(ctx context.Context, a *saml.Assertion) (session.Grant, error) {
	i := session.Identity{Name: a.Subject, FullName: fullName(a)}
	if known, ok := s.o.Directory.Source(a.Subject.Domain).(users); ok {
		e, err := known.User(ctx, a.Subject)
		switch {
		case err != nil:
			return session.Grant{}, fmt.Errorf("look up the subject of a token: %w", err)
		case a.Issued.Add(s.o.Skew).Before(e.PasswordChanged): // the time is that of the directory's clock
			return session.Grant{}, fmt.Errorf("%w: the password is newer than the token", login.ErrRejected)
		}
		i.Groups, i.FullName = e.Groups, cmp.Or(e.FullName, i.FullName)
		return session.Grant{Identity: i, Scope: session.Scope{Proved: true}}, nil
	}
	e, ok, err := s.o.Directory.Lookup(ctx, a.Subject, false)
	switch {
	case err != nil:
		return session.Grant{}, fmt.Errorf("look up the subject of a token: %w", err)
	case !ok:
		return session.Grant{}, fmt.Errorf("%w: its directory does not have the user", login.ErrRejected)
	}
	i.Groups, i.FullName = e.Groups, cmp.Or(e.FullName, i.FullName)
	if s.o.Directory.Open(a.Subject.Domain) {
		for _, g := range a.Groups {
			i.Groups = append(i.Groups, g.String())
		}
	}
	return session.Grant{Identity: i, Scope: session.Scope{Proved: true}}, nil
}
