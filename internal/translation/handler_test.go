package translation_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/translation"
	"github.com/vigate/vigate/internal/vim"
)

func TestAMethodBecomesAMessageAndItsAnswerJSON(t *testing.T) {
	f := answers(`<returnval type="VirtualMachine">vm-1</returnval>`)
	h := handler(t, f)
	w := send(h, "POST", base+"SearchIndex/SearchIndex/FindByUuid",
		`{"vmSearch":true,"uuid":"a & b","_typeName":"FindByUuidRequestType"}`, "vmware-api-session-id", "token")
	vm := `{"_typeName":"ManagedObjectReference","type":"VirtualMachine","value":"vm-1"}`
	if w.Code != 200 || w.Body.String() != vm ||
		w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Length") == "" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	c := f.calls[0]
	_, message, _ := strings.Cut(string(c.Message), "<soapenv:Body>")
	want := `<FindByUuid xmlns="urn:vim25"><_this type="SearchIndex">SearchIndex</_this><uuid>a &amp; b</uuid>` +
		`<vmSearch>true</vmSearch></FindByUuid></soapenv:Body></soapenv:Envelope>`
	if message != want {
		t.Errorf("%s\nwant %s", message, want)
	}
	if c.Action != "urn:vim25/8.0.2.0" || c.Token.Reveal() != "token" || c.Read || c.Name != "FindByUuid" {
		t.Errorf("%+v %s", c, c.Action)
	}
	if f.open != 0 {
		t.Errorf("%d bodies are open", f.open)
	}
}

func TestTheActionNamesTheOlderOfBothReleases(t *testing.T) {
	for release, want := range map[string]string{
		"8.0.1.0": "urn:vim25/8.0.1.0", "8.0.2.0": "urn:vim25/8.0.2.0", "9.1.0.0": "urn:vim25/8.0.2.0",
	} {
		f := answers("")
		send(handler(t, f), "POST", "/sdk/vim25/"+release+"/Task/task-1/CancelTask", "")
		if len(f.calls) != 1 || f.calls[0].Action != want {
			t.Errorf("%s: %+v", release, f.calls)
		}
	}
}

func TestResultsThatAreNotThere(t *testing.T) {
	for _, c := range []struct {
		path, content string
		status        int
		body          string
	}{
		{"SearchIndex/SearchIndex/FindByUuid", "", 204, ""},
		{"SearchIndex/SearchIndex/FindAllByUuid", "", 200, "[]"},
		{"Task/task-1/CancelTask", "", 204, ""},
		{"Task/task-1/CancelTask", "<returnval>new</returnval>", 200, `"new"`},
		{"AlarmManager/AlarmManager/AreAlarmActionsEnabled", "<returnval>0</returnval>", 200, "false"},
	} {
		body := ""
		if strings.HasPrefix(c.path, "Search") {
			body = `{"uuid":"","vmSearch":false}`
		} else if strings.HasPrefix(c.path, "Alarm") {
			body = `{"entity":{"type":"Folder","value":"f"}}`
		}
		w := send(handler(t, answers(c.content)), "POST", base+c.path, body)
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s with %q: %d %s", c.path, c.content, w.Code, w.Body)
		}
	}
}

