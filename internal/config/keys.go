package config

import "time"

// Key is a setting that has the same name in the configuration file and as a flag.
type Key struct {
	Name    string
	Help    string
	Default string // as in the file; empty if there is no default
	kind    kind
	field   func(*Config) any // returns a pointer to the key's field
}

// List reports whether the key has several values. Each value is a separate flag or an element of a
// list in the file.
func (k Key) List() bool { return k.kind.list }

// Bool reports whether the flag without a value means true.
func (k Key) Bool() bool { return k.kind.name == "bool" }

const day = 24 * time.Hour

// Keys returns the table of all keys.
func Keys() []Key {
	return []Key{
		{"data", "directory of the store and of the generated certificate", "", text(4096),
			func(c *Config) any { return &c.Data }},
		{"dev", "development mode: use a temporary data directory unless data is set, and print the first password " +
			"on the terminal", "false", boolean(),
			func(c *Config) any { return &c.Dev }},
		{"listen", "address of the HTTPS listener; empty for no HTTPS listener", "127.0.0.1:8989", address(),
			func(c *Config) any { return &c.Listen }},
		{"plain-http", "loopback address of a listener without TLS, which also carries CONNECT to sdkTunnel:8089", "",
			loopback(),
			func(c *Config) any { return &c.PlainHTTP }},
		{"plain-http-host", "host name that plain-http accepts besides localhost and loopback addresses, such as a " +
			"proxy's; * for any name", "", hosts(),
			func(c *Config) any { return &c.PlainHTTPHosts }},
		{"unix", "path of a Unix socket to listen on, also for local tickets", "", text(100),
			func(c *Config) any { return &c.Unix }},
		{"admin-listen", "address of the listener for metrics; on a loopback address also for profiles, and without " +
			"TLS unless admin-client-ca or admin-token-file is set; other addresses need one of these", "", address(),
			func(c *Config) any { return &c.AdminListen }},
		{"admin-client-ca", "PEM file of the certificate authorities whose client certificates may read the metrics; " +
			"admin-listen then has TLS", "", texts(4096),
			func(c *Config) any { return &c.AdminClientCA }},
		{"admin-token-file", "file that contains the token with which metrics are read (Authorization: Bearer), " +
			"reloaded when it changes; admin-listen then has TLS; with admin-client-ca, both are needed", "",
			text(4096),
			func(c *Config) any { return &c.AdminTokenFile }},
		{"ready-file", "file in which the server writes its URL, certificate thumbprint and process id, as JSON, as " +
			"long as it serves", "", text(4096),
			func(c *Config) any { return &c.ReadyFile }},
		{"console", "serve pages for browsers at /ui/, on the server and on each front", "true", boolean(),
			func(c *Config) any { return &c.Console }},
		{"store", "store of all data: bolt (a file in data), or etcd://HOST:PORT[,HOST:PORT…]/PREFIX for a cluster",
			"bolt", storage(),
			func(c *Config) any { return &c.Store }},
		{"etcd-ca", "PEM file of the certificate authorities to trust for etcd; without it and etcd-cert, the " +
			"connection to etcd has no TLS", "", text(4096),
			func(c *Config) any { return &c.Etcd.CA }},
		{"etcd-cert", "PEM file of this node's client certificate for etcd", "", text(4096),
			func(c *Config) any { return &c.Etcd.Cert }},
		{"etcd-key", "PEM file of the private key of etcd-cert", "", text(4096),
			func(c *Config) any { return &c.Etcd.Key }},
		{"etcd-user", "name of the etcd user, if etcd has authentication enabled", "", text(255),
			func(c *Config) any { return &c.Etcd.User }},
		{"etcd-password-file", "file that contains the password of etcd-user; read only at start", "", text(4096),
			func(c *Config) any { return &c.Etcd.PasswordFile }},
		{"etcd-start-timeout", "time within which etcd must answer at start", "30s", duration(time.Second, time.Hour),
			func(c *Config) any { return &c.Etcd.StartTimeout }},
		{"etcd-timeout", "time after which a call to etcd fails; an attempt with one member may take a third of it",
			"5s", duration(time.Second, time.Minute),
			func(c *Config) any { return &c.Etcd.Timeout }},
		{"etcd-max-lag", "time without news from etcd after which this node refuses all calls, because a session may " +
			"have ended on another node", "5s", duration(time.Second, time.Minute),
			func(c *Config) any { return &c.Etcd.MaxLag }},
		{"node-name", "name of this node in the cluster; empty for the host name", "", text(255),
			func(c *Config) any { return &c.NodeName }},
		{"max-connections", "maximum number of open connections; further ones are closed", "20000",
			number(1, 1_000_000),
			func(c *Config) any { return &c.MaxConnections }},
		{"max-connections-per-address", "maximum number of open connections per address (per /64 for IPv6, per user " +
			"for unix; trusted-proxy is exempt); 0 for a quarter of max-connections", "0", number(0, 1_000_000),
			func(c *Config) any { return &c.MaxAddressConnections }},
		{"idle-connection-timeout", "a connection without a request for this long is closed; pyVmomi reuses a " +
			"connection for up to 900s", "902s", duration(time.Second, day),
			func(c *Config) any { return &c.IdleConnectionTimeout }},
		{"drain-timeout", "how long running requests may take to finish at shutdown", "15s",
			duration(0, 10*time.Minute),
			func(c *Config) any { return &c.DrainTimeout }},

		{"tls-cert", "PEM file of the server's certificate chain, reloaded when it changes; empty for a generated " +
			"certificate", "", text(4096),
			func(c *Config) any { return &c.TLSCert }},
		{"tls-key", "PEM file of the private key of tls-cert", "", text(4096),
			func(c *Config) any { return &c.TLSKey }},
		{"client-ca", "PEM file of the certificate authorities whose client certificates LoginExtensionBySubjectName " +
			"accepts", "", texts(4096),
			func(c *Config) any { return &c.ClientCA }},
		{"client-crl", "file with the certificate revocation list of a client-ca", "", texts(4096),
			func(c *Config) any { return &c.ClientCRL }},
		{"trusted-proxy", "network (CIDR) of proxies whose X-Forwarded-For header is trusted", "", prefixes(),
			func(c *Config) any { return &c.TrustedProxies }},

		{"local-tickets", "which clients may acquire a local ticket: socket (the Unix socket), loopback (the Unix " +
			"socket and loopback addresses) or off", "socket",
			oneOf(LocalTicketsSocket, LocalTicketsLoopback, LocalTicketsOff),
			func(c *Config) any { return &c.LocalTickets }},
		{"max-sessions", "maximum number of sessions", "100000", number(1, 10_000_000),
			func(c *Config) any { return &c.MaxSessions }},
		{"max-sessions-per-user", "maximum number of sessions per user", "2000", number(1, 10_000_000),
			func(c *Config) any { return &c.MaxSessionsPerUser }},
		{"idle-timeout", "a session without a call for this long ends", "30m", duration(time.Second, 365*day),
			func(c *Config) any { return &c.IdleTimeout }},
		{"max-lifetime", "a session ends this long after its login, even if it is in use", "24h",
			duration(time.Second, 365*day),
			func(c *Config) any { return &c.MaxLifetime }},
		{"ticket-lifetime", "how long a clone or service ticket is valid (a local ticket always has 60s)", "120s",
			duration(time.Second, time.Hour),
			func(c *Config) any { return &c.TicketLifetime }},
		{"default-domain", "domain of users who log in without a domain", "vsphere.local", name(),
			func(c *Config) any { return &c.DefaultDomain }},
		{"default-locale", "locale of sessions that don't ask for one", "en", name(),
			func(c *Config) any { return &c.DefaultLocale }},
		{"admin-password-file", "file that holds the administrator's first password; read only at the first start", "",
			text(4096),
			func(c *Config) any { return &c.AdminPasswordFile }},

		{"lockout-failures", "number of failed logins of one user from one address that locks this user for this " +
			"address", "5", number(1, 1_000_000),
			func(c *Config) any { return &c.Lockout.Failures }},
		{"lockout-window", "period in which the failures of lockout-failures are counted", "180s",
			duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.Window }},
		{"lockout-duration", "how long a lock lasts", "300s", duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.Duration }},
		{"lockout-user-failures", "number of failed logins of one user from all addresses that locks the user", "100",
			number(1, 1_000_000),
			func(c *Config) any { return &c.Lockout.UserFailures }},
		{"lockout-user-window", "period in which the failures of lockout-user-failures are counted", "1h",
			duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.UserWindow }},
		{"lockout-address-failures", "number of failed logins from one address that locks the address", "100",
			number(1, 1_000_000),
			func(c *Config) any { return &c.Lockout.AddressFailures }},
		{"lockout-address-window", "period in which the failures of lockout-address-failures are counted", "180s",
			duration(time.Second, 30*day),
			func(c *Config) any { return &c.Lockout.AddressWindow }},

		{"log-format", "format of the log: text or json", "text", oneOf(LogText, LogJSON),
			func(c *Config) any { return &c.LogFormat }},
		{"log-level", "lowest level that is logged: debug, info, warn or error", "info", level(),
			func(c *Config) any { return &c.LogLevel }},
	}
}
