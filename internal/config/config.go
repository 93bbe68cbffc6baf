// Package config is what an operator can set: one table of keys, from which
// come the file's grammar, the flags and their help, and the defaults.
package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config is what the keys of the table say. The table, in keys.go, tells what
// each means, and its default.
type Config struct {
	Data           string
	Dev            bool
	Listen         string
	PlainHTTP      string
	PlainHTTPHosts []string
	Unix           string
	AdminListen    string

	Store    Store
	EtcdCA   string
	EtcdCert string
	EtcdKey  string
	NodeName string

	TLSCert        string
	TLSKey         string
	ClientCA       []string
	ClientCRL      []string
	TrustedProxies []netip.Prefix

	MaxConnections        int
	MaxAddressConnections int // 0: a quarter of MaxConnections
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

// Lockout says when failed logins lock, see the keys that begin with lockout-.
type Lockout struct {
	Failures int
	Window   time.Duration
	Duration time.Duration

	UserFailures int
	UserWindow   time.Duration

	AddressFailures int
	AddressWindow   time.Duration
}

// LocalTickets says who may ask for a local ticket.
type LocalTickets string

// The values of [LocalTickets].
const (
	LocalTicketsSocket   LocalTickets = "socket"   // clients of the Unix socket
	LocalTicketsLoopback LocalTickets = "loopback" // and those on a loopback connection
	LocalTicketsOff      LocalTickets = "off"      // nobody
)

// LogFormat is how a line of the log is written.
type LogFormat string

// The values of [LogFormat].
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// check reports what is wrong between keys that are right one by one. from
// tells where a key was set.
func (c *Config) check(from func(key string) string) []error {
	var errs []error
	wrong := func(key, problem string) { errs = append(errs, &Error{From: from(key), Key: key, Problem: problem}) }
	if c.Data == "" && !c.Dev {
		wrong("data", "is needed, unless dev is set")
	}
	if c.Listen == "" && c.PlainHTTP == "" && c.Unix == "" {
		wrong("listen", "is empty, and so are plain-http and unix: there is nothing to listen on")
	}
	if c.TLSCert != "" && c.TLSKey == "" {
		wrong("tls-cert", "needs tls-key")
	}
	if c.TLSKey != "" && c.TLSCert == "" {
		wrong("tls-key", "needs tls-cert")
	}
	if len(c.ClientCRL) > 0 && len(c.ClientCA) == 0 {
		wrong("client-crl", "needs client-ca, which issues it")
	}
	if c.EtcdCert != "" && c.EtcdKey == "" {
		wrong("etcd-cert", "needs etcd-key")
	}
	if c.EtcdKey != "" && c.EtcdCert == "" {
		wrong("etcd-key", "needs etcd-cert")
	}
	if (c.EtcdCA != "" || c.EtcdCert != "") && len(c.Store.Endpoints) == 0 {
		wrong("store", "is not on etcd, but etcd-ca or etcd-cert is set")
	}
	if c.MaxSessionsPerUser > c.MaxSessions {
		wrong("max-sessions-per-user", "is more than max-sessions")
	}
	if c.IdleTimeout > c.MaxLifetime {
		wrong("idle-timeout", "is longer than max-lifetime")
	}
	return errs
}
