package codec

import (
	"fmt"
	"slices"

	"github.com/vigate/vigate/internal/jsontoken"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

// fields writes the members of one object of an answer.
type fields struct {
	*Answer
	of   *object
	seen []bool
	next int // the member that the schema expects next

	// list is the member whose items are being written, or -1. octets are its items if they are bytes.
	list   int
	octets []byte

	// other is the member without a place in the schema that is being written. It began at start of the
	// output, and has had items. others are the ones before it.
	other        string
	start, items int
	others       []string
}

// members writes the members of an object, and closes it. first is the first element if that has been
// read already.
func (a *Answer) members(o *object, first *xmltoken.Token) error {
	var few [48]bool
	f := fields{Answer: a, of: o, seen: few[:], list: -1}
	if len(o.members) > len(few) {
		f.seen = make([]bool, len(o.members))
	}
	for e := first; ; e = nil {
		if e == nil {
			var err error
			if e, err = a.tokens.Child(); err != nil {
				return err
			}
			if e == nil {
				break
			}
		}
		if err := f.element(e); err != nil {
			return err
		}
		if err := a.flush(); err != nil {
			return err
		}
	}
	f.close()
	for i := range o.members {
		// In SOAP, an empty list has no element.
		if m := &o.members[i]; m.required && !f.seen[i] && (m.List || m.kind == kindOctets) && !a.tooNew(m.since) {
			f.key(m.name)
			if m.List {
				a.Buf = append(a.Buf, "[]"...)
			} else {
				a.base64(nil)
			}
		}
	}
	a.Buf = append(a.Buf, '}')
	return nil
}

// tooNew reports whether the client's release is older than since, the release that added a member.
func (a *Answer) tooNew(since vim.Release) bool {
	return since != vim.Release{} && a.release != vim.Release{} && a.release.Before(since)
}

// element writes a member, or an item of one that is a list.
func (f *fields) element(e *xmltoken.Token) error {
	i := f.next
	// Servers write the members in the order of the schema, so the next one is tried first.
	if i >= len(f.of.members) || f.of.members[i].name != string(e.Name) {
		var ok bool
		if i, ok = f.of.byName[string(e.Name)]; !ok {
			return f.unknown(e)
		}
	}
	m := &f.of.members[i]
	if absent(e) || f.tooNew(m.since) {
		return f.tokens.Skip()
	}
	if i != f.list {
		f.close()
		if f.seen[i] {
			return fmt.Errorf("%s.%s is given twice", f.of.name, m.name)
		}
		f.seen[i] = true
		f.key(m.name)
		f.begun(i, m)
	} else if m.List {
		f.Buf = append(f.Buf, ',')
	}
	if m.kind == kindOctets {
		var err error
		f.octets, err = f.octet(f.octets)
		return err
	}
	if err := f.value(e, m.Shape); err != nil {
		return fmt.Errorf("%s.%w", m.name, err)
	}
	return nil
}

// begun notes that the first element of a member follows.
func (f *fields) begun(i int, m *member) {
	f.next = i + 1
	switch {
	case m.List:
		f.list, f.next = i, i
		f.Buf = append(f.Buf, '[')
	case m.kind == kindOctets:
		f.list, f.next, f.octets = i, i, f.octets[:0]
	}
}

// key writes the name of a member.
func (f *fields) key(name string) {
	f.comma()
	f.Buf = append(append(append(f.Buf, '"'), name...), `":`...)
}

// comma separates members. Only an object whose type is not known can be empty before one.
func (f *fields) comma() {
	if n := len(f.Buf); n == 0 || f.Buf[n-1] != '{' {
		f.Buf = append(f.Buf, ',')
	}
}

// close ends the list that is being written, if there is one.
func (f *fields) close() {
	switch {
	case f.other != "":
		if f.items > 1 {
			f.Buf = append(f.Buf, ']')
		}
		f.others = append(f.others, f.other)
		f.other = ""
		f.held--
	case f.list >= 0:
		if f.of.members[f.list].List {
			f.Buf = append(f.Buf, ']')
		} else {
			f.base64(f.octets)
		}
	}
	f.list = -1
}

// unknown writes a member that the schema does not have. Whether it is a list is only known from a second
// element of the same name: so one element is a value, and several are a list.
func (f *fields) unknown(e *xmltoken.Token) error {
	if absent(e) {
		return f.tokens.Skip()
	}
	if string(e.Name) == f.other {
		if f.items == 1 {
			f.Buf = slices.Insert(f.Buf, f.start, '[')
		}
		f.Buf = append(f.Buf, ',')
	} else {
		f.close()
		name := string(e.Name)
		if slices.Contains(f.others, name) {
			return fmt.Errorf("%s is given twice", name)
		}
		if len(f.others) >= maxOthers {
			return fmt.Errorf("%s has too many unknown members", f.of.name)
		}
		f.comma()
		f.Buf = append(jsontoken.AppendString(f.Buf, name), ':')
		f.other, f.start, f.items = name, len(f.Buf), 0
		f.held++
	}
	f.items++
	return f.carried(e, "")
}

// maxOthers limits the number of unknown members of an object.
const maxOthers = 256

// nothing is the type of an object without known members.
var nothing = &object{name: "an unknown type"}

// carried writes a value that the schema does not describe. It keeps the type, if the element names one, and the
// members by their names. A text without a type is a string, because SOAP does not tell numbers from texts. typ is
// the type of an object that names none.
func (a *Answer) carried(e *xmltoken.Token, typ string) error {
	xsi := string(typeOf(e))
	if xsi != "" {
		if _, ok := a.schema.Shape(xsi); ok {
			return a.any(e)
		}
		typ = xsi
	}
	if e.Attribute("", "type") != nil {
		return a.reference(e)
	}
	text, child, err := a.textOrChild()
	switch {
	case err != nil:
		return err
	case child != nil && len(xsi) > len(listPrefix) && xsi[:len(listPrefix)] == listPrefix:
		return a.carriedList(child, xsi)
	case child != nil:
		a.begin(typ)
		return a.members(nothing, child)
	case xsi == "":
		a.text(text)
		return nil
	}
	a.begin(xsi)
	if len(text) > 0 {
		a.Buf = append(a.Buf, `,"`+valueKey+`":`...)
		a.text(text)
	}
	a.Buf = append(a.Buf, '}')
	return nil
}

// carriedList writes a list of items of an unknown type. An element has the name of its type.
func (a *Answer) carriedList(e *xmltoken.Token, name string) error {
	a.begin(name)
	a.Buf = append(a.Buf, `,"`+valueKey+`":[`...)
	for n := 0; e != nil; n++ {
		if n > 0 {
			a.Buf = append(a.Buf, ',')
		}
		if err := a.carried(e, string(e.Name)); err != nil {
			return err
		}
		if err := a.flush(); err != nil {
			return err
		}
		var err error
		if e, err = a.tokens.Child(); err != nil {
			return err
		}
	}
	a.Buf = append(a.Buf, "]}"...)
	return nil
}

// textOrChild reads the text of the current element and its end tag, or its first child.
func (a *Answer) textOrChild() (text []byte, child *xmltoken.Token, _ error) {
	for {
		t, err := a.tokens.Next()
		switch {
		case err != nil:
			return nil, nil, err
		case t.Kind == xmltoken.EndTag:
			return text, nil, nil
		case t.Kind == xmltoken.Text:
			text = append(text, t.Text...)
		case len(trim(text)) > 0:
			return nil, nil, fmt.Errorf("there is text between elements")
		default:
			return nil, t, nil
		}
	}
}

// begin writes the beginning of an object, with the name of its type if that is known.
func (a *Answer) begin(typ string) {
	a.Buf = append(a.Buf, '{')
	if typ != "" {
		a.Buf = jsontoken.AppendString(append(a.Buf, `"`+typeNameKey+`":`...), typ)
	}
}
