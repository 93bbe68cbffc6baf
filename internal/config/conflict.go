package config

import (
	"fmt"
	"slices"
)

// conflict is a rule about keys whose values are well-formed by themselves.
type conflict struct {
	// keys are the keys that the rule reads. The mistake is about the first.
	keys []string
	// problem returns what is wrong, or "". It continues a sentence that begins with the first key.
	problem func(c *Config) string
}

// conflicts returns all rules.
func conflicts() []conflict {
	return slices.Concat([]conflict{
		{[]string{"data", "dev"}, func(c *Config) string {
			return problemIf(c.Data == "" && !c.Dev, "is required unless dev is set")
		}},
		{[]string{"listen", "plain-http", "unix"}, func(c *Config) string {
			return problemIf(c.Listen == "" && c.PlainHTTP == "" && c.Unix == "",
				"is empty, and so are plain-http and unix; at least one listener is required")
		}},
		{[]string{"client-crl", "client-ca"}, func(c *Config) string {
			return problemIf(len(c.ClientCRL) > 0 && len(c.ClientCA) == 0, "needs client-ca, which must have issued it")
		}},
		{[]string{"max-sessions-per-user", "max-sessions"}, func(c *Config) string {
			return problemIf(c.MaxSessionsPerUser > c.MaxSessions,
				fmt.Sprintf("(%d) is greater than max-sessions (%d)", c.MaxSessionsPerUser, c.MaxSessions))
		}},
		{[]string{"idle-timeout", "max-lifetime"}, func(c *Config) string {
			return problemIf(c.IdleTimeout > c.MaxLifetime,
				fmt.Sprintf("(%s) is longer than max-lifetime (%s)", c.IdleTimeout, c.MaxLifetime))
		}},
		{[]string{"admin-listen", "admin-client-ca", "admin-token-file"}, func(c *Config) string {
			return problemIf(c.AdminListen != "" && !IsLoopback(c.AdminListen) && !c.adminGuarded(),
				"is not a loopback address, and so needs admin-client-ca or admin-token-file")
		}},
		{[]string{"admin-client-ca", "admin-listen"}, func(c *Config) string {
			return problemIf(len(c.AdminClientCA) > 0 && c.AdminListen == "", "needs admin-listen")
		}},
		{[]string{"admin-token-file", "admin-listen"}, func(c *Config) string {
			return problemIf(c.AdminTokenFile != "" && c.AdminListen == "", "needs admin-listen")
		}},
	}, together("tls-cert", "tls-key", func(c *Config) (string, string) { return c.TLSCert, c.TLSKey }),
		etcdConflicts())
}

// adminGuarded reports whether not everybody who reaches the admin listener may use it.
func (c *Config) adminGuarded() bool { return len(c.AdminClientCA) > 0 || c.AdminTokenFile != "" }

func allOf(list []string, is func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !is(s) })
}

func problemIf(wrong bool, problem string) string {
	if wrong {
		return problem
	}
	return ""
}

// together returns the rules for two keys of which either needs the other.
func together(a, b string, values func(*Config) (string, string)) []conflict {
	return []conflict{
		{[]string{a, b}, func(c *Config) string {
			x, y := values(c)
			return problemIf(x != "" && y == "", "needs "+b)
		}},
		{[]string{b, a}, func(c *Config) string {
			x, y := values(c)
			return problemIf(x == "" && y != "", "needs "+a)
		}},
	}
}

// etcdConflicts returns the rules about etcd.
func etcdConflicts() []conflict {
	return slices.Concat(
		together("etcd-cert", "etcd-key", func(c *Config) (string, string) { return c.Etcd.Cert, c.Etcd.Key }),
		together("etcd-user", "etcd-password-file",
			func(c *Config) (string, string) { return c.Etcd.User, c.Etcd.PasswordFile }),
		[]conflict{
			{[]string{"store", "etcd-ca", "etcd-cert", "etcd-user"}, func(c *Config) string {
				return problemIf(len(c.Store.Endpoints) == 0 && (c.Etcd.TLS() || c.Etcd.User != ""),
					"is not an etcd store, but etcd-ca, etcd-cert or etcd-user is set")
			}},
			{[]string{"etcd-user", "etcd-ca", "etcd-cert", "store"}, func(c *Config) string {
				return problemIf(c.Etcd.User != "" && !c.Etcd.TLS() && !allOf(c.Store.Endpoints, IsLoopback),
					"needs etcd-ca or etcd-cert: without TLS others on the network could read the password")
			}},
		},
	)
}

// judge reports the conflicts. A rule whose keys have a mistake already is left out, because an invalid value
// was replaced by its default.
func (l *loader) judge(rules []conflict) {
	for _, r := range rules {
		if slices.ContainsFunc(r.keys, func(key string) bool { return l.bad[key] }) {
			continue
		}
		if problem := r.problem(&l.cfg); problem != "" {
			l.wrong(l.blame(r.keys), r.keys[0], "%s", problem)
		}
	}
}

// blame returns the origin of the first of the keys that is set. If none is, one of them is missing in the file, or
// without a file on the command line.
func (l *loader) blame(keys []string) string {
	for _, key := range keys {
		if from, ok := l.from[key]; ok {
			return from
		}
	}
	if l.file != "" {
		return l.file
	}
	return CommandLine
}
