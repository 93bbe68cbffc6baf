package config

import (
	"maps"
	"slices"
	"strings"
)

// Prefix begins the names of the environment variables that set keys: VIGATE_SERVE_MAX_SESSIONS sets
// max-sessions.
const Prefix = "VIGATE_SERVE_"

// FileVariable is the name of the environment variable with the path of the configuration file. The configuration
// file can't set it.
const FileVariable = Prefix + "CONFIG"

// Variable returns the name of the environment variable that sets the key.
func (k Key) Variable() string { return Prefix + strings.ToUpper(strings.ReplaceAll(k.Name, "-", "_")) }

// readEnviron reads the variables that begin with Prefix. The values of a list are separated by commas.
func (l *loader) readEnviron(environ []string) {
	known := map[string]Key{}
	for _, k := range l.keys {
		known[k.Variable()] = k
	}
	set := map[string]string{}
	for _, v := range environ {
		if name, value, ok := strings.Cut(v, "="); ok && strings.HasPrefix(name, Prefix) && name != FileVariable {
			set[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		k, ok := known[name]
		if !ok {
			problem := "is not the variable of a key"
			if near := nearest(name[len(Prefix):], l.keys); near != "" {
				problem += "; did you mean " + l.keys[near].Variable() + "?"
			}
			l.wrong(name, "", "%s", problem)
			continue
		}
		values := []string{set[name]}
		if k.List() {
			values = strings.FieldsFunc(set[name], func(r rune) bool { return r == ',' || r == ' ' })
		}
		l.set(name, k, values)
	}
}
