package translation

import (
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/xmltoken"
)

const (
	namespace = "urn:vim25"

	envelope = `<?xml version="1.0" encoding="UTF-8"?>` +
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
		`<soapenv:Body>`
	envelopeEnd = `</soapenv:Body></soapenv:Envelope>`
)

// begin appends the beginning of a message, up to the object that is called.
func begin(b []byte, method string, object types.ManagedObjectReference) []byte {
	b = append(append(append(b, envelope+"<"...), method...), ` xmlns="`+namespace+`">`...)
	return reference(b, "_this", object)
}

// end appends the end of a message.
func end(b []byte, method string) []byte {
	return append(append(append(b, "</"...), method...), ">"+envelopeEnd...)
}

func reference(b []byte, name string, object types.ManagedObjectReference) []byte {
	b = append(append(append(b, '<'), name...), ` type="`...)
	b = xmltoken.AppendText(b, object.Type)
	b = xmltoken.AppendText(append(b, `">`...), object.Value)
	return append(append(append(b, "</"...), name...), '>')
}

// retrieval returns the message that reads one property of an object.
func retrieval(collector, object types.ManagedObjectReference, property string) []byte {
	const method = "RetrievePropertiesEx"
	b := begin(make([]byte, 0, 1<<10), method, collector)
	b = xmltoken.AppendText(append(b, "<specSet><propSet><type>"...), object.Type)
	b = xmltoken.AppendText(append(b, "</type><pathSet>"...), property)
	b = append(b, "</pathSet></propSet><objectSet>"...)
	b = reference(b, "obj", object)
	b = append(b, "<skip>false</skip></objectSet></specSet><options></options>"...)
	return end(b, method)
}
