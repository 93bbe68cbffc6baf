package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxFile is the maximum size of a configuration file, in bytes.
	MaxFile = 64 << 10
	// maxList is the maximum number of values of one key.
	maxList = 1000
)

// Error is one mistake in the configuration.
type Error struct {
	From    string // such as "vigate.yaml:12", "VIGATE_SERVE_MAX_SESSIONS", "--max-sessions" or CommandLine
	Key     string // empty if the mistake concerns the whole file
	Problem string
}

func (e *Error) Error() string {
	switch {
	case e.Key == "":
		return e.From + ": " + e.Problem
	case e.From == "--"+e.Key:
		return e.From + " " + e.Problem
	}
	return e.From + ": " + e.Key + " " + e.Problem
}

// Flag holds the values that the command line gives for one key. If the key is not a list, the last
// value is used.
type Flag struct {
	Name   string
	Values []string
}

// CommandLine is the place of a mistake that is not in any text, such as a key that is missing.
const CommandLine = "command line"

// Input is what a configuration is read from.
type Input struct {
	// File is the file's name for error texts; it is empty if there is no file. Content is its content.
	File    string
	Content []byte
	// Environ holds environment variables as NAME=VALUE, in the form of os.Environ. Those whose names
	// begin with [Prefix] set keys.
	Environ []string
	Flags   []Flag
	// Partial allows that data is missing, because it may be given elsewhere.
	Partial bool
}

// Load is Read without environment variables.
func Load(file string, src []byte, flags []Flag, sections ...Section) (Config, error) {
	e, err := Read(Input{File: file, Content: src, Flags: flags}, sections...)
	if err != nil {
		return Config{}, err
	}
	return e.Config, nil
}

// Read returns the configuration: the defaults, overridden by the file's content, overridden by the
// environment, overridden by the flags. The sections are decoded into their structs.
//
// Read reports all mistakes. The error joins one [*Error] for each of them, in the order of their
// lines. If there is an error, the result has the values without a mistake, so that more can be checked.
func Read(in Input, sections ...Section) (Effective, error) {
	l := newLoader(in.File, Keys())
	for _, s := range sections {
		l.sections[s.Name] = s
	}
	l.readFile(in.Content)
	l.readEnviron(in.Environ)
	for _, f := range in.Flags {
		l.readFlag(f)
	}
	for _, check := range l.checks {
		l.errs = append(l.errs, check(l.cfg)...)
	}
	if in.Partial {
		l.bad["data"] = true
	}
	l.judge(conflicts())
	return Effective{Config: l.cfg, from: l.from, texts: l.texts, sections: sections}, errors.Join(l.errs...)
}

// Default returns the configuration with the defaults of all keys.
func Default() Config {
	var c Config
	for _, k := range Keys() {
		if k.Default != "" {
			// The defaults in the table are valid; a test checks that.
			_ = k.kind.set(k.field(&c), k.Default)
		}
	}
	return c
}

func newLoader(file string, keys []Key) *loader {
	l := &loader{
		cfg: Default(), file: file, keys: map[string]Key{}, sections: map[string]Section{},
		from: map[string]string{}, texts: map[string][]string{}, bad: map[string]bool{},
	}
	for _, k := range keys {
		l.keys[k.Name] = k
	}
	return l
}

type loader struct {
	cfg      Config
	file     string
	keys     map[string]Key
	sections map[string]Section
	from     map[string]string   // where each key was set
	texts    map[string][]string // the values of each key that was set
	bad      map[string]bool     // keys with a mistake
	checks   []func(Config) []error
	errs     []error
}

