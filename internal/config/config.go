// Package config defines what an operator can configure. One table of keys, returned by [Keys],
// determines the keys of the configuration file, the command-line flags, their help texts and the
// defaults.
//
// [Read] reads a configuration from defaults, a YAML file, environment variables and flags; each of
// them overrides those before it. It reports all mistakes at once, each as an [*Error] with its file
// and line. The result is a [Config], a plain struct that is passed to the packages that need it, and
// where each value comes from. The package only checks that values are well-formed; whether a file
// exists or an address is free is found out when the server starts.
package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config holds the value of each key. The table in keys.go describes the keys and their defaults.
type Config struct {
	Data           string
	Dev            bool
	Listen         string
	PlainHTTP      string
	PlainHTTPHosts []string
	Unix           string
	AdminListen    string
	AdminClientCA  []string
	AdminTokenFile string
	ReadyFile      string
	Console        bool

	Store    Store
	Etcd     Etcd
	NodeName string

	TLSCert        string
	TLSKey         string
	ClientCA       []string
	ClientCRL      []string
	TrustedProxies []netip.Prefix

	MaxConnections        int
	MaxAddressConnections int // 0 means a quarter of MaxConnections
	IdleConnectionTimeout time.Duration

	LocalTickets       LocalTickets
	MaxSessions        int
	MaxSessionsPerUser int
	IdleTimeout        time.Duration
	MaxLifetime        time.Duration
	TicketLifetime     time.Duration
	DefaultDomain      string
	DefaultLocale      string
	AdminPasswordFile  string
	Lockout            Lockout

	DrainTimeout time.Duration
	LogFormat    LogFormat
	LogLevel     slog.Level
}

// Lockout limits failed logins; see the keys that begin with lockout-.
type Lockout struct {
	Failures int
	Window   time.Duration
	Duration time.Duration

	UserFailures int
	UserWindow   time.Duration

	AddressFailures int
	AddressWindow   time.Duration
}

// LocalTickets determines which callers may acquire a local ticket.
type LocalTickets string

// The values of [LocalTickets].
const (
	LocalTicketsSocket   LocalTickets = "socket"   // clients of the Unix socket
	LocalTicketsLoopback LocalTickets = "loopback" // clients of the Unix socket and of loopback addresses
	LocalTicketsOff      LocalTickets = "off"      // no clients
)

// LogFormat is the format of a log line.
type LogFormat string

// The values of [LogFormat].
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)
