package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Store is the location of the store.
type Store struct {
	// Endpoints are the addresses of the etcd members, as host:port. If there are none, the store
	// is the embedded one in data.
	Endpoints []string
	// Prefix is the prefix of all keys in etcd.
	Prefix string
}

// Etcd says how to reach etcd, see the keys that begin with etcd-.
type Etcd struct {
	CA, Cert, Key string

	User         string
	PasswordFile string

	StartTimeout time.Duration
	Timeout      time.Duration
	MaxLag       time.Duration
}

// TLS reports whether the connection to etcd has TLS.
func (e Etcd) TLS() bool { return e.CA != "" || e.Cert != "" }

// EtcdKeys returns the keys that say how to reach etcd, for commands that read or
// write its records and serve nobody.
func EtcdKeys() []Key {
	return slices.DeleteFunc(Keys(), func(k Key) bool {
		return !strings.HasPrefix(k.Name, "etcd-") || k.Name == "etcd-max-lag"
	})
}

// LoadEtcd returns the configuration of a command that opens an etcd store. The flags
// are those of EtcdKeys. All mistakes are reported, each an [*Error].
func LoadEtcd(store Store, flags []Flag) (Config, error) {
	l := &loader{cfg: Default(), keys: map[string]Key{}, from: map[string]string{}}
	for _, k := range EtcdKeys() {
		l.keys[k.Name] = k
	}
	for _, f := range flags {
		l.readFlag(f)
	}
	l.cfg.Store = store
	if len(l.errs) == 0 {
		l.cfg.checkEtcd(func(key, problem string) { l.wrong("--"+key, key, "%s", problem) })
	}
	if len(l.errs) > 0 {
		return Config{}, errors.Join(l.errs...)
	}
	return l.cfg, nil
}

// checkEtcd reports the conflicts between the keys that concern etcd.
func (c *Config) checkEtcd(wrong func(key, problem string)) {
	for _, pair := range [][2]struct{ key, value string }{
		{{"etcd-cert", c.Etcd.Cert}, {"etcd-key", c.Etcd.Key}},
		{{"etcd-user", c.Etcd.User}, {"etcd-password-file", c.Etcd.PasswordFile}},
	} {
		if a, b := pair[0], pair[1]; a.value != "" && b.value == "" {
			wrong(a.key, "needs "+b.key)
		} else if a.value == "" && b.value != "" {
			wrong(b.key, "needs "+a.key)
		}
	}
	switch {
	case len(c.Store.Endpoints) == 0 && (c.Etcd.TLS() || c.Etcd.User != ""):
		wrong("store", "is not an etcd store, but etcd-ca, etcd-cert or etcd-user is set")
	case c.Etcd.User != "" && !c.Etcd.TLS() && slices.ContainsFunc(c.Store.Endpoints, remote):
		wrong("etcd-user", "needs etcd-ca or etcd-cert: without TLS others on the network could read the password")
	}
}

// remote reports whether the endpoint may be on another machine.
func remote(endpoint string) bool {
	host, _, _ := net.SplitHostPort(endpoint) // was parsed before
	ip, err := netip.ParseAddr(host)
	return host != "localhost" && (err != nil || !ip.IsLoopback())
}

// maxEndpoints is more than the number of members that an etcd cluster should have.
const maxEndpoints = 16

// storage is the kind of the key store: "bolt", or etcd://HOST:PORT[,HOST:PORT…]/PREFIX.
func storage() kind {
	return kind{name: "bolt|etcd://…", want: "bolt or etcd://HOST:PORT[,HOST:PORT…]/PREFIX", tag: stringTag,
		set: func(field any, s string) error {
			v, err := ParseStore(s)
			if err == nil {
				*field.(*Store) = v
			}
			return err
		}}
}

// ParseStore parses a value of the key store.
func ParseStore(s string) (Store, error) {
	if s == "bolt" {
		return Store{}, nil
	}
	if err := checkText(s, 4096); err != nil {
		return Store{}, err
	}
	rest, ok := strings.CutPrefix(s, "etcd://")
	if !ok {
		return Store{}, fmt.Errorf("%s is not bolt or etcd://HOST:PORT[,HOST:PORT…]/PREFIX", show(s))
	}
	hosts, prefix, ok := strings.Cut(rest, "/")
	if !ok || prefix == "" || strings.HasSuffix(prefix, "/") {
		return Store{}, fmt.Errorf("%s needs a prefix after the hosts, such as /vigate", show(s))
	}
	v := Store{Endpoints: strings.Split(hosts, ","), Prefix: prefix}
	if len(v.Endpoints) > maxEndpoints {
		return Store{}, fmt.Errorf("names %d endpoints, more than %d", len(v.Endpoints), maxEndpoints)
	}
	for _, e := range v.Endpoints {
		host, port, err := net.SplitHostPort(e)
		if err != nil || host == "" || port == "" {
			return Store{}, fmt.Errorf("%s is not an endpoint in the form host:port", show(e))
		}
		if strings.Contains(e, "@") {
			return Store{}, errors.New("contains credentials; use a client certificate instead")
		}
	}
	return v, nil
}
