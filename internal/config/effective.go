package config

import (
	"bytes"
	"cmp"
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Effective is a configuration, and where its values come from.
type Effective struct {
	Config
	from     map[string]string
	texts    map[string][]string
	sections []Section
}

// DefaultOrigin is the origin of a value that is set nowhere.
const DefaultOrigin = "default"

// Origin returns where a key was set, in the form of [Error].From, or DefaultOrigin.
func (e Effective) Origin(key string) string { return cmp.Or(e.from[key], DefaultOrigin) }

// YAML returns the configuration as a configuration file. Each line ends with a comment that says where the value
// comes from. Secrets are not part of a configuration, only the paths of their files are.
func (e Effective) YAML() ([]byte, error) {
	top := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range Keys() {
		texts := e.texts[k.Name]
		if _, set := e.from[k.Name]; !set && (k.Default != "" || !k.List()) {
			texts = []string{k.Default}
		}
		var value *yaml.Node
		if k.List() {
			value = &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, text := range texts {
				value.Content = append(value.Content, k.scalar(text))
			}
		} else {
			value = k.scalar(texts[0])
		}
		add(top, k.Name, value, e.Origin(k.Name))
	}
	for _, s := range e.sections {
		value := reflect.ValueOf(s.Into).Elem()
		if node := sectionNode(value); !isEmpty(value) && len(node.Content) > 0 {
			add(top, s.Name, node, "")
		}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(top); err != nil {
		return nil, fmt.Errorf("show configuration: %w", err)
	}
	return b.Bytes(), nil
}

func (k Key) scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: k.kind.tag, Value: text}
}

// add adds a key to a mapping. An origin becomes a comment at the end of the line.
func add(mapping *yaml.Node, key string, value *yaml.Node, origin string) {
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: stringTag, Value: key}
	if origin != "" {
		value.LineComment = "# " + origin
	}
	mapping.Content = append(mapping.Content, name, value)
}

// sectionNode returns a value of a section in the form in which decode reads it. Keys that are not set and have
// no default are left out.
func sectionNode(v reflect.Value) *yaml.Node {
	scalar := func(tag, text string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}
	}
	t, isText := v.Addr().Interface().(fmt.Stringer)
	_, isRead := v.Addr().Interface().(encoding.TextUnmarshaler)
	if isText && (isRead || v.Kind() != reflect.Struct) {
		return scalar(stringTag, t.String())
	}
	switch v.Kind() {
	case reflect.Struct:
		return structNode(v)
	case reflect.Slice:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			list.Content = append(list.Content, sectionNode(v.Index(i)))
		}
		if v.Type().Elem().Kind() != reflect.Struct {
			list.Style = yaml.FlowStyle
		}
		return list
	case reflect.Map:
		m := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		texts, _ := v.Interface().(map[string]string) // the only maps that are read
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			add(m, key, scalar(stringTag, texts[key]), "")
		}
		return m
	case reflect.Bool:
		return scalar("!!bool", strconv.FormatBool(v.Bool()))
	case reflect.Int:
		return scalar("!!int", strconv.FormatInt(v.Int(), 10))
	}
	return scalar(stringTag, v.String())
}

func structNode(v reflect.Value) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	p, hasPlace := v.Addr().Interface().(placed)
	for i := range v.NumField() {
		key, field := v.Type().Field(i).Tag.Get("config"), v.Field(i)
		if key == "" {
			continue
		}
		origin := DefaultOrigin
		if hasPlace {
			origin = p.origin(key)
		}
		if origin == DefaultOrigin && isEmpty(field) {
			continue
		}
		node := sectionNode(field)
		if node.Kind == yaml.MappingNode && node.Style == 0 || node.Kind == yaml.SequenceNode && node.Style == 0 {
			origin = "" // the lines of its own keys have theirs
			if len(node.Content) == 0 {
				continue
			}
		}
		add(m, key, node, origin)
	}
	return m
}

// isEmpty reports whether a value of a section is the same as if it were not set.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
