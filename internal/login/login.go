// Package login proves the identity of callers and starts their sessions. A [Method] is one way to
// prove an identity, such as a password or a certificate. The [Gate] is the one place that every login
// passes: it asks the methods, and does what is the same for all of them. It throttles guesses, checks
// that the source of an identity may prove it and that the identity has a role, applies the limits of
// sessions, and posts events.
//
// A method only verifies a credential and returns a grant. It does not start a session, and changes
// nothing. The package knows neither the operations of the API nor HTTP. Methods for the principals of
// this server are in this package: local users, extensions and clones of sessions. Other sources of
// identities are packages below it.
package login

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// Attempt is one attempt to log in.
type Attempt struct {
	Credential Credential
	// Locale is the locale that the caller asks for. If empty, it is the server's default.
	Locale string
	Peer   peer.Peer

	// Behind is set by the gate for a caller whose network is locked. Its credential is verified all the
	// same. A method with a queue must not let such callers keep others waiting.
	Behind bool
	// Locked is set by the gate for a caller that will be refused whatever its credential is, because of
	// earlier failures. Methods of this server verify the credential all the same, so that the time of
	// the answer tells nothing. A method that asks another server must not pass the guess on: the lock
	// protects the account there, too.
	Locked bool
}

// Credential is what a caller presents. Each way in has a type of its own.
type Credential interface {
	// Claims returns the name that the caller claims to have, as it was sent, for throttling and
	// events. It is empty if the credential contains no name.
	Claims() string
}

// Delayed is a Credential for which the answer to a failed login is delayed to a multiple of GateOptions.Grid. So the
// time of the answer does not reveal the cause. And a client that sends bad credentials without end spends its time
// waiting, not the server's time with their verification.
type Delayed interface{ Delayed() }

// Password is a user name with a password, or with a local ticket.
type Password struct {
	User   string
	Secret secret.Text
}

// CloneTicket is a ticket of AcquireCloneTicket.
type CloneTicket struct{ Ticket secret.Text }

// SSPI is one token of a Kerberos or NTLM exchange, decoded from base64.
type SSPI struct{ Token secret.Bytes }

// Assertion is a security token of a trusted issuer, as it was sent: in the HTTP header Authorization,
// or in the WS-Security header of a SOAP message.
type Assertion struct {
	Authorization        secret.Text
	Method, Host, Target string // of the HTTP request that a SIGN proof covers, as sent
	Body                 secret.Bytes
	Security, Message    secret.Bytes
}

// ExtensionCertificate is the key of an extension whose TLS client certificate is the registered one.
type ExtensionCertificate struct{ Key string }

// ExtensionSubject is the key of an extension whose TLS client certificate has the registered subject
// and was issued by a configured authority.
type ExtensionSubject struct{ Key string }

// Delayed implements Delayed.
func (Password) Delayed() {}

// Delayed implements Delayed.
func (SSPI) Delayed() {}

// Delayed implements Delayed.
func (Assertion) Delayed() {}

// Claims implements Credential.
func (p Password) Claims() string { return p.User }

// Claims implements Credential.
func (CloneTicket) Claims() string { return "" }

// Claims implements Credential.
func (SSPI) Claims() string { return "" }

// Claims implements Credential.
func (Assertion) Claims() string { return "" }

// Claims implements Credential.
func (e ExtensionCertificate) Claims() string { return e.Key }

// Claims implements Credential.
func (e ExtensionSubject) Claims() string { return e.Key }

// TicketKind is the name of a kind of ticket in the log.
type TicketKind string

// The kinds of tickets. A service ticket is not for logins: it can accompany any request.
const (
	CloneKind   TicketKind = "clone"
	LocalKind   TicketKind = "local"
	ServiceKind TicketKind = "service"
)

