package codec

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/vim"
)

func TestRequestsHaveTheOrderOfTheSchema(t *testing.T) {
	s := NewSchema()
	for _, c := range []struct{ method, json, soap string }{
		{"FindByUuid", `{"vmSearch":true,"uuid":"u"}`, `<uuid>u</uuid><vmSearch>true</vmSearch>`},
		{"FindByUuid", `{"instanceUuid":null,"vmSearch":true,"datacenter":{"value":"dc","type":"Datacenter"},` +
			`"uuid":""}`,
			`<datacenter type="Datacenter">dc</datacenter><uuid></uuid><vmSearch>true</vmSearch>`},
		{"Logout", ``, ``}, {"Logout", ` {} `, ``}, {"Logout", `{"_typeName":"Logout"}`, ``},
		{"PowerOnVM_Task", `{"_typeName":"PowerOnVMRequestType"}`, ``},
		{"PowerOnVM_Task", `{"_typeName":"PowerOnVM_TaskRequestType"}`, ``},
		{"setCustomValue", `{"_typeName":"SetCustomValue","value":"v","key":"k"}`, `<key>k</key><value>v</value>`},
		{"TerminateSession", `{"sessionId":null}`, ``}, {"TerminateSession", `{"sessionId":[]}`, ``},
		{"TerminateSession", `{"sessionId":["a","<"]}`, `<sessionId>a</sessionId><sessionId>&lt;</sessionId>`},
		{"UpdateOptions", `{"changedValue":[{"value":{"_value":5,"_typeName":"int"},"_typeName":"OptionValue",` +
			`"key":"k"}]}`,
			`<changedValue><key>k</key><value xsi:type="xsd:int">5</value></changedValue>`},
		{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"binary","_value":"AQ=="}}]}`,
			`<changedValue><key>k</key><value xsi:type="xsd:base64Binary">AQ==</value></changedValue>`},
		{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"ManagedObjectReference","_value":` +
			`{"type":"A","value":"b","serverGuid":"g"}}}]}`, `<changedValue><key>k</key><value ` +
			`xsi:type="ManagedObjectReference" type="A" serverGuid="g">b</value></changedValue>`},
		{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"ArrayOfByte","_value":[1,-1,255]}}]}`,
			`<changedValue><key>k</key><value xsi:type="ArrayOfByte"><byte>1</byte><byte>-1</byte><byte>-1</byte>` +
				`</value>` +
				`</changedValue>`},
		{"PostEvent", `{"eventToPost":{"userName":"u","createdTime":"2024-01-01t00:00:00+01:00","chainId":1,"key":2,` +
			`"message":"m","_typeName":"GeneralUserEvent"}}`, `<eventToPost xsi:type="GeneralUserEvent"><key>2</key>` +
			`<chainId>1</chainId><createdTime>2023-12-31T23:00:00Z</createdTime><userName>u</userName><message>m` +
			`</message></eventToPost>`},
	} {
		got, err := s.Request([]byte("before"), []byte(c.json), c.method)
		if err != nil || string(got) != "before"+c.soap {
			t.Errorf("%s %s: %s %v\nwant %s", c.method, c.json, got, err, c.soap)
		}
	}
}

var badRequests = []struct{ method, json, kind string }{
	{"Logout", `[]`, "InvalidRequest"}, {"Logout", `null`, "InvalidRequest"}, {"Logout", `{`, "InvalidRequest"},
	{"Logout", "{\"a\xff\":1}", "InvalidRequest"}, {"Logout", `{"x":1}`, "InvalidRequest"},
	{"Logout", `{"_this":{"type":"A","value":"b"}}`, "InvalidRequest"},
	{"Logout", `{"_typeName":"Login"}`, "InvalidRequest"}, {"Logout", `{"_typeName":5}`, "InvalidRequest"},
	{"Logout", `{"_typeName":"Logout","_typeName":"Logout"}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":"a"}`, "InvalidArgument"},
	{"FindByUuid", `{"uuid":null,"vmSearch":true}`, "InvalidArgument"},
	{"FindByUuid", `{"uuid":"a","uuid":"b","vmSearch":true}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":5,"vmSearch":true}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":"a","vmSearch":"true"}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":"\u0000","vmSearch":true}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":"\ud800","vmSearch":true}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":"\uffff","vmSearch":true}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":"","vmSearch":true,"datacenter":{"type":"A"}}`, "InvalidArgument"},
	{"FindByUuid", `{"uuid":"","vmSearch":true,"datacenter":{"type":"A","value":"b","x":1}}`, "InvalidRequest"},
	{"FindByUuid", `{"uuid":"","vmSearch":true,"datacenter":{"type":"A","value":"b","_typeName":"X"}}`,
		"InvalidRequest"},
	{"FindByUuid", `{"uuid":"","vmSearch":true,"datacenter":"dc"}`, "InvalidRequest"},
	{"TerminateSession", `{"sessionId":"a"}`, "InvalidRequest"},
	{"TerminateSession", `{"sessionId":[null]}`, "InvalidRequest"},
	{"UpdateProgress", `{"percentDone":2147483648}`, "InvalidRequest"},
	{"UpdateProgress", `{"percentDone":1.0}`, "InvalidRequest"},
	{"UpdateProgress", `{"percentDone":1e2}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":"bare"}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_value":1}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"int"}}]}`, "InvalidArgument"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"int","_value":1,"x":1}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"unsignedByte","_value":1}}]}`,
		"InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"New","a":1}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"Login","a":1}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"BaseEvent","a":1}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"AnyType","_value":1}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"int\"x","_value":1}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"binary","_value":"A"}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"byte","_value":256}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"double","_value":1e999}}]}`, "InvalidRequest"},
	{"UpdateOptions", `{"changedValue":[{"key":"k","value":{"_typeName":"dateTime","_value":"now"}}]}`,
		"InvalidRequest"},
	{"PostEvent", `{"eventToPost":{"_typeName":"Description","label":"","summary":""}}`, "InvalidRequest"},
}

