package message

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/vigate/vigate/internal/xmltoken"
)

// The namespaces of envelopes: SOAP 1.1 and 1.2.
const (
	nsEnvelope   = "http://schemas.xmlsoap.org/soap/envelope/"
	nsEnvelope12 = "http://www.w3.org/2003/05/soap-envelope"
)

// limits are those of requests that pass. They may be larger than requests to vigate itself: specifications of
// machines and descriptors of OVF packages have many elements.
var limits = xmltoken.Limits{Depth: 128, Markup: 2_000_000}

// Message is a SOAP request as its receiver reads it.
type Message struct {
	Raw []byte
	// Method is the name of the operation. Its namespace is for the upstream to judge, and passes as it is.
	Method string
	// Type is the type of the object that is called, and This its id.
	Type string
	This Place
	// Cookie is the text of the header vcSessionCookie, and Operation that of operationID.
	Cookie    Place
	Operation string
	// Unnamed means that there is no header operationID.
	Unnamed bool
	// Token is the text of the operation's own member "token". ContinueRetrievePropertiesEx has one.
	Token Place
	// Session is the text of the operation's own member "sessionId". Questions for privileges have one.
	Session Place
	// Version is the text of the operation's own member "version". Waits have one.
	Version string
	// Prop is the text of the operation's own member "prop". Fetch has one.
	Prop string
	// IDs are the places with ids of objects that belong to sessions, in the order of the message, without
	// This.
	IDs []Place
	// Named means that one of the words that Parse looks for is the text of an element other than _this.
	Named bool
	// Hidden means that such an id is where no receiver reads one, for example in an attribute.
	Hidden bool
	// Objects are the different texts of which Watch.Object says that they name an object, in no order.
	Objects map[string]bool
	// Body and After are the offsets of the operation's start tag and of the byte after its end tag.
	Body, After int

	prefix string // of the namespace of the envelope, with a colon if there is one
	top    int    // offset behind the start tag of the envelope
	header int    // the same of its Header; 0 if there is none
}

// Place is a part of a message: the text of an element, or a piece of it. Begin and End are byte offsets, and
// Text is what a receiver reads there.
type Place struct {
	Begin, End int
	Text       string
}

// Zero reports whether there is no such place.
func (p Place) Zero() bool { return p.End == 0 }

// FormError is the reason why a message is not a request that can be passed on. Its text contains nothing of
// the message.
type FormError struct{ reason string }

func (e *FormError) Error() string { return e.reason }

func bad(reason string) error { return &FormError{reason} }

// Watch says what Parse looks for in the texts of a request. The zero Watch looks for nothing.
type Watch struct {
	// Words are the words to look for, without the prefix that a text may have.
	Words map[string]bool
	// Object reports whether a text, without blanks around it, is the id of an object that belongs to a session
	// although its form does not show that. It is asked about the text of each element that is a reference, and
	// about each longer text, since a receiver may not need the attribute that makes a reference of it. It may be
	// nil.
	Object func(text string) bool
}

// leastID is the least length of an id in a text that is no reference, in bytes. A shorter text may be anything.
const leastID = 8

// Parse reads a request, which must be in UTF-8 and must not change later. It refuses what different
// receivers could read in different ways: a second operation, a second object, text beside elements.
//
// The error is a *FormError.
func Parse(raw []byte, w Watch) (*Message, error) {
	p := parser{message: Message{Raw: raw, Unnamed: true}, watch: w}
	p.reader.Start(raw, xmltoken.Options{Limits: limits})
	err := p.read()
	if broken, ok := errors.AsType[*xmltoken.Error](err); ok {
		return nil, bad(broken.Error())
	}
	if err != nil {
		return nil, err
	}
	return &p.message, nil
}

// parser reads one message.
type parser struct {
	reader  xmltoken.Reader
	message Message
	watch   Watch
	open    []element
	section section
	members int // elements that the operation has
	// begin is the place where the text of the current element begins, and text is the text as a
	// receiver reads it.
	begin int
	text  []byte
}