func TestAPropertyIsARetrievalOfOnePath(t *testing.T) {
	const (
		object = `<returnval><objects><obj type="VirtualMachine">vm-1</obj>`
		end    = `</objects></returnval>`
	)
	for _, c := range []struct {
		name, content string
		status        int
		body          string
	}{
		{"name", object + `<propSet><name>name</name><val xsi:type="xsd:string">a"b</val></propSet>` + end,
			200, `"a\"b"`},
		{"name", object + `<propSet><name>name</name><val xsi:type="xsd:string"></val></propSet>` + end,
			200, `""`},
		{"network", object + `<propSet><name>network</name><val xsi:type="ArrayOfManagedObjectReference">` +
			`<ManagedObjectReference type="Network" xsi:type="ManagedObjectReference">n-1</ManagedObjectReference>` +
			`</val></propSet></objects></returnval>`, 200,
			`[{"_typeName":"ManagedObjectReference","type":"Network","value":"n-1"}]`},
		{"network", object + `<propSet><name>network</name><val xsi:type="ArrayOfManagedObjectReference"/>` +
			`</propSet></objects></returnval>`, 200, `[]`},
		{"snapshot", object + `</objects></returnval>`, 204, ""},
		{"snapshot", "", 204, ""},
		{"parent", object + `<propSet><name>parent</name><val type="Folder" xsi:type="ManagedObjectReference">g</val>` +
			`</propSet></objects></returnval>`, 200,
			`{"_typeName":"ManagedObjectReference","type":"Folder","value":"g"}`},
		{"config", object + `<missingSet><path>config</path><fault><fault xsi:type="NoPermission">` +
			`<object type="VirtualMachine">vm-1</object><privilegeId>System.Read</privilegeId></fault>` +
			`<localizedMessage>No.</localizedMessage></fault></missingSet></objects></returnval>`, 500,
			`{"_typeName":"NoPermission","faultstring":"No.","object":{"_typeName":"ManagedObjectReference",` +
				`"type":"VirtualMachine","value":"vm-1"},"privilegeId":"System.Read"}`},
	} {
		f := answers(c.content)
		f.answer = func(*translation.Call) io.Reader {
			return strings.NewReader(envelope("RetrievePropertiesEx", c.content))
		}
		h := handler(t, f)
		w := send(h, "GET", base+"VirtualMachine/vm-1/"+c.name, "")
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: %d %s\nwant %s", c.name, w.Code, w.Body, c.body)
		}
		if !f.calls[0].Read || !strings.Contains(string(f.calls[0].Message), "<pathSet>"+c.name+"</pathSet>") {
			t.Errorf("%+v", f.calls[0])
		}
		if w := send(h, "HEAD", base+"VirtualMachine/vm-1/"+c.name, ""); w.Code != c.status || w.Body.Len() > 0 {
			t.Errorf("HEAD of %s: %d %s", c.name, w.Code, w.Body)
		}
	}
}

func TestRequestsThatMakeNoCallAreRefused(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		kind, allow        string
	}{
		{"GET", "Nonsense/n/name", "", 500, "InvalidType", ""},
		{"POST", "Nonsense/n/Reload", "", 500, "InvalidType", ""},
		{"GET", "VirtualMachine/vm-1/nonsense", "", 500, "InvalidProperty", ""},
		{"GET", "VirtualMachine/vm-1/sessionList", "", 500, "InvalidProperty", ""},
		{"POST", "VirtualMachine/vm-1/Nonsense", "", 500, "MethodNotFound", ""},
		{"GET", "VirtualMachine/vm-1/PowerOnVM_Task", "", 405, "InvalidRequest", "POST"},
		{"PUT", "VirtualMachine/vm-1/PowerOnVM_Task", "", 405, "InvalidRequest", "POST"},
		{"OPTIONS", "VirtualMachine/vm-1/PowerOnVM_Task", "", 405, "InvalidRequest", "POST"},
		{"POST", "VirtualMachine/vm-1/config", "", 405, "InvalidRequest", "GET, HEAD"},
		{"POST", "VirtualMachine/vm-1/PowerOnVM_Task", "{", 500, "InvalidRequest", ""},
		{"POST", "VirtualMachine/vm-1/PowerOnVM_Task", `{"x":1}`, 500, "InvalidRequest", ""},
		{"POST", "VirtualMachine/vm-1/RenameSnapshot", "", 500, "InvalidRequest", ""},
		{"POST", "VirtualMachineSnapshot/s/RemoveSnapshot_Task", "", 500, "InvalidArgument", ""},
		{"POST", "Task/t/SetTaskDescription", `"` + strings.Repeat(" ", 8<<20) + `"`, 413, "InvalidRequest", ""},
		{"POST", "Task/t/UpdateProgress", `{"percentDone":"5"}`, 500, "InvalidRequest", ""},
	} {
		if strings.HasSuffix(c.path, "RenameSnapshot") {
			c.body = "[]"
		}
		f := answers("")
		w := send(handler(t, f), c.method, base+c.path, c.body)
		wantFault(t, w, c.status, c.kind)
		if len(f.calls) > 0 || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d calls, Allow %q", c.method, c.path, len(f.calls), w.Header().Get("Allow"))
		}
	}
	w := send(handler(t, answers("")), "POST", base+"Task/t/CancelTask", "", "Content-Type", "text/xml")
	wantFault(t, w, 500, "InvalidRequest")
	w = send(handler(t, answers("")), "POST", base+"Task/t/CancelTask", "", "Sec-Fetch-Site", "cross-site",
		"Cookie", "vmware_soap_session=x")
	wantFault(t, w, 500, "NoPermission")
}

