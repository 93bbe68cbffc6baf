package config

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Store is the location of the store.
type Store struct {
	// Endpoints are the addresses of the etcd members, as host:port. If there are none, the store
	// is the embedded one in data.
	Endpoints []string
	// Prefix is the prefix of all keys in etcd.
	Prefix string
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