// element is an open element.
type element struct {
	name string
	// parent is set if the element has children, and worded if it has text that is not blank.
	parent, worded bool
	reference      bool // it has the attribute type
}

// section is the part of the envelope that is read.
type section int

const (
	before section = iota
	header
	between
	body
	after
)

func (p *parser) read() error {
	for {
		t, err := p.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch t.Kind {
		case xmltoken.Text:
			err = p.words(t)
		case xmltoken.StartTag:
			err = p.start(t)
		case xmltoken.EndTag:
			err = p.end(t)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case p.message.Method == "":
		return bad("there is no operation in the message")
	case p.message.This.Zero():
		return bad("the operation does not begin with _this")
	}
	return nil
}

func (p *parser) words(t *xmltoken.Token) error {
	p.text = append(p.text, t.Text...)
	if t.Blank() {
		return nil
	}
	if len(p.open) == 0 {
		return bad("there is text beside the envelope")
	}
	e := &p.open[len(p.open)-1]
	e.worded = true
	return e.mixed()
}

// mixed refuses text beside elements: some receivers put the pieces of such text together.
func (e *element) mixed() error {
	if e.parent && e.worded {
		return bad("there is text between elements")
	}
	return nil
}

func (p *parser) start(t *xmltoken.Token) error {
	depth := len(p.open)
	if depth > 0 {
		e := &p.open[depth-1]
		e.parent = true
		if err := e.mixed(); err != nil {
			return err
		}
	}
	for i := range t.Attributes {
		if formed(string(t.Attributes[i].Value)) {
			p.message.Hidden = true
		}
	}
	if err := p.place(t, depth); err != nil {
		return err
	}
	p.open = append(p.open, element{name: string(t.Name), reference: t.Attribute("", "type") != nil})
	p.begin, p.text = t.End, p.text[:0]
	return nil
}

// place finds out what the element that begins is.
func (p *parser) place(t *xmltoken.Token, depth int) error {
	envelope := string(t.Space) == nsEnvelope || string(t.Space) == nsEnvelope12
	switch {
	case depth == 0:
		if !envelope || string(t.Name) != "Envelope" || p.section != before {
			return bad("want one Envelope of SOAP")
		}
		tag := string(p.message.Raw[t.Begin+1 : t.End])
		p.message.prefix, p.message.top = tag[:max(0, strings.Index(tag, "Envelope"))], t.End
	case depth == 1:
		switch name := string(t.Name); {
		case envelope && name == "Header" && p.section == before:
			p.section = header
			p.message.header = t.End
		case envelope && name == "Body" && p.section <= between:
			p.section = body
		default:
			return bad("want a Header, which may be missing, and one Body in the envelope")
		}
	case depth == 2 && p.section == body:
		if p.message.Method != "" {
			return bad("there is a second operation in the message")
		}
		p.message.Method = string(t.Name)
		p.message.Body = t.Begin
	case depth == 3 && p.section == body:
		this := string(t.Name) == "_this"
		if this != (p.members == 0) {
			return bad("the operation has to begin with its only _this")
		}
		p.members++
		if this {
			p.message.Type = string(bytes.TrimSpace(t.Attribute("", "type")))
		}
	}
	return nil
}

func (p *parser) end(t *xmltoken.Token) error {
	depth := len(p.open) - 1
	e := p.open[depth]
	p.open = p.open[:depth]
	if !e.parent {
		p.object(e.reference)
		if err := p.leaf(e.name, depth, t.Begin); err != nil {
			return err
		}
	}
	p.text = p.text[:0]
	switch {
	case depth == 0:
		p.section = after
	case depth == 1 && p.section == header:
		p.section = between
	case depth == 2 && p.section == body:
		p.message.After = t.End
	}
	return nil
}

// leaf looks at the text of an element without children, which ends at the offset.
func (p *parser) leaf(name string, depth, end int) error {
	m := &p.message
	// <x/> has two tokens of the same bytes.
	here := func() Place { return Place{min(p.begin, end), end, string(p.text)} }
	switch {
	case depth == 2 && p.section == header && name == "vcSessionCookie":
		if !m.Cookie.Zero() {
			return bad("the header vcSessionCookie is repeated")
		}
		m.Cookie = here()
		return nil
	case depth == 2 && p.section == header && name == "operationID":
		m.Operation, m.Unnamed = string(p.text), false
	case depth == 3 && p.section == body && name == "_this":
		m.This = here()
		return nil
	case depth == 3 && p.section == body && name == "token":
		m.Token = here()
	case depth == 3 && p.section == body && name == "sessionId":
		m.Session = here()
	case depth == 3 && p.section == body && name == "version":
		m.Version = string(p.text)
	case depth == 3 && p.section == body && name == "prop":
		m.Prop = string(p.text)
	}
	if p.watch.Words[bare(string(p.text))] {
		m.Named = true
	}
	p.ids(p.begin, end)
	return nil
}

// object notes the text of an element if that names an object.
func (p *parser) object(reference bool) {
	if p.watch.Object == nil {
		return
	}
	text := string(bytes.TrimSpace(p.text))
	if text == "" || !reference && len(text) < leastID || !p.watch.Object(text) {
		return
	}
	if p.message.Objects == nil {
		p.message.Objects = map[string]bool{}
	}
	p.message.Objects[text] = true
}

// bare returns a name without blanks and without its prefix: vim25:Folder and vim.Folder are Folder.
func bare(name string) string {
	name = strings.TrimSpace(name)
	return name[strings.LastIndexAny(name, ":.")+1:]
}

// ids notes the places of ids in the text between the two offsets.
func (p *parser) ids(begin, end int) {
	if !formed(string(p.text)) {
		return
	}
	text := string(p.text)
	if begin > end || string(p.message.Raw[begin:end]) != text {
		// The text is written in another way, so no part of it has a place of its own.
		p.message.IDs = append(p.message.IDs, Place{min(begin, end), end, text})
		return
	}
	for at := 0; at < len(text); {
		from, to := nextID(text[at:])
		if from == to {
			return
		}
		p.message.IDs = append(p.message.IDs, Place{begin + at + from, begin + at + to, text[at+from : at+to]})
		at += to
	}
}

// AsksContent reports whether the request asks for the content of the service.
func (m *Message) AsksContent() bool {
	return m.Method == "RetrieveServiceContent" ||
		m.Method == "Fetch" && m.Type == "ServiceInstance" && m.This.Text == "ServiceInstance" && m.Prop == "content"
}

// Repeats reports whether a text, which may be empty, stands elsewhere than in the header vcSessionCookie.
func (m *Message) Repeats(text string) bool {
	b := []byte(text)
	return len(b) > 0 && (bytes.Contains(m.Raw[:m.Cookie.Begin], b) || bytes.Contains(m.Raw[m.Cookie.End:], b))
}

// Edit is a new text for a place.
type Edit struct {
	Place
	With string
	xml  bool // the text is XML already
}

// Name returns the edit that adds the header operationID to a message without one. ok is false if the message
// has an empty Header.
func (m *Message) Name(operation string) (_ Edit, ok bool) {
	name := `<operationID xmlns="">` + string(xmltoken.AppendText(nil, operation)) + `</operationID>`
	at := m.header
	if at == 0 {
		at = m.top
		name = "<" + m.prefix + "Header>" + name + "</" + m.prefix + "Header>"
	}
	return Edit{Place{Begin: at, End: at}, name, true}, m.Raw[at-2] != '/'
}

// Append appends the message with the edits to b. They must be in the order of the message, and must not
// overlap.
func (m *Message) Append(b []byte, edits []Edit) []byte {
	done := 0
	for _, e := range edits {
		b = append(b, m.Raw[done:e.Begin]...)
		if e.xml {
			b = append(b, e.With...)
		} else {
			b = xmltoken.AppendText(b, e.With)
		}
		done = e.End
	}
	return append(b, m.Raw[done:]...)
}