func TestAFaultOfTheServerIsAFaultOfJSON(t *testing.T) {
	for detail, want := range map[string]string{
		`<detail><InvalidStateFault xmlns="urn:vim25" xsi:type="InvalidPowerState"><requestedState>poweredOn` +
			`</requestedState><existingState>poweredOff</existingState></InvalidStateFault></detail>`: `{"_typeName":` +
			`"InvalidPowerState","faultstring":"It is <not> there.","requestedState":"poweredOn",` +
			`"existingState":"poweredOff"}`,
		`<detail><NotFoundFault xmlns="urn:vim25"/></detail>`: `{"_typeName":"NotFound",` +
			`"faultstring":"It is <not> there."}`,
		`<detail><NewFault xmlns="urn:vim25" xsi:type="New"><faultMessage><key>k</key></faultMessage><more>1</more>` +
			`</NewFault></detail>`: `{"_typeName":"New","faultstring":"It is <not> there.","faultMessage":` +
			`[{"_typeName":"LocalizableMessage","key":"k"}],"more":"1"}`,
		"":                          `{"_typeName":"RuntimeFault","faultstring":"It is <not> there."}`,
		"<detail>text</detail>":     `{"_typeName":"RuntimeFault","faultstring":"It is <not> there."}`,
		"<detail><Fault/></detail>": `{"_typeName":"MethodFault","faultstring":"It is <not> there."}`,
	} {
		f := answers("")
		f.status = 500
		f.answer = func(*translation.Call) io.Reader { return strings.NewReader(faultEnvelope(detail)) }
		w := send(handler(t, f), "POST", base+"Task/t/CancelTask", "")
		if w.Code != 500 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%d %s\nwant %s", w.Code, w.Body, want)
		}
	}
}

func TestAnAnswerThatIsNoneIsAFault(t *testing.T) {
	whole := envelope("CurrentTime", "<returnval>2026-01-01T00:00:00Z</returnval>")
	for _, text := range []string{
		"", "no XML", "<html></html>", whole[:len(whole)-40],
		strings.Replace(whole, "</soapenv:Body>", "<x/></soapenv:Body>", 1),
		whole + "<more/>", strings.Replace(whole, "</returnval>", "</returnval><returnval/>", 1),
		"<!DOCTYPE x>" + whole[strings.Index(whole, "<soapenv"):],
	} {
		f := answers("")
		f.answer = func(*translation.Call) io.Reader { return strings.NewReader(text) }
		w := send(handler(t, f), "POST", base+"ServiceInstance/ServiceInstance/CurrentTime", "")
		wantFault(t, w, 500, "SystemError")
		if f.open != 0 {
			t.Errorf("%d bodies are open", f.open)
		}
	}
	f := answers("")
	f.status = 502
	w := send(handler(t, f), "POST", base+"ServiceInstance/ServiceInstance/CurrentTime", "")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "faultstring") || f.open != 0 {
		t.Errorf("%d %s, %d open", w.Code, w.Body, f.open)
	}
	f = answers("")
	f.fault = vim.NotAuthenticated(types.ManagedObjectReference{Type: "Task", Value: "t"}, "System.View")
	wantFault(t, send(handler(t, f), "POST", base+"Task/t/CancelTask", ""), 500, "NotAuthenticated")
}

