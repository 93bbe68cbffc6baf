package setting

import (
	"time"
)

// Values are the options in force at one instant. They are read only.
type Values struct {
	IdleTimeout     time.Duration // a session unused for so long is dead
	MaxLifetime     time.Duration // of a session since its login
	TicketLifetime  time.Duration // of clone and generic service tickets
	MaxSessions     int           // live sessions in all
	MaxPerPrincipal int           // live sessions of one principal
	InstanceName    string        // what the server calls itself
	DefaultLocale   string        // where neither session nor request names one

	// Pair locks one principal from one address, Principal one principal from
	// everywhere, Address all logins from one address.
	Pair, Principal, Address Lockout
}

// Lockout is a rule: so many failed logins within Interval lock for Duration.
type Lockout struct {
	Failures int
	Interval time.Duration
	Duration time.Duration
}

// Defaults are the values where nobody says otherwise.
func Defaults() Values {
	return Values{
		IdleTimeout:     30 * time.Minute,
		MaxLifetime:     24 * time.Hour,
		TicketLifetime:  120 * time.Second,
		MaxSessions:     100_000,
		MaxPerPrincipal: 2_000,
		InstanceName:    "vigate",
		DefaultLocale:   "en",
		Pair:            Lockout{5, 180 * time.Second, 300 * time.Second},
		Principal:       Lockout{100, time.Hour, 300 * time.Second},
		Address:         Lockout{100, 180 * time.Second, 300 * time.Second},
	}
}

// Names of options that others mention.
const (
	// IdleTimeout is vCenter's option, in minutes, as is its counterpart of
	// the ESXi host agent (Config.HostAgent.vmacore.soap.sessionTimeout, 30).
	IdleTimeout = "config.vmacore.soap.sessionTimeout"
	// MaxSessions is vCenter's own option too.
	MaxSessions = "config.vmacore.soap.maxSessionCount"
	// InstanceName is vCenter's.
	InstanceName = "VirtualCenter.InstanceName"
	// DefaultLocale is vigate's.
	DefaultLocale = "vigate.locale.default"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
	// manyCount is the largest limit of sessions that can be asked for.
	manyCount = 10_000_000
	maxText   = 255 // bytes of a text option
)

// option is one row: a name and the value that it sets. at returns a
// *time.Duration, an *int or a *string.
type option struct {
	name string
	at   func(*Values) any
	unit time.Duration // of a number on the wire, for times
	// base bounds what the configuration may say: a number, nanoseconds, or bytes of a
	// text. clients bounds what clients may set, which no privilege but
	// Global.Settings is needed for: within it the promises of docs/security.md hold,
	// and nobody is shut out. What the configuration says is always within it.
	base, clients  bounds
	strict         strictness
	label, summary string
}

// bounds are the smallest and the largest value.
type bounds struct{ min, max int64 }

func times(min, max time.Duration) bounds { return bounds{int64(min), int64(max)} }

// reaching are bounds that n is in, too.
func (b bounds) reaching(n int64) bounds { return bounds{min(b.min, n), max(b.max, n)} }

func (b bounds) has(n int64) bool { return b.min <= n && n <= b.max }

// nearest is the number in bounds that is nearest to n.
func (b bounds) nearest(n int64) int64 { return min(max(n, b.min), b.max) }

// strictness says which of two values of an option lets strangers do less.
type strictness int

const (
	neither strictness = iota // a text: none is stricter
	less                      // the smaller number, the shorter time
	more                      // the greater number, the longer time
)

var (
	anyCount = bounds{1, manyCount}
	anyLock  = times(time.Second, day)
	anyLife  = times(time.Second, year)
)

// options are all there are, in the order of their names.
var options = []option{
	{"VirtualCenter.InstanceName", func(v *Values) any { return &v.InstanceName },
		0, bounds{1, maxText}, bounds{1, maxText}, neither,
		"Instance name", "What the server calls itself."},
	{"config.vmacore.soap.maxSessionCount", func(v *Values) any { return &v.MaxSessions },
		0, anyCount, bounds{100, 1_000_000}, less,
		"Maximum sessions", "How many sessions may be live at a time. Logins past it are refused."},
	{"config.vmacore.soap.sessionTimeout", func(v *Values) any { return &v.IdleTimeout },
		time.Minute, anyLife, times(time.Minute, day), less,
		"Idle timeout", "After how many minutes without a call a session ends."},
	{"vigate.locale.default", func(v *Values) any { return &v.DefaultLocale },
		0, bounds{2, 35}, bounds{2, 35}, neither,
		"Default locale", "The locale of sessions and messages where none is asked for."},
	{"vigate.lockout.address.duration", func(v *Values) any { return &v.Address.Duration },
		time.Second, anyLock, times(time.Minute, time.Hour), more,
		"Address lock", "For how many seconds an address stays locked."},
	{"vigate.lockout.address.failures", func(v *Values) any { return &v.Address.Failures },
		0, anyCount, bounds{20, 500}, less,
		"Failures per address", "How many failed logins from one address lock it."},
	{"vigate.lockout.address.interval", func(v *Values) any { return &v.Address.Interval },
		time.Second, anyLock, times(time.Minute, day), more,
		"Interval per address", "Within how many seconds failed logins from one address count together."},
	{"vigate.lockout.pair.duration", func(v *Values) any { return &v.Pair.Duration },
		time.Second, anyLock, times(time.Minute, day), more,
		"Lock of user and address", "For how many seconds a user stays locked for an address."},
	{"vigate.lockout.pair.failures", func(v *Values) any { return &v.Pair.Failures },
		0, anyCount, bounds{3, 20}, less,
		"Failures per user and address",
		"How many failed logins of one user from one address lock that user for that address."},
	{"vigate.lockout.pair.interval", func(v *Values) any { return &v.Pair.Interval },
		time.Second, anyLock, times(time.Minute, day), more,
		"Interval per user and address",
		"Within how many seconds failed logins of one user from one address count together."},
	{"vigate.lockout.principal.duration", func(v *Values) any { return &v.Principal.Duration },
		time.Second, anyLock, times(time.Minute, time.Hour), more,
		"User lock", "For how many seconds a user stays locked for all addresses."},
	{"vigate.lockout.principal.failures", func(v *Values) any { return &v.Principal.Failures },
		0, anyCount, bounds{20, 500}, less,
		"Failures per user", "How many failed logins of one user, from anywhere, lock that user."},
	{"vigate.lockout.principal.interval", func(v *Values) any { return &v.Principal.Interval },
		time.Second, anyLock, times(30*time.Minute, day), more,
		"Interval per user", "Within how many seconds failed logins of one user count together."},
	{"vigate.session.maxLifetime", func(v *Values) any { return &v.MaxLifetime },
		time.Minute, anyLife, times(5*time.Minute, 7*day), less,
		"Maximum lifetime", "How many minutes after its login a session ends, however much it is used."},
	{"vigate.session.maxPerUser", func(v *Values) any { return &v.MaxPerPrincipal },
		0, anyCount, bounds{10, 100_000}, less,
		"Maximum sessions per user",
		"How many sessions of one user may be live at a time. Logins past it are refused."},
	{"vigate.ticket.lifetime", func(v *Values) any { return &v.TicketLifetime },
		time.Second, anyLock, times(10*time.Second, 10*time.Minute), less,
		"Ticket lifetime", "For how many seconds a clone ticket or a service ticket can be used."},
}
