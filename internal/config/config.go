// Package config defines what an operator can configure. One table of keys, returned by [Keys],
// determines the keys of the configuration file, the command-line flags, their help texts and the
// defaults.
//
// [Load] reads a configuration from defaults, a YAML file and flags; a flag overrides the file. It
// reports all mistakes at once, each as an [*Error] with its file and line. The result is a
// [Config], a plain struct that is passed to the packages that need it. The package only checks
// that values are well-formed; whether a file exists or an address is free is found out when the
// server starts.
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
	ReadyFile      string

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

// check returns the conflicts between keys whose values are valid by themselves. from returns where
// a key was set.
func (c *Config) check(from func(key string) string) []error {
	var errs []error
	wrong := func(key, problem string) { errs = append(errs, &Error{From: from(key), Key: key, Problem: problem}) }
	if c.Data == "" && !c.Dev {
		wrong("data", "is required unless dev is set")
	}
	if c.Listen == "" && c.PlainHTTP == "" && c.Unix == "" {
		wrong("listen", "is empty, and so are plain-http and unix; at least one listener is required")
	}
	if c.TLSCert != "" && c.TLSKey == "" {
		wrong("tls-cert", "needs tls-key")
	}
	if c.TLSKey != "" && c.TLSCert == "" {
		wrong("tls-key", "needs tls-cert")
	}
	if len(c.ClientCRL) > 0 && len(c.ClientCA) == 0 {
		wrong("client-crl", "needs client-ca, which must have issued it")
	}
	c.checkEtcd(wrong)
	if c.MaxSessionsPerUser > c.MaxSessions {
		wrong("max-sessions-per-user", "is greater than max-sessions")
	}
	if c.IdleTimeout > c.MaxLifetime {
		wrong("idle-timeout", "is longer than max-lifetime")
	}
	return errs
}
