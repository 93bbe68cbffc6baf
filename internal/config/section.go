package config

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Section is a top-level key of the configuration file whose value is a mapping that another
// package defines, such as a list of servers. It has no flag.
//
// Into points to a struct. Its fields have tags such as `config:"bind-dn"`, the keys in the file.
// A field is a string, bool, int, time.Duration, encoding.TextUnmarshaler, struct, a slice of these,
// or a map from strings to strings. A field without a tag is not read. A key that is not in the file
// leaves its field as it was, so Into may hold defaults.
//
// A struct that has a method Check() []error is checked once its keys were decoded without a mistake,
// the inner structs before the outer ones. Mistakes in inner structs don't prevent the check of the
// outer one, so that one reading reports as many as possible. So Check must take a value that is
// missing in an inner struct for one that is reported already. A struct that embeds [Position] makes
// these errors with its method Wrong, which adds the line.
//
// Check, if set, is called once the file and the flags are read, under the same condition. It returns
// the section's conflicts with the other keys.
type Section struct {
	Name  string
	Into  any
	Check func(Config) []error
}

// maxText is the maximum length of a text in a section, in bytes.
const maxText = 4096

// checker is a struct of a section that can be wrong although its values are well-formed.
type checker interface{ Check() []error }

// Position is where a mapping stands in the file.
type Position struct {
	from string
	keys map[string]string // where each key is set
}

// Wrong returns a mistake in the value of a key, or in the whole mapping if the key is not set in
// it. The problem continues a sentence that begins with the key: "must be a URL".
func (p *Position) Wrong(key, format string, args ...any) error {
	from, ok := p.keys[key]
	if !ok {
		from = p.from
	}
	return &Error{From: from, Key: key, Problem: fmt.Sprintf(format, args...)}
}

// Has reports whether the file sets the key.
func (p *Position) Has(key string) bool {
	_, ok := p.keys[key]
	return ok
}

// origin returns where a key is set, or DefaultOrigin.
func (p *Position) origin(key string) string { return cmp.Or(p.keys[key], DefaultOrigin) }

func (p *Position) place(from string, keys map[string]string) { p.from, p.keys = from, keys }

type placed interface {
	place(from string, keys map[string]string)
	origin(key string) string
}

// readSection decodes the value of a section.
func (l *loader) readSection(s Section, value *yaml.Node) {
	if l.decode(s.Name, value, reflect.ValueOf(s.Into).Elem()) && s.Check != nil {
		l.checks = append(l.checks, s.Check)
	}
}

// decode decodes the node into v, which is named by the path of its key. It reports whether the value is
// of the right kind. A struct is, even if there are mistakes in its keys.
func (l *loader) decode(path string, n *yaml.Node, v reflect.Value) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		l.wrong(l.at(n), path, "uses an anchor or an alias, which are not supported")
		return false
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok || v.Type() == reflect.TypeFor[time.Duration]() {
		return l.decodeScalar(path, n, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return l.decodeStruct(path, n, v)
	case reflect.Slice:
		return l.decodeList(path, n, v)
	case reflect.Map:
		return l.decodeMap(path, n, v)
	}
	return l.decodeScalar(path, n, v)
}

func (l *loader) decodeStruct(path string, n *yaml.Node, v reflect.Value) bool {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		if key := v.Type().Field(i).Tag.Get("config"); key != "" {
			fields[key] = v.Field(i)
		}
	}
	keys := map[string]string{}
	ok := l.eachKey(path, n, keys, func(key string, value *yaml.Node) bool {
		field, known := fields[key]
		if known {
			return l.decode(path+"."+key, value, field)
		}
		problem := "is not a key"
		if near := nearest(key, fields); near != "" {
			problem += fmt.Sprintf("; did you mean %s?", near)
		}
		l.wrong(l.at(value), path+"."+show(key), "%s", problem)
		return false
	})
	if p, is := v.Addr().Interface().(placed); is {
		p.place(l.at(n), keys)
	}
	if c, is := v.Addr().Interface().(checker); is && ok {
		l.errs = append(l.errs, c.Check()...)
	}
	return n.Kind == yaml.MappingNode
}

func (l *loader) decodeMap(path string, n *yaml.Node, v reflect.Value) bool {
	m := map[string]string{}
	ok := l.eachKey(path, n, map[string]string{}, func(key string, value *yaml.Node) bool {
		var text string
		ok := l.decodeScalar(path+"."+show(key), value, reflect.ValueOf(&text).Elem())
		m[key] = text
		return ok
	})
	v.Set(reflect.ValueOf(m))
	return ok
}

// eachKey calls read for each key of a mapping, and reports whether there was no mistake. keys gets
// the position of each.
func (l *loader) eachKey(path string, n *yaml.Node, keys map[string]string, read func(string, *yaml.Node) bool) bool {
	if n.Kind != yaml.MappingNode {
		l.wrong(l.at(n), path, "must be a mapping of keys to values")
		return false
	}
	if len(n.Content) > 2*maxList {
		l.wrong(l.at(n), path, "has more than %d keys", maxList)
		return false
	}
	ok := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		first, twice := keys[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "":
			l.wrong(l.at(key), path, "has a key that is not a plain name")
			ok = false
		case twice:
			l.wrong(l.at(key), path+"."+show(key.Value), "is set twice, first at %s", first)
			ok = false
		default:
			keys[key.Value] = l.at(key)
			ok = read(key.Value, value) && ok
		}
	}
	return ok
}

func (l *loader) decodeList(path string, n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.SequenceNode {
		l.wrong(l.at(n), path, "must be a list")
		return false
	}
	if len(n.Content) > maxList {
		l.wrong(l.at(n), path, "has more than %d values", maxList)
		return false
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	ok := true
	for i, element := range n.Content {
		ok = l.decode(fmt.Sprintf("%s[%d]", path, i), element, list.Index(i)) && ok
	}
	v.Set(list)
	return ok
}

func (l *loader) decodeScalar(path string, n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.ScalarNode {
		l.wrong(l.at(n), path, "must be a single value")
		return false
	}
	if n.ShortTag() == "!!null" {
		l.wrong(l.at(n), path, "has no value")
		return false
	}
	if problem := setScalar(n, v); problem != "" {
		l.wrong(l.at(n), path, "%s", problem)
		return false
	}
	return true
}

// setScalar stores the node's value in v, or returns what is wrong with it.
func setScalar(n *yaml.Node, v reflect.Value) string {
	must := func(what string) string { return "must be " + what + ", not " + show(n.Value) }
	if len(n.Value) > maxText {
		return fmt.Sprintf("is longer than %d bytes", maxText)
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := t.UnmarshalText([]byte(n.Value)); err != nil {
			return err.Error()
		}
		return ""
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(n.Value)
		if err != nil || d < 0 {
			return must("a duration such as 90s, 5m or 12h")
		}
		v.SetInt(int64(d))
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		if n.ShortTag() != "!!str" {
			return must("a text (put it in quotes)")
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if n.ShortTag() != "!!bool" {
			return must("true or false")
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if err != nil || n.ShortTag() != "!!int" {
			return must("a whole number")
		}
		v.SetInt(int64(i))
	default:
		return fmt.Sprintf("can't be read: the program has no form for a %s", v.Type())
	}
	return ""
}
