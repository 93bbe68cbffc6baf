// Package login is the ways in: it turns a credential into a session, through
// one gate that every way shares. A way in is a Method; it proves who asks and
// can't forget the rest, which the Gate does: throttling, authority, limits,
// events.
package login

import (
	"context"
	"errors"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// Attempt is one try to log in.
type Attempt struct {
	Credential Credential
	// Locale as the caller asked for it; empty: the server's default.
	Locale string
	Peer   peer.Peer

	// behind: a method that has callers wait for their turn has this one wait
	// behind all others. The gate sets it.
	behind bool
}

// Credential is what the caller brings, one type for each way in.
type Credential interface {
	// Claims is the name that the caller gives itself, as sent, for throttling
	// and events; empty where the credential names nobody.
	Claims() string
}

// Password is a user name and its password, or a local ticket's.
type Password struct {
	User   string
	Secret secret.Text
}

// CloneTicket is a ticket of AcquireCloneTicket.
type CloneTicket struct{ Ticket secret.Text }

// SSPI is one leg of a Kerberos or NTLM exchange, decoded from base64.
type SSPI struct{ Token secret.Bytes }

// Assertion is a security token of a trusted issuer, as it came: in the HTTP
// Authorization header, or in the WS-Security header of a SOAP message.
type Assertion struct {
	Authorization        secret.Text
	Method, Host, Target string // of the HTTP request that a SIGN proof covers, as sent
	Body                 secret.Bytes
	Security, Message    secret.Bytes
}

// ExtensionCertificate is an extension whose TLS client certificate is the one
// registered with it.
type ExtensionCertificate struct{ Key string }

// ExtensionSubject is an extension whose TLS client certificate has the subject
// registered with it and comes from a configured authority.
type ExtensionSubject struct{ Key string }

func (p Password) Claims() string             { return p.User }
func (CloneTicket) Claims() string            { return "" }
func (SSPI) Claims() string                   { return "" }
func (Assertion) Claims() string              { return "" }
func (e ExtensionCertificate) Claims() string { return e.Key }
func (e ExtensionSubject) Claims() string     { return e.Key }

// TicketKind is a kind of ticket, as the log names it.
type TicketKind string

// The kinds of tickets. A service ticket is none of a login: it comes with any
// request.
const (
	CloneKind   TicketKind = "clone"
	LocalKind   TicketKind = "local"
	ServiceKind TicketKind = "service"
)

// TicketOf is the kind of ticket that the credential is, or tries to be; "" for
// none, or where it does not say: a bare name may be a local user's or an account's.
// The password of an account of the operating system is always a ticket.
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

// Method is one way in.
type Method interface {
	// Name is what sessions and metrics call it.
	Name() string
	// Challenge is the authentication scheme of HTTP by which the method takes credentials, such as
	// "Basic", for the WWW-Authenticate header. It is empty if the method takes none by a scheme.
	Challenge() string
	// Authenticate proves who makes the attempt. It changes nothing: what the
	// login spends is in the grant's Changes, and is spent with the session's
	// own commit or not at all.
	//
	// Errors: ErrNotMine, ErrRejected (wrapped, with a cause for the log),
	// ErrUnconfirmed, *Continue, ErrBusy, the certificate errors; anything else is
	// internal. ErrRejected, ErrUnconfirmed, ErrBadCertificate and ErrNoSubject count
	// as failed logins; after any other error nobody may have learned anything about
	// the credential.
	//
	// The grant's Scope says which principals the source of the credential may prove. The Gate
	// refuses a grant with an identity outside of it.
	Authenticate(context.Context, Attempt) (session.Grant, error)
}

var (
	// ErrNotMine: the credential is not of this method's kind; try the next.
	ErrNotMine = errors.New("credential of another kind")
	// ErrRejected: wrong, unknown, disabled, locked, spent; callers learn no more.
	ErrRejected = errors.New("credential rejected")
	// ErrUnconfirmed: rejected by what this process knows, and it could not find out
	// whether it knows all. It is wrapped with the error that kept it from that,
	// which is the one to answer with.
	ErrUnconfirmed = errors.New("rejection not confirmed")
	// ErrNoAccess: authenticated, but without a role on the root folder.
	ErrNoAccess = errors.New("no role on the root folder")
	// ErrBusy: too many logins wait to be checked; try later.
	ErrBusy = errors.New("too many logins at once")
	// ErrNoCertificate: the client presented no certificate.
	ErrNoCertificate = errors.New("no client certificate")
	// ErrNoSubject: the extension was registered without a subject name.
	ErrNoSubject = errors.New("extension without a subject name")
	// ErrBadCertificate: the client's certificate is not from a configured
	// authority, out of its time, not for clients, or revoked.
	ErrBadCertificate = errors.New("client certificate not valid")
)

// Continue asks the caller for another leg of an exchange.
type Continue struct{ Token secret.Bytes }

func (*Continue) Error() string { return "another leg of the exchange is needed" }

// SubjectOf is whose authority the session has: that of who it acts as, on the
// condition that who really logged in may still impersonate.
func SubjectOf(l *session.Live) access.Subject {
	identity, origin := l.Who()
	who := Subject(*identity)
	if origin != nil {
		who.Origin = new(Subject(*origin))
	}
	return who
}

// Subject is the identity as authority knows it.
func Subject(i session.Identity) access.Subject {
	return access.Subject{Principal: i.Name, Groups: i.Groups, Extension: i.Extension}
}
