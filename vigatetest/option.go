package vigatetest

import (
	"log/slog"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
)

// User is a user of the server. Its name has the form user@vsphere.local.
type User struct {
	Name     string
	Password string // at least eight characters
	FullName string
	Role     Role // on the root folder, and so on everything
}

// Role is the name of a set of privileges. If it is empty, its user has no privileges and can't log in.
type Role string

// The roles that every server has. [WithRole] adds others.
const (
	RoleAdmin    Role = "Admin"    // all privileges
	RoleReadOnly Role = "ReadOnly" // System.Anonymous, System.View and System.Read
	RoleNoAccess Role = "NoAccess" // none
)

// administratorPassword is the password of the administrator of every server. The servers listen only on
// loopback addresses, and have no data.
const administratorPassword = "the administrator of a test"

// Administrator returns the user that every server has. It has all privileges.
func Administrator() User {
	return User{
		Name: "administrator@vsphere.local", Password: administratorPassword, FullName: "Administrator",
		Role: RoleAdmin,
	}
}

// Option changes a server before it starts.
type Option func(*options)

type options struct {
	lab       lab.Options
	configure []func(*config.Config)
	inventory *Inventory // nil: none
}

// with returns an option that changes the configuration.
func with(change func(*config.Config)) Option {
	return func(o *options) { o.configure = append(o.configure, change) }
}

// WithUsers adds users.
func WithUsers(users ...User) Option {
	return func(o *options) {
		for _, u := range users {
			o.lab.Users = append(o.lab.Users, lab.User{
				Name: u.Name, Password: secret.New(u.Password), FullName: u.FullName, Role: string(u.Role),
			})
		}
	}
}

// WithRole adds a role with privileges such as "Sessions.TerminateSession". Every role also has
// System.Anonymous, System.View and System.Read.
func WithRole(role Role, privileges ...string) Option {
	return func(o *options) {
		o.lab.Roles = append(o.lab.Roles, lab.Role{Name: string(role), Privileges: privileges})
	}
}

// WithIdleTimeout sets how long a session lives without a call. The default is 30 minutes.
func WithIdleTimeout(d time.Duration) Option {
	return with(func(c *config.Config) { c.IdleTimeout = d })
}

// WithMaxLifetime sets how long a session lives at most, even if it is used. The default is 24 hours.
func WithMaxLifetime(d time.Duration) Option {
	return with(func(c *config.Config) { c.MaxLifetime = d })
}

// WithTicketLifetime sets how long a clone ticket is good. The default is two minutes.
func WithTicketLifetime(d time.Duration) Option {
	return with(func(c *config.Config) { c.TicketLifetime = d })
}

// WithMaxSessions sets the maximum number of live sessions of all users, and of each user. The defaults are
// 100,000 and 2,000. [Server.Limit] sets a limit later.
func WithMaxSessions(all, user int) Option {
	return with(func(c *config.Config) { c.MaxSessions, c.MaxSessionsPerUser = all, user })
}

// WithLockout sets after how many failed logins of a user within window the user is locked for the time
// duration, for the address that the logins came from. The default is five within three minutes, for five
// minutes.
func WithLockout(failures int, window, duration time.Duration) Option {
	return with(func(c *config.Config) {
		c.Lockout.Failures, c.Lockout.Window, c.Lockout.Duration = failures, window, duration
	})
}

// WithLogger sets the logger of the server. Without this option the server logs nothing.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.lab.Logger = l } }
