package config

import (
	"net/netip"
	"strings"
)

// FlagValue holds the values that the command line gives for a key. It implements the Value
// interface of flag packages.
type FlagValue struct {
	key    Key
	values []string
}

// FlagValue returns an empty FlagValue for the key.
func (k Key) FlagValue() *FlagValue { return &FlagValue{key: k} }

// Set adds a value. It takes any: what is wrong with it is reported by [Read], together with all other
// mistakes.
func (f *FlagValue) Set(s string) error {
	f.values = append(f.values, s)
	return nil
}

// String returns the value for help and completion: the values that were set, or the default.
func (f *FlagValue) String() string {
	switch {
	case len(f.values) == 0:
		return f.key.Default
	case f.key.List():
		return strings.Join(f.values, ",")
	}
	return f.values[len(f.values)-1]
}

// Type returns the name of the value's type for the help.
func (f *FlagValue) Type() string { return f.key.kind.name }

// Flag returns the values that were set, as an argument for [Load].
func (f *FlagValue) Flag() Flag { return Flag{Name: f.key.Name, Values: f.values} }

// clear removes all values of the key's list.
func (k Key) clear(c *Config) {
	switch list := k.field(c).(type) {
	case *[]string:
		*list = nil
	case *[]netip.Prefix:
		*list = nil
	}
}
