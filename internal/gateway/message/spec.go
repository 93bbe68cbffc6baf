package message

import (
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/xmltoken"
)

// PropertySpec is a PropertySpec of a request: the properties that are read of the objects of a type.
type PropertySpec struct {
	Type  string // without a prefix
	All   bool
	Paths []string

	members []Place // all and pathSet
}

// Without returns the edits after which nothing but the objects is read.
func (s *PropertySpec) Without() []Edit {
	var edits []Edit
	for _, m := range s.members {
		edits = append(edits, Edit{Place: m})
	}
	return edits
}

// TraversalSpec is a TraversalSpec of a request: the objects in a property of the objects of a type.
type TraversalSpec struct{ Type, Path string }

// Specs are the specifications in a request that reads properties.
type Specs struct {
	Properties []PropertySpec
	Traversals []TraversalSpec
	// Objects are the ids of the objects that the request names.
	Objects []string
}

// Specs returns the specifications in a request that reads properties.
func (m *Message) Specs() (all Specs) {
	var r xmltoken.Reader
	r.Start(m.Raw, xmltoken.Options{Limits: limits})
	type element struct {
		name  string
		begin int
	}
	var open []element
	var text strings.Builder
	var spec PropertySpec
	var steps []TraversalSpec // of the open elements selectSet
	for {
		t, err := r.Next()
		if err != nil {
			return all // Parse has read it to the end
		}
		switch t.Kind {
		case xmltoken.Text:
			text.Write(t.Text)
		case xmltoken.StartTag:
			open = append(open, element{string(t.Name), t.Begin})
			text.Reset()
			switch string(t.Name) {
			case "propSet":
				spec = PropertySpec{}
			case "selectSet":
				steps = append(steps, TraversalSpec{})
			}
		case xmltoken.EndTag:
			e := open[len(open)-1]
			open = open[:len(open)-1]
			parent := ""
			if len(open) > 0 {
				parent = open[len(open)-1].name
			}
			value := strings.TrimSpace(text.String())
			text.Reset()
			switch {
			case parent == "propSet":
				spec.member(e.name, value, Place{Begin: e.begin, End: t.End})
			case parent == "selectSet" && e.name == "type":
				steps[len(steps)-1].Type = bare(value)
			case parent == "selectSet" && e.name == "path":
				steps[len(steps)-1].Path = value
			case e.name == "propSet":
				all.Properties = append(all.Properties, spec)
			case e.name == "selectSet":
				all.Traversals = append(all.Traversals, steps[len(steps)-1])
			case parent == "objectSet" && e.name == "obj":
				all.Objects = append(all.Objects, value)
			}
			if e.name == "selectSet" {
				steps = steps[:len(steps)-1]
			}
		}
	}
}

// member reads a member of a PropertySpec.
func (s *PropertySpec) member(name, value string, place Place) {
	switch name {
	case "type":
		s.Type = bare(value)
		return
	case "all":
		s.All = value == "true" || value == "1"
	case "pathSet":
		s.Paths = append(s.Paths, value)
	default:
		return
	}
	s.members = append(s.members, place)
}

// Inserter inserts text into the answer to a retrieval, behind the references of objects. It implements
// Replacer for the table that Objects returns.
type Inserter struct {
	// Kinds are the types of the objects.
	Kinds []string
	// Content returns what follows the reference of an object in the answer.
	Content func(kind, id string) string
}

// insertReach is how much around the type of a reference is looked at, in bytes.
const insertReach = 512

// Objects returns the table for a stream in which the Inserter inserts.
func (i *Inserter) Objects() *Table {
	texts := make([]string, len(i.Kinds))
	for n, kind := range i.Kinds {
		texts[n] = ` type="` + kind + `"`
	}
	return NewTable(texts, insertReach)
}

// Replace implements Replacer.
func (i *Inserter) Replace(out []byte, text int, rest []byte) ([]byte, int) {
	kind := i.Kinds[text]
	opens := isObject(out)
	out = append(out, ` type="`+kind+`"`...)
	if !opens {
		return out, 0
	}
	window := string(rest[:min(len(rest), insertReach)])
	_, after, ok := strings.Cut(window, ">")
	if !ok {
		return out, 0
	}
	id, tail, ok := strings.Cut(after, "<")
	name, _, closed := strings.Cut(tail, ">")
	if !ok || !closed || local(strings.TrimPrefix(name, "/")) != "obj" {
		return out, 0
	}
	used := len(window) - len(tail) + len(name) + 1
	return append(append(out, rest[:used]...), i.Content(kind, id)...), used
}

// isObject reports whether a text ends within the tag of the reference with which the content of an object
// begins.
func isObject(out []byte) bool {
	s := string(out[max(0, len(out)-insertReach):])
	at := strings.LastIndexByte(s, '<')
	if at < 0 || strings.Contains(s[at:], ">") || local(s[at+1:]+" ") != "obj" {
		return false
	}
	s = strings.TrimRight(s[:at], " \t\r\n")
	begin := strings.LastIndexByte(s, '<')
	return begin >= 0 && strings.HasSuffix(s, ">") && slices.Contains([]string{"objects", "returnval"},
		local(strings.TrimSuffix(s[begin+1:], ">")))
}
