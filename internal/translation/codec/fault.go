package codec

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/jsontoken"
	"github.com/vigate/vigate/internal/xmltoken"
)

// Fault writes the fault that the answer is: an object with the text of the fault beside its members.
// Nothing is sent before it is complete.
func (a *Answer) Fault() error {
	a.held++
	defer func() { a.held-- }()
	text, written := "", false
	start := len(a.Buf)
	err := a.children(func(e *xmltoken.Token) (err error) {
		switch string(e.Name) {
		case "faultstring":
			var b []byte
			b, err = a.tokens.Text()
			text = string(b)
		case "detail":
			written, err = a.detail()
		default:
			err = a.tokens.Skip()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("translate fault: %w", err)
	}
	if !written {
		// SOAP allows a fault that has no type of the API.
		a.Buf = a.Buf[:start]
		a.begin("RuntimeFault")
		a.typed = len(a.Buf)
		a.Buf = append(a.Buf, '}')
	}
	a.faultstring(text)
	return a.end()
}

// Refusal writes the text of the answer, a fault without a type: the server has refused the call because of load.
func (a *Answer) Refusal() error {
	if !a.fault {
		return errors.New("translate refusal: the answer is no fault")
	}
	text := ""
	err := a.children(func(e *xmltoken.Token) error {
		if string(e.Name) != "faultstring" {
			return a.tokens.Skip()
		}
		b, err := a.tokens.Text()
		text = string(b)
		return err
	})
	if err != nil {
		return fmt.Errorf("translate refusal: %w", err)
	}
	a.Buf = append(jsontoken.AppendString(append(a.Buf, `{"faultstring":`...), text), '}')
	return a.end()
}

// detail writes the object in the detail of a fault. written is false if there is none.
func (a *Answer) detail() (written bool, err error) {
	_, e, err := a.textOrChild()
	if err != nil || e == nil {
		return false, err
	}
	if err := a.detailed(e); err != nil {
		return false, err
	}
	return true, a.tokens.Skip()
}

// detailed writes a fault. Its type is in xsi:type, or in the name of the element.
func (a *Answer) detailed(e *xmltoken.Token) error {
	base, ok := a.schema.types.named("MethodFault")
	if !ok || base.of == nil {
		return errors.New("the schema has no faults")
	}
	typ := string(typeOf(e))
	if typ == "" {
		typ = strings.TrimSuffix(string(e.Name), "Fault")
	}
	o := base.of
	if s, ok := a.schema.types.named(typ); ok && s.of != nil {
		o = s.of
	}
	if typ == "" {
		typ = o.name
	}
	a.begin(typ)
	a.typed = len(a.Buf)
	return a.members(o, nil)
}

// faultstring inserts the text of the last fault after its type.
func (a *Answer) faultstring(text string) {
	a.Buf = slices.Insert(a.Buf, a.typed, jsontoken.AppendString([]byte(`,"faultstring":`), text)...)
}

// Property writes the value of the only property in the result of RetrievePropertiesEx. s is its declared
// type. set is false if the property is unset. failed is true if the server could not read it, and the
// fault that says why has been written instead.
func (a *Answer) Property(s Shape) (set, failed bool, err error) {
	p := property{Answer: a, of: s}
	if err = p.below("returnval", "objects"); err == nil {
		err = a.end()
	}
	if err != nil {
		return p.set, p.failed, fmt.Errorf("translate property: %w", err)
	}
	return p.set, p.failed, nil
}

// property reads the result of RetrievePropertiesEx.
type property struct {
	*Answer
	of          Shape
	set, failed bool
}

// below reads the children of the current element. It descends into elements of the first of the given
// names.
func (p *property) below(names ...string) error {
	return p.children(func(e *xmltoken.Token) error {
		name := string(e.Name)
		switch {
		case len(names) > 0 && name == names[0]:
			return p.below(names[1:]...)
		case len(names) > 0, p.set, p.failed:
		case name == "propSet":
			return p.value()
		case name == "missingSet":
			return p.missing()
		}
		return p.tokens.Skip()
	})
}

// value writes the val of a propSet.
func (p *property) value() error {
	return p.children(func(e *xmltoken.Token) error {
		if string(e.Name) != "val" || p.set {
			return p.tokens.Skip()
		}
		p.set = true
		return p.unwrapped(e)
	})
}

// unwrapped writes a value whose declared type is known without the box that SOAP has around it.
func (p *property) unwrapped(e *xmltoken.Token) error {
	if !p.of.List && p.of.kind != kindOctets {
		return p.Answer.value(e, p.of)
	}
	first, err := p.tokens.Child()
	if err != nil {
		return err
	}
	if !p.of.List {
		return p.Answer.octets(first)
	}
	return p.list(first, p.of)
}

// missing writes the fault of a missingSet.
func (p *property) missing() error {
	p.held++
	defer func() { p.held-- }()
	text := ""
	err := p.children(func(e *xmltoken.Token) error {
		if string(e.Name) != "fault" {
			return p.tokens.Skip()
		}
		return p.children(func(e *xmltoken.Token) error {
			switch string(e.Name) {
			case "fault":
				p.failed = true
				return p.detailed(e)
			case "localizedMessage":
				b, err := p.tokens.Text()
				text = string(b)
				return err
			}
			return p.tokens.Skip()
		})
	})
	if err != nil {
		return err
	}
	if !p.failed {
		return errors.New("a property is missing without a fault")
	}
	p.faultstring(text)
	return nil
}

// children calls visit with the start tag of each child of the current element. visit reads the rest of it.
func (a *Answer) children(visit func(*xmltoken.Token) error) error {
	for {
		e, err := a.tokens.Child()
		if err != nil || e == nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
	}
}
