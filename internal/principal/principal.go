// Package principal names who acts: a user of an identity source's domain, or
// an extension.
package principal

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is a canonical principal. The zero value is nobody.
//
// Names compare without case: use Key or Equal, never ==.
type Name struct {
	// Domain is upper case, as vCenter writes it. Empty for an extension.
	Domain string
	// User is spelled as the identity source spells it.
	User string
}

// MaxLength is the longest spelling that Parse takes, in bytes.
const MaxLength = 512

// ErrInvalid is returned for a spelling that names nobody.
var ErrInvalid = errors.New("not a principal's name")

// Parse reads `user`, `DOMAIN\user` or `user@domain`. A bare name is in
// defaultDomain. The user part keeps its case. Parse takes names that CheckNew
// refuses: an older version may have stored them.
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

// Extension is the principal of an extension's own sessions: its key, in no
// domain.
func Extension(key string) Name { return Name{User: key} }

// String is the canonical form of UserSession.userName: `DOMAIN\user`, or an
// extension's bare key.
func (n Name) String() string {
	if n.Domain == "" {
		return n.User
	}
	return n.Domain + `\` + n.User
}

// Key is equal for names that are the same principal: see Fold.
func (n Name) Key() string { return Fold(n.String()) }

// FormerKey is the key by which older versions kept records. It is another than
// Key for names with one of some twenty letters, the Greek final sigma among
// them.
func (n Name) FormerKey() string { return strings.ToLower(n.String()) }

// Equal reports whether both are the same principal, by the rule of Key.
func (n Name) Equal(o Name) bool { return n == o || n.Key() == o.Key() }

// IsZero reports whether n is nobody.
func (n Name) IsZero() bool { return n.User == "" }