var thousand = strings.Repeat("<returnval>text</returnval>", 1000)

// endless writes the items of a list a thousand at a time, until it ends.
type endless struct {
	io.Reader
	left int
	end  io.Reader // nil: it fails
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if e.left--; e.left < 0 {
		if e.end != nil {
			return e.end.Read(p)
		}
		return n, errors.New("the connection is lost")
	}
	e.Reader = strings.NewReader(thousand)
	return n, nil
}

func TestALongAnswerIsStreamedAndALostOneBreaksTheConnection(t *testing.T) {
	f := answers("")
	f.answer = func(*translation.Call) io.Reader {
		head, _, _ := strings.Cut(envelope("QueryX", ""), "</QueryXResponse>")
		return &endless{Reader: strings.NewReader(head), left: 100}
	}
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares with this value
				t.Errorf("the end is %v", p)
			}
		}()
		handler(t, f).ServeHTTP(w, httptest.NewRequest("POST", base+"HostAccessManager/h/QueryLockdownExceptions", nil))
		t.Error("a lost answer is sent as a whole one")
	}()
	if f.open != 0 || w.Code != 200 || !strings.HasPrefix(w.Body.String(), `["text","text",`) ||
		w.Body.Len() < 500_000 {
		t.Errorf("%d, %d bytes, %d open", w.Code, w.Body.Len(), f.open)
	}
}

func TestTheMemoryForAnAnswerDoesNotGrowWithItsLength(t *testing.T) {
	head, tail, _ := strings.Cut(envelope("QueryX", ""), "</QueryXResponse>")
	memory := func(thousands int) (took uint64, length int) {
		f := answers("")
		f.answer = func(*translation.Call) io.Reader {
			return &endless{strings.NewReader(head), thousands, strings.NewReader("</QueryXResponse>" + tail)}
		}
		h, w := handler(t, f), &discard{header: http.Header{}}
		r := httptest.NewRequest("POST", base+"HostAccessManager/h/QueryLockdownExceptions", nil)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc, w.length
	}
	_, _ = memory(1) // fills pools
	short, _ := memory(100)
	long, length := memory(500)
	if length != len(`["text"`)+len(`,"text"`)*(500*1000-1)+len("]") {
		t.Errorf("%d bytes of JSON", length)
	}
	if more := int64(long) - int64(short); more > int64(length)/10 {
		t.Errorf("an answer of %d bytes of JSON takes %d bytes more than a short one", length, more)
	}
}

func TestTheDocumentHasEveryMethodAndProperty(t *testing.T) {
	h := handler(t, answers(""))
	w := send(h, "GET", base+"openapi.json", "")
	var doc struct {
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	for path, method := range map[string]string{
		"/VirtualMachine/{moId}/PowerOnVM_Task": "post", "/VirtualMachine/{moId}/config": "get",
		"/VirtualMachine/{moId}/Destroy_Task": "post", "/Folder/{moId}/Destroy_Task": "post",
		"/Datastore/{moId}/name": "get", "/ExtensibleManagedObject/{moId}/setCustomValue": "post",
	} {
		if doc.Paths[path][method] == nil {
			t.Errorf("no %s %s", method, path)
		}
	}
	if len(doc.Paths) < 1700 || len(doc.Components.Schemas) < 1500 {
		t.Errorf("%d paths, %d schemas", len(doc.Paths), len(doc.Components.Schemas))
	}
}

// sameJSON reports whether two texts are the same value. The number of calls of a session differs.
func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var values [2]any
	for i, text := range []string{a, b} {
		if err := json.Unmarshal([]byte(text), &values[i]); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if object, ok := values[i].(map[string]any); ok {
			delete(object, "callCount")
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
