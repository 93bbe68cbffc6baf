package setting

import (
	"time"
)

// Values holds the options in force at one moment. It must not be changed.
type Values struct {
	IdleTimeout     time.Duration // a session ends after this time without a call
	MaxLifetime     time.Duration // a session ends after this time since its login
	TicketLifetime  time.Duration // lifetime of clone tickets and generic service tickets
	MaxSessions     int           // maximum number of live sessions
	MaxPerPrincipal int           // maximum number of live sessions of one principal
	InstanceName    string        // name of the server
	DefaultLocale   string        // locale if neither the session nor the request names one

	// Pair locks one principal for one address, Principal locks one principal for all addresses,
	// and Address locks one address for all principals.
	Pair, Principal, Address Lockout
}

// Lockout is a rule for locks: after a number of failed logins within Interval, logins are locked
// for Duration.
type Lockout struct {
	Failures int
	Interval time.Duration
	Duration time.Duration
}

// Defaults returns the default values.
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

// Names of options that other packages use.
const (
	// IdleTimeout is an option of vCenter, in minutes, like the option of the ESXi host agent
	// (Config.HostAgent.vmacore.soap.sessionTimeout, 30).
	IdleTimeout = "config.vmacore.soap.sessionTimeout"
	// MaxSessions is an option of vCenter.
	MaxSessions = "config.vmacore.soap.maxSessionCount"
	// InstanceName is an option of vCenter.
	InstanceName = "VirtualCenter.InstanceName"
	// DefaultLocale is an option of vigate.
	DefaultLocale = "vigate.locale.default"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
	// manyCount is the largest limit of sessions that can be set.
	manyCount = 10_000_000
	maxText   = 255 // in bytes, of a text option
)

// option is one row of the table of options: a name and the value that the option sets. at returns
// a pointer to the value: a *time.Duration, *int or *string.
type option struct {
	name string
	at   func(*Values) any
	unit time.Duration // unit of a time that is sent as a number
	// base bounds the values that the configuration may set: numbers, nanoseconds, or bytes of a
	// text. clients bounds the values that clients may set. Clients need only the privilege
	// Global.Settings for that, so within these bounds the promises of docs/security.md hold and no
	// user is locked out for good. The value in the configuration is always within the bounds of
	// clients.
	base, clients  bounds
	strict         strictness
	label, summary string
}

// bounds is the smallest and the largest allowed value.
type bounds struct{ min, max int64 }

func times(min, max time.Duration) bounds { return bounds{int64(min), int64(max)} }

// reaching returns bounds that are widened to include n.
func (b bounds) reaching(n int64) bounds { return bounds{min(b.min, n), max(b.max, n)} }

func (b bounds) has(n int64) bool { return b.min <= n && n <= b.max }

// nearest returns the number within the bounds that is nearest to n.
func (b bounds) nearest(n int64) int64 { return min(max(n, b.min), b.max) }

// strictness tells which of two values of an option is stricter, that is, allows clients less.
type strictness int

const (
	neither strictness = iota // for texts, which are never stricter
	less                      // the smaller number, or the shorter time
	more                      // the greater number, or the longer time
)

var (
	anyCount = bounds{1, manyCount}
	anyLock  = times(time.Second, day)
	anyLife  = times(time.Second, year)
)

// options are all options, sorted by name.
var options = []option{
	{"VirtualCenter.InstanceName", func(v *Values) any { return &v.InstanceName },
		0, bounds{1, maxText}, bounds{1, maxText}, neither,
		"Instance name", "Name of the server."},
	{"config.vmacore.soap.maxSessionCount", func(v *Values) any { return &v.MaxSessions },
		0, anyCount, bounds{100, 1_000_000}, less,
		"Maximum sessions", "Maximum number of live sessions. Further logins are refused."},
	{"config.vmacore.soap.sessionTimeout", func(v *Values) any { return &v.IdleTimeout },
		time.Minute, anyLife, times(time.Minute, day), less,
		"Idle timeout", "Number of minutes without a call after which a session ends."},
	{"vigate.locale.default", func(v *Values) any { return &v.DefaultLocale },
		0, bounds{2, 35}, bounds{2, 35}, neither,
		"Default locale", "Locale of sessions and messages if a client asks for none."},
	{"vigate.lockout.address.duration", func(v *Values) any { return &v.Address.Duration },
		time.Second, anyLock, times(time.Minute, time.Hour), more,
		"Address lock", "Number of seconds for which an address stays locked."},
	{"vigate.lockout.address.failures", func(v *Values) any { return &v.Address.Failures },
		0, anyCount, bounds{20, 500}, less,
		"Failures per address", "Number of failed logins from one address that locks the address."},
	{"vigate.lockout.address.interval", func(v *Values) any { return &v.Address.Interval },
		time.Second, anyLock, times(time.Minute, day), more,
		"Interval per address", "Number of seconds in which failed logins from one address are counted."},
	{"vigate.lockout.pair.duration", func(v *Values) any { return &v.Pair.Duration },
		time.Second, anyLock, times(time.Minute, day), more,
		"Lock of user and address", "Number of seconds for which a user stays locked for an address."},
	{"vigate.lockout.pair.failures", func(v *Values) any { return &v.Pair.Failures },
		0, anyCount, bounds{3, 20}, less,
		"Failures per user and address",
		"Number of failed logins of one user from one address that locks the user for this address."},
	{"vigate.lockout.pair.interval", func(v *Values) any { return &v.Pair.Interval },
		time.Second, anyLock, times(time.Minute, day), more,
		"Interval per user and address",
		"Number of seconds in which failed logins of one user from one address are counted."},
	{"vigate.lockout.principal.duration", func(v *Values) any { return &v.Principal.Duration },
		time.Second, anyLock, times(time.Minute, time.Hour), more,
		"User lock", "Number of seconds for which a user stays locked for all addresses."},
	{"vigate.lockout.principal.failures", func(v *Values) any { return &v.Principal.Failures },
		0, anyCount, bounds{20, 500}, less,
		"Failures per user", "Number of failed logins of one user from all addresses that locks the user."},
	{"vigate.lockout.principal.interval", func(v *Values) any { return &v.Principal.Interval },
		time.Second, anyLock, times(30*time.Minute, day), more,
		"Interval per user", "Number of seconds in which failed logins of one user are counted."},
	{"vigate.session.maxLifetime", func(v *Values) any { return &v.MaxLifetime },
		time.Minute, anyLife, times(5*time.Minute, 7*day), less,
		"Maximum lifetime", "Number of minutes after its login when a session ends, even if it is in use."},
	{"vigate.session.maxPerUser", func(v *Values) any { return &v.MaxPerPrincipal },
		0, anyCount, bounds{10, 100_000}, less,
		"Maximum sessions per user",
		"Maximum number of live sessions of one user. Further logins are refused."},
	{"vigate.ticket.lifetime", func(v *Values) any { return &v.TicketLifetime },
		time.Second, anyLock, times(10*time.Second, 10*time.Minute), less,
		"Ticket lifetime", "Number of seconds for which a clone ticket or a service ticket is valid."},
}
