package message

import (
	"errors"
	"io"
	"strings"

	"github.com/vigate/vigate/internal/xmltoken"
)

// nsInstance is the namespace of the attribute that names the type of a value.
const nsInstance = "http://www.w3.org/2001/XMLSchema-instance"

// Fault is what a SOAP fault says. The zero Fault is no fault.
type Fault struct {
	// Kind is the API's type of the fault.
	Kind string
	// Object is the id in the fault's member obj.
	Object string
}

// ReadFault reads the fault in an answer.
func ReadFault(raw []byte) Fault {
	var f Fault
	walk(raw, func(path []string, t *xmltoken.Token, text string) {
		switch {
		case len(path) < 5 || path[1] != "Body" || path[2] != "Fault" || !strings.EqualFold(path[3], "detail"):
		case t != nil && len(path) == 5 && f.Kind == "":
			f.Kind = strings.TrimSuffix(path[4], "Fault")
			if typ := string(t.Attribute(nsInstance, "type")); typ != "" {
				f.Kind = typ[strings.LastIndexByte(typ, ':')+1:]
			}
		case t == nil && len(path) == 6 && path[5] == "obj":
			f.Object = text
		}
	})
	return f
}

// Reference is a reference to a managed object.
type Reference struct{ Type, ID string }

// Returned returns the references that an answer consists of: those in its elements returnval.
func Returned(raw []byte) []Reference {
	var all []Reference
	typ := ""
	walk(raw, func(path []string, t *xmltoken.Token, text string) {
		switch {
		case len(path) != 4 || path[1] != "Body" || path[3] != "returnval":
		case t != nil:
			typ = string(t.Attribute("", "type"))
		case typ != "" && text != "":
			all = append(all, Reference{typ, text})
		}
	})
	return all
}

// Member is a member of the only value in an answer.
type Member struct {
	Name string
	Place
	// Element is the place of the whole element.
	Element Place
}

// Members returns the members of the value that an answer consists of. The Text of one that has members itself is
// empty.
func Members(raw []byte) []Member {
	const depth = 4 // Envelope, Body, the response, returnval
	var r xmltoken.Reader
	r.Start(raw, xmltoken.Options{Limits: limits})
	var all []Member
	var path []string
	for {
		t, err := r.Next()
		if err != nil {
			return all
		}
		switch t.Kind {
		case xmltoken.StartTag:
			if len(path) == depth && path[1] == "Body" && path[3] == "returnval" {
				all = append(all, Member{
					Name: string(t.Name), Place: Place{Begin: t.End}, Element: Place{Begin: t.Begin},
				})
			}
			path = append(path, string(t.Name))
		case xmltoken.Text:
			if len(path) == depth+1 && len(all) > 0 {
				all[len(all)-1].Text += string(t.Text)
			}
		case xmltoken.EndTag:
			path = path[:len(path)-1]
			if len(path) == depth && len(all) > 0 && all[len(all)-1].Element.End == 0 {
				m := &all[len(all)-1]
				m.Begin = min(m.Begin, t.Begin)
				m.End, m.Element.End = t.Begin, t.End
			}
		}
	}
}

// walk reads an answer of a trusted server. visit is called with each start tag, and with the text of each
// element that ends, for which the tag is nil. path has the names of the open elements. An answer that can't be
// read ends the walk.
func walk(raw []byte, visit func(path []string, t *xmltoken.Token, text string)) {
	var r xmltoken.Reader
	r.Start(raw, xmltoken.Options{Limits: limits})
	var path []string
	var text strings.Builder
	for {
		t, err := r.Next()
		if errors.Is(err, io.EOF) || err != nil {
			return
		}
		switch t.Kind {
		case xmltoken.StartTag:
			path = append(path, string(t.Name))
			text.Reset()
			visit(path, t, "")
		case xmltoken.EndTag:
			visit(path, nil, text.String())
			path = path[:len(path)-1]
			text.Reset()
		case xmltoken.Text:
			text.Write(t.Text)
		}
	}
}

// tokenWindow is how far from the beginning of an answer its token is looked for, in bytes.
const tokenWindow = 4 << 10

// ContinuationToken finds the token in the beginning of the answer to a retrieval, which is the first member
// of the result. Begin and End are offsets in head.
func ContinuationToken(head []byte) (Place, bool) {
	s := string(head[:min(len(head), tokenWindow)])
	at := strings.Index(s, "returnval")
	if at < 0 {
		return Place{}, false
	}
	end := strings.IndexByte(s[at:], '>')
	if end < 0 || s[at+end-1] == '/' {
		return Place{}, false
	}
	at += end + 1
	at += len(s[at:]) - len(strings.TrimLeft(s[at:], " \t\r\n"))
	name, rest, ok := strings.Cut(s[at:], ">")
	if !ok || !strings.HasPrefix(name, "<") || local(name[1:]) != "token" {
		return Place{}, false
	}
	at += len(name) + 1
	text, _, ok := strings.Cut(rest, "<")
	if !ok || strings.Contains(text, "&") {
		return Place{}, false
	}
	return Place{at, at + len(text), text}, text != ""
}

// local returns a name without its prefix and without attributes.
func local(name string) string {
	name, _, _ = strings.Cut(name, " ")
	return name[strings.LastIndexByte(name, ':')+1:]
}

// AsFetched returns the answer to RetrieveServiceContent as the answer to Fetch of the property content.
func AsFetched(raw []byte) []byte {
	s := string(raw)
	s = strings.ReplaceAll(s, "RetrieveServiceContentResponse", "FetchResponse")
	const open = "<returnval"
	before, after, ok := strings.Cut(s, open)
	tag, _, _ := strings.Cut(after, ">")
	if !ok || strings.Contains(tag, "type=") {
		return []byte(s)
	}
	return []byte(before + open + ` xmlns:XSI="` + nsInstance + `" XSI:type="ServiceContent"` + after)
}
