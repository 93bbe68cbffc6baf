package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/vigate/vigate/internal/principal"
)

// Attributes of users and groups.
const (
	accountName = "sAMAccountName"
	groupText   = "description"
)

// fullNames are the attributes of a full name, the preferred one first.
var fullNames = []string{"displayName", "cn"}

// Attributes of the state of a user, in the directories that have them.
const (
	userAccountControl = "userAccountControl"   // Active Directory
	accountExpires     = "accountExpires"       // Active Directory
	lockedTime         = "pwdAccountLockedTime" // the password policy of OpenLDAP
	startTime          = "pwdStartTime"
	endTime            = "pwdEndTime"
	accountLock        = "nsAccountLock"  // 389 Directory Server
	passwordSet        = "pwdLastSet"     // Active Directory
	passwordTime       = "pwdChangedTime" // the password policy of OpenLDAP
)

var states = []string{userAccountControl, accountExpires, lockedTime, startTime, endTime, accountLock,
	passwordSet, passwordTime}

// user is a user of the directory.
type user struct {
	dn       string
	name     principal.Name
	fullName string
	disabled string // why it must not log in; "": it may
	// password is when its password was changed last. It is zero if the directory does not say.
	password time.Time
}

// user finds the user with the name. Exactly one entry must match. It returns errUnknown,
// errAmbiguous or errUnusable if there is no such user.
func (s *Source) user(c *connection, name string) (user, error) {
	found, more, err := c.find(query{base: s.base, scope: ldap.ScopeWholeSubtree, filter: s.users.named(name), limit: 2,
		attributes: slices.Concat(s.users.attributes(), fullNames, states)})
	switch {
	case err != nil:
		return user{}, err
	case len(found) == 0:
		return user{}, errUnknown
	case more || len(found) > 1:
		return user{}, errAmbiguous
	case !s.users.matches(found[0], name):
		return user{}, fmt.Errorf("the directory spells the name differently: %w", errUnknown)
	}
	return s.asUser(found[0])
}

func (s *Source) asUser(e *ldap.Entry) (user, error) {
	name, err := s.canonical(e, s.users.canonical)
	if err != nil {
		return user{}, err
	}
	if err := principal.CheckNew(name.User, maxUserName); err != nil {
		return user{}, fmt.Errorf("%w: %w", errUnusable, err)
	}
	u := user{dn: e.DN, name: name, disabled: s.disabled(e)}
	u.password, _ = passwordChanged(e) // if it can't be read, the user is disabled
	for _, a := range fullNames {
		if u.fullName == "" {
			u.fullName = text(e, a)
		}
	}
	return u, nil
}

// values returns the values of an attribute. A server may send them in several parts.
func values(e *ldap.Entry, attribute string) []string {
	var all []string
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, attribute) {
			all = append(all, a.Values...)
		}
	}
	return all
}

// value returns the first value of an attribute, or "".
func value(e *ldap.Entry, attribute string) string {
	for _, v := range values(e, attribute) {
		return v
	}
	return ""
}

// text returns the value of an attribute that is shown to people, or "".
func text(e *ldap.Entry, attribute string) string {
	v := value(e, attribute)
	if len(v) > maxFullName || !principal.ValidText(v) {
		return ""
	}
	return v
}

// canonical returns the name of the entry's principal. If the attribute has several values, it is the
// one in the entry's distinguished name: which of the others comes first would not be certain.
func (s *Source) canonical(e *ldap.Entry, attribute string) (principal.Name, error) {
	all := values(e, attribute)
	name := ""
	if len(all) == 1 {
		name = all[0]
	} else if dn, err := ldap.ParseDN(e.DN); err == nil && len(dn.RDNs) > 0 {
		for _, a := range dn.RDNs[0].Attributes {
			if strings.EqualFold(a.Type, attribute) && slices.Contains(all, a.Value) {
				name = a.Value
			}
		}
	}
	n := principal.Name{Domain: s.domain, User: name}
	if e.DN == "" || name == "" || len(name) > maxTextName || name != strings.TrimSpace(name) ||
		!principal.ValidText(name) || strings.Contains(name, `\`) {
		return principal.Name{}, fmt.Errorf("%w: its %s can't be a name", errUnusable, attribute)
	}
	return n, nil
}

// disabled returns why the user must not log in and must not have sessions, or "". A lock after
// failed logins is not a reason: it is the directory's answer to a bind, and strangers can cause it. A state
// that can't be read is a reason.
func (s *Source) disabled(e *ldap.Entry) string {
	now := s.now()
	const accountDisable = 2
	control, err1 := number(value(e, userAccountControl))
	expires, err2 := number(value(e, accountExpires))
	starts, err3 := moment(value(e, startTime))
	ends, err4 := moment(value(e, endTime))
	_, err5 := passwordChanged(e)
	switch {
	case errors.Join(err1, err2, err3, err4, err5) != nil:
		return "has a state that can't be read"
	case control&accountDisable != 0:
		return "is disabled"
	case expires > 0 && expires < never && !now.Before(windowsTime(expires)):
		return "has expired"
	case value(e, lockedTime) == permanentlyLocked:
		return "is locked by an administrator"
	case strings.EqualFold(value(e, accountLock), "true"):
		return "is locked"
	case !ends.IsZero() && !now.Before(ends):
		return "has expired"
	case now.Before(starts):
		return "is not valid yet"
	}
	return ""
}

// passwordChanged returns when the user's password was changed last, or the zero time.
func passwordChanged(e *ldap.Entry) (time.Time, error) {
	set, err1 := number(value(e, passwordSet))
	at, err2 := moment(value(e, passwordTime))
	if set > 0 { // 0 demands a new password
		at = windowsTime(set)
	}
	return at, errors.Join(err1, err2)
}

// number reads a number. Without a text, it is 0.
func number(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// moment reads a GeneralizedTime, whose seconds and minutes may be missing. Without a text, it is the zero time.
func moment(text string) (at time.Time, err error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{"20060102150405", "200601021504", "2006010215"} {
		for _, zone := range []string{"Z0700", "Z07"} {
			if at, err = time.Parse(form+zone, text); err == nil {
				return at, nil
			}
		}
	}
	return time.Time{}, err
}

// never is the greatest accountExpires, for an account that does not expire.
const never = 1<<63 - 1

// windowsTime converts a number of 100 ns since 1601.
func windowsTime(n int64) time.Time {
	const epoch = 11644473600 // seconds from 1601 to 1970
	return time.Unix(n/1e7-epoch, n%1e7*100)
}

// unknown reports whether the error says that there is no such user or group.
func unknown(err error) bool {
	return errors.Is(err, errUnknown) || errors.Is(err, errAmbiguous) || errors.Is(err, errUnusable)
}
