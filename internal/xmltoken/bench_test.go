package xmltoken_test

import (
	"errors"
	"io"
	"testing"

	"github.com/vigate/vigate/internal/xmltoken"
)

// request is govmomi's request for the current session.
const request = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><RetrievePropertiesEx xmlns="urn:vim25">` +
	`<_this type="PropertyCollector">propertyCollector</_this><specSet><propSet><type>SessionManager</type>` +
	`<pathSet>currentSession</pathSet></propSet><objectSet><obj type="SessionManager">SessionManager</obj>` +
	`<skip>false</skip></objectSet></specSet><options></options></RetrievePropertiesEx></Body></Envelope>`

func benchmarkRead(b *testing.B, o xmltoken.Options) {
	b.ReportAllocs()
	b.SetBytes(int64(len(request)))
	message := []byte(request)
	var r xmltoken.Reader
	for b.Loop() {
		r = xmltoken.Reader{}
		r.Start(message, o)
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) { benchmarkRead(b, xmltoken.Options{}) }

func BenchmarkReadSigned(b *testing.B) {
	benchmarkRead(b, xmltoken.Options{Signed: []string{"urn:vim25"}})
}

func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(request)))
	for b.Loop() {
		if err := xmltoken.Check([]byte(request), xmltoken.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
