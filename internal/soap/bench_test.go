package soap

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// arguments appends the members of a request.
func (e *encoder) arguments(args any) {
	v := reflect.ValueOf(args).Elem()
	e.members(v, e.codec.plans.Of(v.Type()))
}

// equal compares two arguments in their encoded form. So an empty list equals nil, and NaN equals NaN.
func equal(a, b any) bool {
	c := newCodec()
	x, y := encoder{codec: c, release: newest}, encoder{codec: c, release: newest}
	x.arguments(a)
	y.arguments(b)
	return bytes.Equal(x.Buf, y.Buf)
}

// retrieve is govmomi's request for the current session.
const retrieve = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><RetrievePropertiesEx xmlns="urn:vim25"><_this ` +
	`type="PropertyCollector">propertyCollector</_this><specSet><propSet><type>SessionManager</type>` +
	`<pathSet>currentSession</pathSet></propSet><objectSet><obj type="SessionManager">SessionManager</obj>` +
	`<skip>false</skip></objectSet></specSet><options></options></RetrievePropertiesEx></Body></Envelope>`

func someSession() types.UserSession {
	return types.UserSession{
		Key: "52a7bb3c-6a8d-4c4e-9b0a-0f2f4d6b8c11", UserName: `VSPHERE.LOCAL\Administrator`,
		FullName: "Administrator vsphere.local", LoginTime: time.Unix(1.7e9, 123456000),
		LastActiveTime: time.Unix(1.7e9+60, 0), Locale: "en", MessageLocale: "en",
		ExtensionSession: false, IpAddress: "192.0.2.7", UserAgent: "govc/0.55.0", CallCount: 17,
	}
}

// sink discards a response.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header        { return s.header }
func (*sink) Write(p []byte) (int, error)  { return len(p), nil }
func (*sink) WriteHeader(int)              {}
func (s *sink) reset() http.ResponseWriter { clear(s.header); return s }

func benchmarkCall(b *testing.B, message string, value any) {
	f := newFake().gives(value)
	h := newHandler(f, f.bodies, discard(), "8.0.3.0")
	r := f.known(httptest.NewRequest("POST", "/sdk", nil))
	r.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	r.Header.Set("SOAPAction", "urn:vim25/8.0.3.0")
	r.Header.Set("Cookie", `vmware_soap_session="`+digits+`"`)
	w := &sink{http.Header{}}
	b.ReportAllocs()
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(message))
		r.ContentLength = int64(len(message))
		h.ServeHTTP(w.reset(), r)
		f.calls = f.calls[:0]
	}
	if len(f.refused) > 0 {
		b.Fatal(f.refused[0])
	}
}

func BenchmarkFetchCurrentSession(b *testing.B) {
	benchmarkCall(b, envelope(manager("Fetch", "<prop>currentSession</prop>")), new(someSession()))
}

func BenchmarkRetrieveCurrentSession(b *testing.B) {
	benchmarkCall(b, retrieve, &types.RetrieveResult{Objects: []types.ObjectContent{{
		Obj:     types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"},
		PropSet: []types.DynamicProperty{{Name: "currentSession", Val: someSession()}},
	}}})
}

func BenchmarkDecode(b *testing.B) {
	f := newFake()
	b.ReportAllocs()
	c := newCodec()
	c.learn(f.Objects())
	for b.Loop() {
		m := &message{decoder: decoder{codec: c}, raw: []byte(retrieve), api: f, call: &vim.Call{}}
		if err := m.read(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	c := newCodec()
	e := encoder{codec: c, release: newest}
	s := someSession()
	b.ReportAllocs()
	for b.Loop() {
		e.Buf = e.Buf[:0]
		if err := e.response("Fetch", &s, true); err != nil {
			b.Fatal(err)
		}
	}
}
