package config

import (
	"errors"
	"fmt"
	"net"
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

// String returns the location as the key store sets it.
func (s Store) String() string {
	if len(s.Endpoints) == 0 {
		return "bolt"
	}
	return "etcd://" + strings.Join(s.Endpoints, ",") + "/" + strings.Trim(s.Prefix, "/")
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
	l := newLoader("", EtcdKeys())
	for _, f := range flags {
		l.readFlag(f)
	}
	l.cfg.Store = store
	l.judge(etcdConflicts())
	if len(l.errs) > 0 {
		return Config{}, errors.Join(l.errs...)
	}
	return l.cfg, nil
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