func (l *loader) wrong(from, key, format string, args ...any) {
	l.bad[key] = true
	l.errs = append(l.errs, &Error{From: from, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// set sets a key to the values, which replace its earlier ones. A key that is not a list gets the
// last value.
func (l *loader) set(from string, k Key, values []string) {
	if len(values) > maxList {
		l.wrong(from, k.Name, "has more than %d values", maxList)
		return
	}
	l.from[k.Name] = from
	delete(l.bad, k.Name) // the mistake was reported, and does not count any more
	if k.List() {
		k.clear(&l.cfg)
	} else {
		values = values[len(values)-1:]
	}
	l.texts[k.Name] = nil
	for _, v := range values {
		l.setOne(from, k, v)
	}
}

// setOne sets a key, or adds a value to its list.
func (l *loader) setOne(from string, k Key, value string) {
	if err := k.kind.set(k.field(&l.cfg), value); err != nil {
		l.wrong(from, k.Name, "%v", err)
		return
	}
	l.texts[k.Name] = append(l.texts[k.Name], value)
}

func (l *loader) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", l.file, n.Line) }

func (l *loader) readFile(src []byte) {
	if len(src) > MaxFile {
		l.wrong(l.file, "", "is larger than %d bytes", MaxFile)
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return // the file is empty
	case err != nil:
		l.syntax(err)
		return
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		l.wrong(l.at(&second), "", "a second document begins here, but only one is allowed")
	case !errors.Is(err, io.EOF):
		l.syntax(err)
		return
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		l.wrong(l.file, "", "is not a YAML document")
		return
	}
	l.readTop(doc.Content[0])
}

// syntax reports an error of the YAML parser, which begins with "yaml: " and usually names a line.
func (l *loader) syntax(err error) {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(problem, "line "); ok {
		if line, what, ok := strings.Cut(rest, ": "); ok {
			l.wrong(l.file+":"+line, "", "%s", what)
			return
		}
	}
	l.wrong(l.file, "", "%s", problem)
}

func (l *loader) readTop(top *yaml.Node) {
	if top.Kind == yaml.ScalarNode && top.ShortTag() == "!!null" {
		return // the file has only comments
	}
	if top.Kind != yaml.MappingNode {
		l.wrong(l.at(top), "", "every line must have the form key: value")
		return
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		l.readKey(top.Content[i], top.Content[i+1])
	}
}

func (l *loader) readKey(key, value *yaml.Node) {
	if key.Kind != yaml.ScalarNode {
		l.wrong(l.at(key), "", "a key must be a plain name")
		return
	}
	k, isKey := l.keys[key.Value]
	section, isSection := l.sections[key.Value]
	if !isKey && !isSection {
		problem := "is not a key"
		if near := l.nearest(key.Value); near != "" {
			problem += fmt.Sprintf("; did you mean %s?", near)
		}
		l.wrong(l.at(key), show(key.Value), "%s", problem)
		return
	}
	if first, twice := l.from[key.Value]; twice {
		l.wrong(l.at(key), key.Value, "is set twice, first at %s", first)
		return
	}
	l.from[key.Value] = l.at(key)
	if isSection {
		l.readSection(section, value)
		return
	}
	if k.List() && value.Kind == yaml.SequenceNode {
		if len(value.Content) > maxList {
			l.wrong(l.at(value), k.Name, "has more than %d values", maxList)
			return
		}
		for _, element := range value.Content {
			l.readScalar(k, element)
		}
		return
	}
	l.readScalar(k, value)
}

// readScalar stores the node's value in the key's field, or appends it to the key's list.
func (l *loader) readScalar(k Key, n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		l.wrong(l.at(n), k.Name, "uses an anchor or an alias, which are not supported")
	case n.Kind != yaml.ScalarNode:
		want := k.kind.want
		if k.List() {
			want += ", or a list of these"
		}
		l.wrong(l.at(n), k.Name, "must be %s", want)
	case n.ShortTag() == "!!null":
		l.wrong(l.at(n), k.Name, "has no value")
	case n.ShortTag() != k.kind.tag:
		l.wrong(l.at(n), k.Name, "must be %s, not %s", k.kind.want, show(n.Value))
	default:
		l.setOne(l.at(n), k, n.Value)
	}
}

func (l *loader) readFlag(f Flag) {
	from := "--" + f.Name
	k, ok := l.keys[f.Name]
	switch {
	case !ok:
		l.wrong(from, f.Name, "is not a key")
	case len(f.Values) > 0:
		l.set(from, k, f.Values)
	}
}

// nearest returns the top-level key that name may be a misspelling of, or "".
func (l *loader) nearest(name string) string {
	names := map[string]bool{}
	for k := range l.keys {
		names[k] = true
	}
	for s := range l.sections {
		names[s] = true
	}
	return nearest(name, names)
}

// nearest returns the known name that name may be a misspelling of, or "".
func nearest[V any](name string, known map[string]V) string {
	if len(name) > 64 {
		return ""
	}
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	best, least := "", max(2, len(name)/4)+1
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance returns the number of letters to insert, remove or replace (Levenshtein distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