// TicketOf returns the kind of ticket that the credential is, or claims to be. It returns "" if the credential is not
// a ticket, or if that is not certain: a name without a domain may belong to a local user or to an account of the
// operating system. The password of such an account is always a ticket.
func TicketOf(c Credential, defaultDomain string) TicketKind {
	switch c := c.(type) {
	case CloneTicket:
		return CloneKind
	case Password:
		if n, err := principal.Parse(c.User, defaultDomain); err == nil && n.Domain == principal.SystemDomain {
			return LocalKind
		}
	}
	return ""
}

// Method is one way to prove an identity. All methods are safe for concurrent use.
type Method interface {
	// Name returns the name of the method in sessions and metrics.
	Name() string
	// Challenge returns the authentication scheme of HTTP by which the method takes credentials, such
	// as "Basic", for the header WWW-Authenticate. It is empty if there is no such scheme.
	Challenge() string
	// Authenticate returns the identity that the credential of the attempt proves. It changes nothing:
	// whatever the login spends is in the grant's Changes, and is spent by the commit that starts the
	// session or not at all.
	//
	// Errors: ErrNotMine, ErrRejected (wrapped, with a cause for the log), ErrUnconfirmed, *Continue,
	// ErrBusy and the errors of certificates. Any other error is internal. ErrRejected,
	// ErrUnconfirmed, ErrBadCertificate and ErrNoSubject count as failed logins. Any other error must
	// reveal nothing about the credential.
	//
	// The grant's Scope says which principals the source of the credential may prove. The Gate refuses
	// a grant with an identity outside of it.
	Authenticate(context.Context, Attempt) (session.Grant, error)
}

var (
	// ErrNotMine is returned by a method that does not take this kind of credential. The next method is
	// asked.
	ErrNotMine = errors.New("credential of another kind")
	// ErrRejected is returned if the credential is wrong, unknown, disabled, locked or spent. Callers
	// don't learn which.
	ErrRejected = errors.New("credential rejected")
	// ErrLoggedIn is ErrRejected for a caller that has a live session already. Nothing was checked or spent.
	ErrLoggedIn = fmt.Errorf("the caller has a live session: %w", ErrRejected)
	// ErrRepeated is returned for a wrong password that the caller, or another one with the same name, has
	// just been told is wrong. It is answered like ErrRejected. It is no guess, because it tells the caller
	// nothing new, so it does not count as a failed login.
	ErrRepeated = errors.New("credential rejected before")
	// ErrUnconfirmed is returned if the credential is rejected by the state of this process, and the
	// process could not make sure that its state is current. It is wrapped together with the error that
	// prevented that, which decides the answer.
	ErrUnconfirmed = errors.New("rejection not confirmed")
	// ErrNoAccess is returned for an authenticated principal that has no role on the root folder.
	ErrNoAccess = errors.New("no role on the root folder")
	// ErrBusy is returned if too many logins are in progress. The caller may try again later.
	ErrBusy = errors.New("too many logins at once")
	// ErrNoCertificate is returned if the client presented no certificate.
	ErrNoCertificate = errors.New("no client certificate")
	// ErrNoSubject is returned if the extension was registered without a subject name.
	ErrNoSubject = errors.New("extension without a subject name")
	// ErrBadCertificate is returned if the client's certificate was not issued by a configured
	// authority, is not valid at this time, is not for clients, or is revoked.
	ErrBadCertificate = errors.New("client certificate not valid")
)

// Continue is the error of a login that needs another token of the client. Token is the answer to the
// one that it sent.
type Continue struct{ Token secret.Bytes }

// Error implements error.
func (*Continue) Error() string { return "another token of the exchange is needed" }

// SubjectOf returns the subject whose authority the session has: the identity that it acts as, on the
// condition that the origin may still impersonate.
func SubjectOf(l *session.Live) access.Subject {
	identity, origin := l.Who()
	who := Subject(*identity)
	if origin != nil {
		who.Origin = new(Subject(*origin))
	}
	return who
}

// Subject returns the subject that has the authority of the identity.
func Subject(i session.Identity) access.Subject {
	return access.Subject{Principal: i.Name, Groups: i.Groups, Extension: i.Extension}
}
