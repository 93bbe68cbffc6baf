package wsdl

import (
	"bytes"
	"maps"
	"reflect"
	"slices"

	"github.com/vigate/vigate/internal/schema"
	"github.com/vigate/vigate/internal/xmltoken"
)

// writer makes an XML file. All names and values in it are names of the API, which need no escaping; text escapes
// the others.
type writer struct{ bytes.Buffer }

// put writes texts, one after the other.
func (w *writer) put(texts ...string) {
	for _, t := range texts {
		w.WriteString(t)
	}
}

// beginSchema writes the start tag of a schema that includes files.
func (w *writer) beginSchema(includes ...string) {
	w.put(`<schema targetNamespace="`, nsVim, `" xmlns="`, nsSchema, `" xmlns:vim25="`, nsVim, `" xmlns:xsd="`,
		nsSchema, "\" elementFormDefault=\"qualified\">\n")
	for _, file := range includes {
		w.put(`<include schemaLocation="`, file, "\"/>\n")
	}
}

// typesOf returns the file with the types of a part.
func (c *catalogue) typesOf(p *part) []byte {
	var w writer
	w.put(declaration)
	w.beginSchema(p.includes...)
	for _, d := range c.in(p) {
		w.datum(d)
	}
	w.put("</schema>\n")
	return w.Bytes()
}

func (w *writer) datum(d *datum) {
	switch {
	case d.of == schema.Reference:
		w.put(`<complexType name="`, d.name, "\">\n<simpleContent>\n<extension base=\"xsd:string\">\n",
			"<attribute name=\"type\" type=\"xsd:string\"/>\n<attribute name=\"serverGuid\" type=\"xsd:string\"/>\n",
			"</extension>\n</simpleContent>\n</complexType>\n")
	case d.of != nil && d.of.Kind() == reflect.String:
		w.enumeration(d)
	case d.base != nil:
		w.put(`<complexType name="`, d.name, "\">\n<complexContent>\n<extension base=\"", prefix, d.base.name, "\">\n")
		w.sequence(d.fields)
		w.put("</extension>\n</complexContent>\n</complexType>\n")
	default:
		w.put(`<complexType name="`, d.name, "\">\n")
		w.sequence(d.fields)
		w.put("</complexType>\n")
	}
}

func (w *writer) enumeration(d *datum) {
	w.put(`<simpleType name="`, d.name, "\">\n<restriction base=\"xsd:string\">\n")
	if e, ok := reflect.Zero(d.of).Interface().(interface{ Strings() []string }); ok {
		for _, value := range e.Strings() {
			w.put(`<enumeration value="`)
			w.Write(xmltoken.AppendText(nil, value))
			w.put("\"/>\n")
		}
	}
	w.put("</restriction>\n</simpleType>\n")
}

func (w *writer) sequence(fields []field) {
	w.put("<sequence>\n")
	for _, f := range fields {
		w.element(f)
	}
	w.put("</sequence>\n")
}

func (w *writer) element(f field) {
	w.put(`<element name="`, f.name, `" type="`, f.shape.name, `"`)
	if f.optional {
		w.put(` minOccurs="0"`)
	}
	if f.list {
		w.put(` maxOccurs="unbounded"`)
	}
	w.put("/>\n")
}

// this is the first member of every request, the object of the call.
var this = field{name: "_this", shape: shape{name: prefix + "ManagedObjectReference"}}

// messagesOf returns the file with the messages of a part's operations.
func (c *catalogue) messagesOf(p *part, operations []*operation) []byte {
	var w writer
	w.put(declaration)
	w.beginSchema(p.types)
	for _, o := range operations {
		if !p.has(o) {
			continue
		}
		fields := []field{this}
		for _, m := range schema.Of(o.Args, "xml").Members {
			if !c.after(m) {
				fields = append(fields, c.field(m))
			}
		}
		w.put(`<complexType name="`, o.Name, "RequestType\">\n")
		w.sequence(fields)
		w.put("</complexType>\n", `<element name="`, o.Name, `" type="`, prefix, o.Name, "RequestType\"/>\n")
		w.put(`<element name="`, o.Name, "Response\">\n<complexType>\n")
		fields = nil
		if o.Result != nil {
			s := c.of(o.Result)
			fields = append(fields, field{s, "returnval", s.list || o.Optional})
		}
		w.sequence(fields)
		w.put("</complexType>\n</element>\n")
	}
	w.put("</schema>\n")
	return w.Bytes()
}

// describe returns the file with the operations and their binding.
func (c *catalogue) describe(release string, operations []*operation) []byte {
	var w writer
	w.put(declaration, `<definitions targetNamespace="`, nsVim, `" xmlns="`, nsDescription, `" xmlns:soap="`, nsSOAP,
		`" xmlns:vim25="`, nsVim, `" xmlns:xsd="`, nsSchema, "\">\n<types>\n")
	var includes []string
	for _, p := range parts {
		if p.messages != "" {
			includes = append(includes, p.messages)
		}
	}
	w.beginSchema(includes...)
	w.put("<element name=\"versionURI\" type=\"xsd:string\"/>\n")
	for _, name := range slices.Sorted(maps.Keys(c.data)) {
		if c.isFault(c.data[name]) {
			w.put(`<element name="`, name, `Fault" type="`, prefix, name, "\"/>\n")
		}
	}
	w.put("</schema>\n</types>\n")
	w.messages(operations)
	w.put("<portType name=\"VimPortType\">\n")
	for _, o := range operations {
		w.put(`<operation name="`, o.Name, "\">\n<input message=\"", prefix, o.Name, "RequestMsg\"/>\n",
			`<output message="`, prefix, o.Name, "ResponseMsg\"/>\n")
		for _, f := range o.faults {
			w.put(`<fault name="`, f, `" message="`, prefix, f, "FaultMsg\"/>\n")
		}
		w.put("</operation>\n")
	}
	w.put("</portType>\n")
	w.binding(release, operations)
	w.put("</definitions>\n")
	return w.Bytes()
}

// messages writes the messages of the operations, and those of their faults.
func (w *writer) messages(operations []*operation) {
	message := func(name, part, element string) {
		w.put(`<message name="`, name, "Msg\">\n<part name=\"", part, `" element="`, prefix, element,
			"\"/>\n</message>\n")
	}
	faults := map[string]bool{}
	for _, o := range operations {
		message(o.Name+"Request", "parameters", o.Name)
		message(o.Name+"Response", "parameters", o.Name+"Response")
		for _, f := range o.faults {
			faults[f] = true
		}
	}
	for _, f := range slices.Sorted(maps.Keys(faults)) {
		message(f+"Fault", "fault", f+"Fault")
	}
}

// binding writes how the operations are called.
func (w *writer) binding(release string, operations []*operation) {
	w.put("<binding name=\"VimBinding\" type=\"", prefix, "VimPortType\">\n",
		`<soap:binding style="document" transport="`, overHTTP, "\"/>\n")
	for _, o := range operations {
		w.put(`<operation name="`, o.Name, "\">\n<soap:operation soapAction=\"", nsVim, "/", release,
			"\" style=\"document\"/>\n<input>\n<soap:body use=\"literal\"/>\n</input>\n",
			"<output>\n<soap:body use=\"literal\"/>\n</output>\n")
		for _, f := range o.faults {
			w.put(`<fault name="`, f, "\">\n<soap:fault name=\"", f, "\" use=\"literal\"/>\n</fault>\n")
		}
		w.put("</operation>\n")
	}
	w.put("</binding>\n")
}
