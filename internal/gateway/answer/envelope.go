package answer

import (
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	head = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
		`<soapenv:Body>`
	tail = `</soapenv:Body></soapenv:Envelope>`
)

// Envelope returns a message of SOAP with the content of its body, which may use the prefixes xsd and xsi.
func Envelope(body string) []byte { return []byte(head + body + tail) }

// Retrieval returns a request for properties of one object, as a client could make it.
func Retrieval(collector string, of types.ManagedObjectReference, specs []message.PropertySpec) []byte {
	var b strings.Builder
	b.WriteString(`<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">` + collector +
		`</_this><specSet>`)
	for _, s := range specs {
		b.WriteString("<propSet><type>" + of.Type + "</type>")
		if s.All {
			b.WriteString("<all>true</all>")
		}
		for _, path := range s.Paths {
			b.WriteString("<pathSet>" + string(xmltoken.AppendText(nil, path)) + "</pathSet>")
		}
		b.WriteString("</propSet>")
	}
	b.WriteString(`<objectSet><obj type="` + of.Type + `">` + of.Value + `</obj></objectSet></specSet><options/>` +
		`</RetrievePropertiesEx>`)
	return Envelope(b.String())
}

// Call returns a call of a method of an object with arguments that are XML already.
func Call(name string, on types.ManagedObjectReference, arguments string) []byte {
	b := []byte(`<` + name + ` xmlns="urn:vim25"><_this type="`)
	b = append(xmltoken.AppendText(b, on.Type), `">`...)
	b = append(xmltoken.AppendText(b, on.Value), "</_this>"+arguments+"</"+name+">"...)
	return Envelope(string(b))
}

// References returns references as elements with the name.
func References(name string, refs []types.ManagedObjectReference) string {
	b := []byte{}
	for _, ref := range refs {
		b = append(b, `<`+name+` xmlns:XSI="http://www.w3.org/2001/XMLSchema-instance" type="`...)
		b = append(xmltoken.AppendText(b, ref.Type), `" XSI:type="ManagedObjectReference">`...)
		b = append(xmltoken.AppendText(b, ref.Value), `</`+name+`>`...)
	}
	return string(b)
}
