package config

import (
	"net/netip"
	"strings"
)

// FlagValue holds what the command line says about a key until the file is
// read. It has the methods that flag packages ask for.
type FlagValue struct {
	key    Key
	values []string
}

// FlagValue returns an empty holder for the key.
func (k Key) FlagValue() *FlagValue { return &FlagValue{key: k} }

// Set adds a value, and says at once if it can't be one.
func (f *FlagValue) Set(s string) error {
	var scratch Config
	if err := f.key.kind.set(f.key.field(&scratch), s); err != nil {
		return err
	}
	f.values = append(f.values, s)
	return nil
}

// String is the value as help and completions show it: what was set, else the
// default.
func (f *FlagValue) String() string {
	switch {
	case len(f.values) == 0:
		return f.key.Default
	case f.key.List():
		return strings.Join(f.values, ",")
	}
	return f.values[len(f.values)-1]
}

// Type names the kind of the value in help.
func (f *FlagValue) Type() string { return f.key.kind.name }

// Flag is what was set, for [Load].
func (f *FlagValue) Flag() Flag { return Flag{Name: f.key.Name, Values: f.values} }

// clear empties the key's list.
func (k Key) clear(c *Config) {
	switch list := k.field(c).(type) {
	case *[]string:
		*list = nil
	case *[]netip.Prefix:
		*list = nil
	}
}
