// Package ldap finds users and groups in LDAP directories, such as OpenLDAP and Active Directory, and
// checks their passwords. A [Source] is one directory with one domain and one or more servers. It is
// a directory.Source and a login.PasswordSource.
//
// A Source reads with a service account and never writes. It checks a password by a bind as the user. It uses only
// the directory's own spelling of a name. If no server can be reached, its methods return directory.ErrUnavailable:
// then it is unknown whether a user exists.
//
// A user can lose access after its login. Package recheck looks up the users of live sessions again.
package ldap

import (
	"cmp"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/turns"
	"github.com/vigate/vigate/internal/principal"
)

var (
	// errAmbiguous means that several entries match a name that must be unique.
	errAmbiguous = errors.New("several entries match the name")
	// errUnknown means that no entry matches a name.
	errUnknown = errors.New("no entry matches the name")
	// errLocked means that the caller is locked, so that its password is not tried.
	errLocked = errors.New("caller is locked after failed logins")
	// errUnusable means that an entry can't be a principal.
	errUnusable = errors.New("entry can't be a principal")
)

// Settings describe a directory. Domain, Servers, UserBase and UserFilter are required.
type Settings struct {
	// Domain is the domain of the directory's users and groups, in any case.
	Domain string
	// Servers are URLs with the scheme ldaps or ldap. The first one that can be reached is used.
	Servers []string
	// StartTLS encrypts the connections to ldap:// servers. Without it they must be on this machine.
	StartTLS bool
	// CA is a PEM file of the authorities of the servers' certificates. If empty, those of the
	// operating system are used.
	CA string
	// BindDN is the service account that reads the directory. Active Directory also takes a name such
	// as vigate@corp.example. If BindDN is empty, the directory is read anonymously. The files are read
	// again for each connection, so they can be replaced at any time.
	BindDN, BindPasswordFile string
	// UserFilter selects the user with a name, for example "(uid={name})". {name} must be the value of
	// a comparison, or a part of it. The attribute of the first comparison with {name} alone holds the
	// user's canonical name.
	UserBase, UserFilter string
	// GroupFilter selects the groups that have a member, for example "(member={dn})". {dn} is the
	// member's distinguished name and {name} its user name. If GroupBase is empty, there are no groups.
	GroupBase, GroupFilter string
	// NestedGroups adds the groups of which the user's groups are members.
	NestedGroups bool
}

// The limits of what one directory can cost.
const (
	dialTimeout    = 3 * time.Second  // to connect to a server, with TLS
	requestTimeout = 5 * time.Second  // for one request to a server
	workTimeout    = 12 * time.Second // for all requests of one operation, on all servers together
	deadTime       = 5 * time.Second  // how long a server that failed is not tried again
	idleTime       = time.Minute      // how long an unused connection is kept
	connectionLife = 5 * time.Minute  // after that, the first server is preferred again
	maxTurns       = 8                // operations at once; each has a connection of either kind at most
	maxNetwork     = 4                // operations at once on behalf of one network
	maxBehind      = 2                // operations at once on behalf of all networks that are locked
	turnPatience   = 2 * time.Second  // how long a caller waits for its turn
	maxReply       = 8 << 20          // bytes that a server may send for one operation

	maxFound    = 1000 // entries that a search of the directory returns
	maxGroups   = 1000 // groups of one user
	maxDepth    = 16   // levels of nested groups
	groupsAtOne = 25   // members that one search for groups names
	maxPassword = 1024 // bytes
	maxUserName = 128  // bytes, as for local users
	maxTextName = 256  // bytes of the name of a group
	maxFullName = 512  // bytes
)

// surroundings are what a Source depends on besides its settings. Zero values are for production.
type surroundings struct {
	now    func() time.Time
	logger *slog.Logger
	// request overrides requestTimeout if it is not 0.
	request time.Duration
}

// Source is one directory. All methods are safe for concurrent use.
type Source struct {
	domain    string
	base      string
	users     userFilter
	groupBase string
	groups    groupFilter
	nested    bool

	now     func() time.Time
	turns   *turns.Turns
	search  *pool // connections of the service account
	binds   *pool // connections that check passwords
	reports reports
}

var (
	_ directory.Source     = (*Source)(nil)
	_ login.PasswordSource = (*Source)(nil)
)

// Mistake is a setting that can't be used.
type Mistake struct {
	Key string // of the setting in the configuration file
	Err error
}

// Mistakes are all mistakes in the settings of a directory.
type Mistakes []Mistake

// Error implements error.
func (m Mistakes) Error() string {
	texts := make([]string, len(m))
	for i, one := range m {
		texts[i] = one.Key + ": " + one.Err.Error()
	}
	return "open directory: " + strings.Join(texts, "; ")
}

// New returns the directory with the settings. It does not connect yet. The error is of the type
// Mistakes. A nil clock is time.Now, and a nil logger is slog.Default.
func New(s Settings, now func() time.Time, logger *slog.Logger) (*Source, error) {
	return open(s, surroundings{now: now, logger: logger})
}

func open(s Settings, by surroundings) (*Source, error) {
	if by.now == nil {
		by.now = time.Now
	}
	by.logger = cmp.Or(by.logger, slog.Default())
	by.request = cmp.Or(by.request, requestTimeout)
	var mistakes Mistakes
	wrong := func(key string, err error) {
		if err != nil {
			mistakes = append(mistakes, Mistake{key, err})
		}
	}
	src := &Source{
		domain: strings.ToUpper(s.Domain), base: s.UserBase, groupBase: s.GroupBase, nested: s.NestedGroups,
		now: by.now, turns: newTurns(),
		reports: reports{now: by.now, logger: by.logger, domain: strings.ToUpper(s.Domain)},
	}
	if n, err := principal.Parse(src.domain+`\x`, ""); err != nil || n.Domain != src.domain {
		wrong("domain", errors.New("is not a domain"))
	}
	wrong("user-base", checkDN(s.UserBase, true))
	wrong("group-base", checkDN(s.GroupBase, false))
	if !strings.ContainsAny(s.BindDN, `@\`) {
		wrong("bind-dn", checkDN(s.BindDN, false))
	}
	if (s.BindDN == "") != (s.BindPasswordFile == "") {
		wrong("bind-dn", errors.New("needs bind-password-file, and the other way round"))
	}
	var err error
	src.users, err = parseUserFilter(s.UserFilter)
	wrong("user-filter", err)
	if s.GroupBase != "" {
		src.groups, err = parseGroupFilter(s.GroupFilter, s.NestedGroups)
		src.groups.names = groupName(src.users.canonical)
		wrong("group-filter", err)
	}
	list, err := parseServers(s, by)
	wrong("servers", err)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	src.search = newPool(list, list.login)
	src.binds = newPool(list, nil)
	return src, nil
}

// newTurns returns the turns of operations. Neither the callers from one network nor those from many locked
// ones can keep others waiting.
func newTurns() *turns.Turns {
	return turns.New(turns.Limits{All: maxTurns, Each: maxNetwork, Behind: maxBehind, Patience: turnPatience})
}

// Domain returns the domain in upper case.
func (s *Source) Domain() string { return s.domain }

// Close closes the idle connections. Operations that are in progress are not disturbed.
func (s *Source) Close() {
	s.search.close()
	s.binds.close()
}
