// Package principal defines the names of the principals that use the API: users in the domain of an
// identity source, and extensions.
//
// A [Name] is parsed with [Parse], which accepts all spellings that clients use. Names compare without
// case, with [Name.Equal] or [Name.Key]. [CheckNew] and [Alike] are the rules for new names, so that no
// name can be forged or mistaken for another. The package does not know which principals exist; packages
// account and extension do.
package principal

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is the canonical name of a principal. The zero Name is no principal.
//
// Names compare without case: use Key or Equal, not ==.
type Name struct {
	// Domain is in upper case, as in vCenter. It is empty for an extension.
	Domain string
	// User has the spelling of the identity source.
	User string
}

// MaxLength is the length in bytes of the longest text that Parse accepts.
const MaxLength = 512

// SystemDomain is the domain of operating-system accounts, as vCenter calls it.
const SystemDomain = "LOCALOS"

// ErrInvalid is returned for a text that is not the name of a principal.
var ErrInvalid = errors.New("not a principal name")

// Parse parses `user`, `DOMAIN\user` or `user@domain`. A name without a domain belongs to
// defaultDomain. The case of the user is kept. Parse accepts names that CheckNew refuses, because
// an older version may have stored them.
func Parse(s, defaultDomain string) (Name, error) {
	if s == "" || len(s) > MaxLength || !utf8.ValidString(s) {
		return Name{}, fmt.Errorf("parse principal: %w", ErrInvalid)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return Name{}, fmt.Errorf("parse principal: control character: %w", ErrInvalid)
	}
	n := Name{Domain: defaultDomain, User: s}
	if domain, user, ok := strings.Cut(s, `\`); ok {
		n = Name{domain, user}
	} else if i := strings.LastIndexByte(s, '@'); i >= 0 {
		n = Name{s[i+1:], s[:i]}
	}
	n.Domain = strings.ToUpper(n.Domain)
	if n.User == "" || n.Domain == "" || strings.ContainsAny(n.User, `\`) || strings.ContainsAny(n.Domain, `\@`) {
		return Name{}, fmt.Errorf("parse principal: %w", ErrInvalid)
	}
	return n, nil
}

// Extension returns the principal of the sessions of an extension: the extension's key, without a
// domain.
func Extension(key string) Name { return Name{User: key} }

// OfUpstream returns the principal that is a user of an upstream server, which clients reach through
// the front. user is its name as the upstream spells it. It is no principal of this server, even if
// the texts are the same: Parse makes no name with such a domain, so no permission, account or group
// can have it, and it compares unequal to every name that Parse makes.
func OfUpstream(front, user string) Name { return Name{Domain: front + `\`, User: user} }

// Upstream returns the front and the user of a name that OfUpstream made. ok is false for other names.
func (n Name) Upstream() (front, user string, ok bool) {
	if front, ok = strings.CutSuffix(n.Domain, `\`); !ok {
		return "", "", false
	}
	return front, n.User, true
}

// Shown returns the name as the principal's own sessions show it: String, but for a user of an
// upstream server the name that the upstream uses. It must not be used to identify a principal.
func (n Name) Shown() string {
	if _, user, ok := n.Upstream(); ok {
		return user
	}
	return n.String()
}

// String returns the canonical form, as in UserSession.userName: `DOMAIN\user`, or an extension's
// key. For a user of an upstream server it is `FRONT\\user`, which Parse refuses.
func (n Name) String() string {
	if n.Domain == "" {
		return n.User
	}
	return n.Domain + `\` + n.User
}

// Key returns the same text for two names of the same principal: see Fold.
func (n Name) Key() string { return Fold(n.String()) }

// FormerKey returns the key that older versions used for records. It differs from Key for names
// with one of about twenty letters, such as the Greek final sigma.
func (n Name) FormerKey() string { return strings.ToLower(n.String()) }

// Equal reports whether both names are the same principal.
func (n Name) Equal(o Name) bool { return n == o || n.Key() == o.Key() }

// IsZero reports whether n is no principal.
func (n Name) IsZero() bool { return n.User == "" }
