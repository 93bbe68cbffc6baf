package vijson

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

func aSession() *types.UserSession {
	return &types.UserSession{
		Key: "52bbd080-60ea-4db5-83d9-d56cc9510dd6", UserName: `VSPHERE.LOCAL\Administrator`,
		FullName: "Administrator vsphere.local", LoginTime: time.Unix(1e9, 0), LastActiveTime: time.Unix(1e9, 5e6),
		Locale: "en", MessageLocale: "en", IpAddress: "192.0.2.7", UserAgent: "bench/1", CallCount: 12345,
	}
}

func BenchmarkEncodeASession(b *testing.B) {
	e := encoder{codec: newCodec()}
	s := aSession()
	b.ReportAllocs()
	for b.Loop() {
		e.Buf = e.Buf[:0]
		if err := e.encode(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeALogin(b *testing.B) {
	c := newCodec()
	body := []byte(`{"_typeName":"Login","userName":"administrator","password":"a password of some length",` +
		`"locale":"en_US"}`)
	b.ReportAllocs()
	for b.Loop() {
		var r types.LoginRequestType
		if err := c.decode(body, &r, "Login", "LoginRequestType"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadOfAProperty(b *testing.B) {
	f := newFake()
	f.do = gives(aSession())
	h := newHandler(f, f.bodies)
	r := f.known(httptest.NewRequest("GET", manager+"currentSession", nil))
	r.Header.Set("vmware-api-session-id", "0123456789012345678901234567890123456789")
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		f.calls = f.calls[:0]
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
