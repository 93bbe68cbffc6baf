package config

import "time"

// Key is one thing that can be set, under the same name in the file and as a
// flag.
type Key struct {
	Name    string
	Help    string
	Default string // as one would write it; empty: none
	kind    kind
	field   func(*Config) any // what its kind writes to
}

// List reports whether the key has any number of values, each a flag of its own.
func (k Key) List() bool { return k.kind.list }

// Bool reports whether the flag alone means true.
func (k Key) Bool() bool { return k.kind.name == "bool" }

const day = 24 * time.Hour

// Keys returns the table.
func Keys() []Key {
	return []Key{
		{"data", "directory that keeps the store and the generated certificate", "", text(4096),
			func(c *Config) any { return &c.Data }},
		{"dev", "try it out: a temporary data directory unless one is given, and a first login shown on the terminal", "false", boolean(),
			func(c *Config) any { return &c.Dev }},
		{"listen", "address of the HTTPS listener; empty for none", "127.0.0.1:8989", address(),
			func(c *Config) any { return &c.Listen }},
		{"plain-http", "loopback address of a listener without TLS, which also carries CONNECT to sdkTunnel:8089", "", address(),
			func(c *Config) any { return &c.PlainHTTP }},
		{"plain-http-host", "name that plain-http answers to besides localhost and loopback addresses, such as a proxy's; * for any", "", hosts(),
			func(c *Config) any { return &c.PlainHTTPHosts }},
		{"unix", "path of a Unix socket to listen on, for local tickets", "", text(100),
			func(c *Config) any { return &c.Unix }},
		{"admin-listen", "loopback address of the listener for metrics and profiles", "", address(),
			func(c *Config) any { return &c.AdminListen }},
		{"store", "where sessions and all else are kept: bolt (in data), or etcd://HOST:PORT[,HOST:PORT…]/PREFIX for a cluster", "bolt", storage(),
			func(c *Config) any { return &c.Store }},
		{"etcd-ca", "PEM file of the authorities of etcd's certificates; without it and etcd-cert, etcd is spoken to without TLS", "", text(4096),
			func(c *Config) any { return &c.EtcdCA }},
		{"etcd-cert", "PEM file of this node's client certificate for etcd", "", text(4096),
			func(c *Config) any { return &c.EtcdCert }},
		{"etcd-key", "PEM file of the private key of etcd-cert", "", text(4096),
			func(c *Config) any { return &c.EtcdKey }},
		{"node-name", "what this node of a cluster is called; empty for the host's name", "", text(255),
			func(c *Config) any { return &c.NodeName }},
		{"max-connections", "connections at one time, past which new ones are closed", "20000", number(1, 1_000_000),
			func(c *Config) any { return &c.MaxConnections }},
		{"max-connections-per-address", "connections of one address at one time (of a /64 for IPv6, of a user for unix; trusted-proxy is exempt); 0 for a quarter of max-connections", "0", number(0, 1_000_000),
			func(c *Config) any { return &c.MaxAddressConnections }},
		{"idle-connection-timeout", "a connection without a request for this long is closed; pyVmomi uses its own again for 900s", "902s", duration(time.Second, day),
			func(c *Config) any { return &c.IdleConnectionTimeout }},
		{"drain-timeout", "how long requests in flight may take to finish at shutdown", "15s", duration(0, 10*time.Minute),
			func(c *Config) any { return &c.DrainTimeout }},

		{"tls-cert", "PEM file of the server's certificate chain, read again when it changes; without it one is generated", "", text(4096),
			func(c *Config) any { return &c.TLSCert }},
		{"tls-key", "PEM file of the private key of tls-cert", "", text(4096),
			func(c *Config) any { return &c.TLSKey }},
		{"client-ca", "PEM file of authorities whose client certificates LoginExtensionBySubjectName accepts", "", texts(4096),
			func(c *Config) any { return &c.ClientCA }},
		{"client-crl", "file of revoked client certificates, issued by a client-ca", "", texts(4096),
			func(c *Config) any { return &c.ClientCRL }},
		{"trusted-proxy", "network (CIDR) of proxies whose X-Forwarded-For is believed", "", prefixes(),
			func(c *Config) any { return &c.TrustedProxies }},

		{"local-tickets", "who may ask for a local ticket: socket (clients of the Unix socket), loopback (and of loopback addresses) or off", "socket",
			oneOf(LocalTicketsSocket, LocalTicketsLoopback, LocalTicketsOff),
			func(c *Config) any { return &c.LocalTickets }},
		{"max-sessions", "sessions at one time", "100000", number(1, 10_000_000),
			func(c *Config) any { return &c.MaxSessions }},
		{"max-sessions-per-user", "sessions of one user at one time", "2000", number(1, 10_000_000),
			func(c *Config) any { return &c.MaxSessionsPerUser }},
		{"idle-timeout", "a session without a call for this long ends", "30m", duration(time.Second, 365*day),
			func(c *Config) any { return &c.IdleTimeout }},
		{"max-lifetime", "a session ends this long after its login, busy or not", "24h", duration(time.Second, 365*day),
			func(c *Config) any { return &c.MaxLifetime }},
		{"ticket-lifetime", "how long a clone or service ticket can be used (a local ticket: always 60s)", "120s", duration(time.Second, time.Hour),
			func(c *Config) any { return &c.TicketLifetime }},
		{"default-domain", "domain of users who log in without one", "vsphere.local", name(),
			func(c *Config) any { return &c.DefaultDomain }},
		{"default-locale", "locale of sessions that ask for none", "en", name(),
			func(c *Config) any { return &c.DefaultLocale }},
		{"admin-password-file", "file with the administrator's first password, read at the first start only", "", text(4096),
			func(c *Config) any { return &c.AdminPasswordFile }},

		{"lockout-failures", "failed logins of one user from one address that lock the two together", "5", number(1, 1_000_000),
			func(c *Config) any { return &c.Lockout.Failures }},
		{"lockout-window", "time in which the failures of lockout-failures count", "180s", duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.Window }},
		{"lockout-duration", "how long a lock holds", "300s", duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.Duration }},
		{"lockout-user-failures", "failed logins of one user from anywhere that lock the user", "100", number(1, 1_000_000),
			func(c *Config) any { return &c.Lockout.UserFailures }},
		{"lockout-user-window", "time in which the failures of lockout-user-failures count", "1h", duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.UserWindow }},
		{"lockout-address-failures", "failed logins from one address that lock the address", "100", number(1, 1_000_000),
			func(c *Config) any { return &c.Lockout.AddressFailures }},
		{"lockout-address-window", "time in which the failures of lockout-address-failures count", "180s", duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.AddressWindow }},

		{"log-format", "text or json", "text", oneOf(LogText, LogJSON),
			func(c *Config) any { return &c.LogFormat }},
		{"log-level", "debug, info, warn or error", "info", level(),
			func(c *Config) any { return &c.LogLevel }},
	}
}
