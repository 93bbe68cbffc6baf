package saml

import (
	"crypto/x509"
	"time"

	"github.com/vigate/vigate/internal/principal"
)

// Assertion is what a security token says of its subject.
type Assertion struct {
	ID     string
	Issuer string
	// Signer is the certificate of the issuer's key that has signed the assertion. Verify sets it.
	Signer *x509.Certificate
	// Subject is the user. For a solution user, it is the key of an extension in a domain.
	Subject principal.Name
	// Key is the certificate of the key whose holder may use the token. If it is nil, the token is a
	// bearer token, which everybody may use who has it.
	Key *x509.Certificate
	// Holder is the principal that holds the key, if it is not the subject: it acts as the subject.
	// Otherwise it is zero.
	Holder principal.Name

	Issued, NotBefore, NotOnOrAfter time.Time
	// SessionEnd is when a session must end that starts with the token. It is zero if the issuer does
	// not say.
	SessionEnd time.Time

	// Delegations is how many times the token may be delegated to others. 0 is none. Unlimited is the
	// value for a token that does not say.
	Delegations int
	// Renewals is how many times the token may be renewed. 0 is none.
	Renewals int
	// Renewable is set if the token may be renewed at all. Renewals may have become 0 since.
	Renewable bool
	// Delegates are the principals to which the token was delegated, the first one first.
	Delegates []Delegate
	// OneTimeUse is set if the issuer allows one use only, also of a holder-of-key token.
	OneTimeUse bool

	// Context is how the issuer authenticated the subject, one of the Context constants or a class of
	// another issuer.
	Context string
	// Groups are the groups of the subject, without repetitions.
	Groups             []principal.Name
	GivenName, Surname string
	// Solution is set for a solution user, which is an extension here.
	Solution bool
}

// Delegate is a principal to which a token was delegated.
type Delegate struct {
	Name principal.Name
	At   time.Time
}

// Unlimited is the number of delegations if a token does not limit them.
const Unlimited = -1

// How an issuer authenticated the subject.
const (
	ContextPassword    = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	ContextCertificate = "urn:oasis:names:tc:SAML:2.0:ac:classes:XMLDSig"
	ContextToken       = "urn:oasis:names:tc:SAML:2.0:ac:classes:PreviousSession"
)

// MaxGroups is the number of groups that Sign puts into a token at most. A token with more groups
// exceeds the limits of readers.
const MaxGroups = 900

// The values that vCenter's tokens have.
const (
	formatEntity  = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
	formatUPN     = "http://schemas.xmlsoap.org/claims/UPN"
	formatURI     = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
	methodBearer  = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	methodKey     = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
	nameGroups    = "http://rsa.com/schemas/attr-names/2009/01/GroupIdentity"
	nameGiven     = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname"
	nameSurname   = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname"
	nameSolution  = "http://vmware.com/schemas/attr-names/2011/07/isSolution"
	nameClaims    = "http://schemas.xmlsoap.org/claims/Group"                        // AD FS
	nameMicrosoft = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups" // Entra ID
	// timeForm has milliseconds always: clients of vCenter expect them.
	timeForm = "2006-01-02T15:04:05.000Z"
)

// Bearer reports whether everybody may use the token who has it.
func (a *Assertion) Bearer() bool { return a.Key == nil }
