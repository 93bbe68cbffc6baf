package codec

import (
	"errors"
	"fmt"
	"io"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	instanceSpace = "http://www.w3.org/2001/XMLSchema-instance"

	// maxAnswerDepth limits the nesting of an answer. A chain of snapshots is as deep as it is long.
	maxAnswerDepth = 256
	// maxHeld limits what can't be sent yet, in bytes: a fault, or a member that the schema does not have.
	maxHeld = 16 << 20
)

// Answer translates one answer of SOAP into JSON. It embeds the output, to which the caller may connect
// the client before it asks for the result. An Answer is used once.
type Answer struct {
	binding.Output
	tokens  xmltoken.Reader
	schema  *Schema
	release vim.Release
	held    int // more than 0 while nothing may be sent, because text may have to be inserted
	fault   bool
	// typed is where the type of the last fault ends in the output.
	typed int
}

// Start begins to read an answer. Members that are newer than the client's release are left out. The
// error says that the bytes are no answer of SOAP.
func (s *Schema) Start(a *Answer, src io.Reader, release vim.Release) error {
	a.schema, a.release = s, release
	a.tokens.StartStream(src, xmltoken.Options{Limits: xmltoken.Limits{Depth: maxAnswerDepth}})
	if err := a.envelope(); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

var errEnvelope = errors.New("not an envelope of SOAP")

// envelope reads up to the first element in the body, which is a fault or a response.
func (a *Answer) envelope() error {
	e, err := a.tokens.Child()
	if err != nil {
		return err
	}
	if e == nil || string(e.Name) != "Envelope" {
		return errEnvelope
	}
	for {
		e, err := a.tokens.Child()
		switch {
		case err != nil:
			return err
		case e == nil:
			return errEnvelope
		case string(e.Name) == "Body":
			e, err := a.tokens.Child()
			if err == nil && e == nil {
				err = errEnvelope
			}
			a.fault = err == nil && string(e.Name) == "Fault"
			return err
		}
		if err := a.tokens.Skip(); err != nil {
			return err
		}
	}
}

// IsFault reports whether the answer is a fault.
func (a *Answer) IsFault() bool { return a.fault }

// Result writes the result of a method. set is false if there is none. An empty list is a result.
func (a *Answer) Result(s Shape) (set bool, err error) {
	e, err := a.tokens.Child()
	switch {
	case err != nil:
	case s.List:
		set = true
		if err = a.list(e, s); err != nil {
			break
		}
	case e != nil:
		if set = !absent(e); !set {
			err = a.tokens.Skip()
		} else {
			err = a.value(e, s)
		}
		if err != nil {
			break
		}
		if e, err = a.tokens.Child(); err == nil && e != nil {
			err = errors.New("more than one result")
		}
	}
	if err == nil {
		err = a.end()
	}
	if err != nil {
		return set, fmt.Errorf("translate answer: %w", err)
	}
	return set, nil
}

// Void reads the answer to a method without a result. If a newer server has one all the same, it is
// written.
func (a *Answer) Void() (set bool, err error) {
	return a.Result(Shape{Name: "", kind: kindAny, Optional: true})
}

// list writes the items of a list that is the whole result. first is the first one, or nil.
func (a *Answer) list(first *xmltoken.Token, s Shape) error {
	a.Buf = append(a.Buf, '[')
	for n, e := 0, first; e != nil; n++ {
		if n > 0 {
			a.Buf = append(a.Buf, ',')
		}
		if err := a.value(e, s); err != nil {
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
	a.Buf = append(a.Buf, ']')
	return nil
}

// end checks that the answer ends as it should: it has not been cut short. The response has ended.
func (a *Answer) end() error {
	for range 2 { // the body and the envelope
		if e, err := a.tokens.Child(); err != nil {
			return err
		} else if e != nil {
			return errors.New("more than one response")
		}
	}
	return a.tokens.End()
}

// flush sends what has been written, unless something may still have to be inserted.
func (a *Answer) flush() error {
	if a.held == 0 {
		a.Flush()
		return a.Err
	}
	if len(a.Buf) > maxHeld {
		return errors.New("a part that can't be sent yet is too large")
	}
	return nil
}

// value writes the value of an element whose declared type is known.
func (a *Answer) value(e *xmltoken.Token, s Shape) error {
	switch s.kind {
	case kindObject:
		return a.object(e, s.of)
	case kindReference:
		return a.reference(e)
	case kindAny:
		return a.any(e)
	}
	return a.simple(s.kind)
}

// object writes an object. The element names its type if that is not the declared one.
func (a *Answer) object(e *xmltoken.Token, declared *object) error {
	xsi := typeOf(e)
	if len(xsi) == 0 || string(xsi) == declared.name {
		a.begin(declared.name)
		return a.members(declared, nil)
	}
	s, ok := a.schema.types.find(xsi)
	switch {
	case !ok:
		// The members of the declared type are those that this type has too.
		a.begin(string(xsi))
		return a.members(declared, nil)
	case s.of == nil || s.of.list:
		return a.any(e)
	}
	a.begin(s.of.name)
	return a.members(s.of, nil)
}

// any writes a value that names its own type: an object, or a box around any other value.
func (a *Answer) any(e *xmltoken.Token) error {
	xsi := typeOf(e)
	if k, ok := simpleKinds[string(xsi)]; ok {
		return a.box(boxName(string(xsi)), k)
	}
	switch string(xsi) {
	case "":
		return a.carried(e, "")
	case "unsignedByte": // govmomi's simulator
		return a.box("byte", kindByte)
	}
	s, ok := a.schema.types.find(xsi)
	switch {
	case !ok:
		return a.carried(e, "")
	case s.kind == kindReference:
		return a.reference(e)
	case s.of == nil:
		return a.box(s.Name, s.kind)
	case s.of.list:
		return a.boxedList(s.of)
	}
	a.begin(s.of.name)
	return a.members(s.of, nil)
}

func (a *Answer) box(name string, k kind) error {
	a.begin(name)
	a.Buf = append(a.Buf, `,"`+valueKey+`":`...)
	if err := a.simple(k); err != nil {
		return err
	}
	a.Buf = append(a.Buf, '}')
	return nil
}

// boxedList writes a list that is a value of its own: an object such as ArrayOfString.
func (a *Answer) boxedList(o *object) error {
	a.begin(o.name)
	a.Buf = append(a.Buf, `,"`+valueKey+`":`...)
	e, err := a.tokens.Child()
	if err != nil {
		return err
	}
	items := o.members[0].Shape
	if items.kind == kindOctets {
		err = a.octets(e)
	} else {
		err = a.list(e, items)
	}
	a.Buf = append(a.Buf, '}')
	return err
}

// octets writes a list of bytes. first is the first element, or nil.
func (a *Answer) octets(first *xmltoken.Token) (err error) {
	var b []byte
	for e := first; e != nil && err == nil; {
		if b, err = a.octet(b); err == nil {
			e, err = a.tokens.Child()
		}
	}
	a.base64(b)
	return err
}

// reference writes a reference to a managed object.
func (a *Answer) reference(e *xmltoken.Token) error {
	a.begin("ManagedObjectReference")
	a.Buf = append(a.Buf, `,"type":`...)
	a.text(e.Attribute("", "type"))
	guid := string(e.Attribute("", "serverGuid"))
	id, err := a.tokens.Text()
	if err != nil {
		return err
	}
	a.Buf = append(a.Buf, `,"value":`...)
	a.text(id)
	if guid != "" {
		a.Buf = append(a.Buf, `,"serverGuid":`...)
		a.text([]byte(guid))
	}
	a.Buf = append(a.Buf, '}')
	return nil
}

// typeOf returns the type that an element names, without its prefix.
func typeOf(e *xmltoken.Token) []byte {
	if len(e.Attributes) == 0 {
		return nil
	}
	name := e.Attribute(instanceSpace, "type")
	for len(name) > 0 && isSpace(name[0]) {
		name = name[1:]
	}
	for len(name) > 0 && isSpace(name[len(name)-1]) {
		name = name[:len(name)-1]
	}
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == ':' {
			return name[i+1:]
		}
	}
	return name
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// absent reports whether xsi:nil marks the element as unset.
func absent(e *xmltoken.Token) bool {
	if len(e.Attributes) == 0 {
		return false
	}
	v := string(e.Attribute(instanceSpace, "nil"))
	return v == "true" || v == "1"
}