func TestBadRequestsAreRefused(t *testing.T) {
	s := NewSchema()
	for _, c := range badRequests {
		wantKind(t, s, c.method, c.json, c.kind)
	}
	deep := strings.Repeat(`{"_typeName":"OptionValue","key":"k","value":`, 70) + `{"_typeName":"int","_value":1}` +
		strings.Repeat("}", 70)
	wantKind(t, s, "UpdateOptions", `{"changedValue":[`+deep+`]}`, "InvalidRequest")
	many := `"` + strings.Repeat(`","`, 2<<20) + `"`
	wantKind(t, s, "TerminateSession", `{"sessionId":[`+many+`]}`, "InvalidRequest")
}

func wantKind(t *testing.T, s *Schema, method, json, kind string) {
	t.Helper()
	var f *vim.Fault
	got, err := s.Request(nil, []byte(json), method)
	if !errors.As(err, &f) || f.Kind() != kind {
		t.Errorf("%s %.100s: %v, %.100s, want %s", method, json, err, got, kind)
	}
}

func TestAFaultNamesTheMemberAndNotItsValue(t *testing.T) {
	body := `{"changedValue":[{"key":"k","value":{"_typeName":"string","_value":"x"}},{"key":["secret"]}]}`
	_, err := NewSchema().Request(nil, []byte(body), "UpdateOptions")
	f, ok := errors.AsType[*vim.Fault](err)
	if !ok || !strings.Contains(f.Text("en"), "changedValue[1].key") || strings.Contains(f.Text("en"), "secret") {
		t.Errorf("%v", err)
	}
}

// Whatever a client sends: the result is well-formed XML, or one of two faults.
func FuzzRequest(f *testing.F) {
	methods := []string{"Logout", "FindByUuid", "TerminateSession", "UpdateOptions", "PostEvent", "ReconfigVM_Task",
		"RetrievePropertiesEx", "UpdateProgress", "setCustomValue"}
	for _, c := range badRequests {
		for i := range methods {
			f.Add(uint8(i), []byte(c.json))
		}
	}
	f.Add(uint8(3), []byte(`{"changedValue":[{"value":{"_value":5,"_typeName":"int"},"key":"k"}]}`))
	s := NewSchema()
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		out, err := s.Request(nil, body, methods[int(which)%len(methods)])
		if err != nil {
			fault, ok := errors.AsType[*vim.Fault](err)
			if !ok || fault.Kind() != "InvalidRequest" && fault.Kind() != "InvalidArgument" {
				t.Fatalf("%v", err)
			}
			return
		}
		d := xml.NewDecoder(strings.NewReader(`<x xmlns:xsi="i" xmlns:xsd="d">` + string(out) + `</x>`))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("%v in %s", err, out)
			}
		}
	})
}
