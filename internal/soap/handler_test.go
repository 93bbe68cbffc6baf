package soap

import (
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

func TestAMethodIsCalledWithItsArguments(t *testing.T) {
	for name, message := range map[string]string{
		"govmomi": `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
			`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Header ` +
			`xmlns="http://schemas.xmlsoap.org/soap/envelope/"></Header><Body><Login xmlns="urn:vim25"><_this ` +
			`type="SessionManager">SessionManager</_this><userName>a</userName><password>b &lt;c</password>` +
			`</Login></Body></Envelope>`,
		"pyVmomi": envelope("\n" + `<Login xmlns="urn:vim25"><_this versionId="1" ` +
			`type="SessionManager">SessionManager</_this><userName>a</userName><password>b <![CDATA[<c]]>` +
			`</password></Login>`),
		"prefixes": `<s:Envelope xmlns:s="` + nsEnvelope + `" xmlns:v="urn:vim25" xmlns:i="` + nsInstance +
			`" xmlns:x="` + nsSchema + `"> <s:Body>` +
			"\n" + `<v:Login><v:_this type="SessionManager" i:type="v:ManagedObjectReference">` +
			`SessionManager</v:_this><v:password i:type="x:string">b <!-- a comment -->&#60;c</v:password>` +
			`<v:userName>a</v:userName><v:locale i:nil="true"/></v:Login></s:Body>` + "\n</s:Envelope>\n<!-- end -->\n",
		"no namespace on members": envelope(`<q:Login xmlns:q="urn:internalvim25"><_this ` +
			`type="SessionManager">SessionManager</_this><userName>a</userName><password>b &lt;c</password></q:Login>`),
		"SOAP::Lite": `<?xml version="1.0" encoding="UTF-8"?><soap:Envelope soap:encodingStyle="` + nsEncoding +
			`" xmlns:soap="` + nsEnvelope + `" xmlns:tns="urn:vim25Service" xmlns:xsi="` + nsInstance + `">` +
			`<soap:Body><tns:Login><_this type="SessionManager">SessionManager</_this><userName>a</userName>` +
			`<password>b &lt;c</password></tns:Login></soap:Body></soap:Envelope>`,
	} {
		f := newFake().gives(types.UserSession{Key: "k", LoginTime: time.Unix(1, 5000).In(time.FixedZone("x", 3600))})
		w := f.post(message, nil)
		if len(f.calls) != 1 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		want := &types.LoginRequestType{UserName: "a", Password: "b <c"}
		c := f.calls[0]
		if !reflect.DeepEqual(c.Args, want) || c.Read || c.Object != f.objects[0].Ref() || c.Name != "Login" ||
			c.Binding != "soap" || c.Release != (vim.Release{8, 0, 3, 0}) || c.HTTP.Method != "POST" ||
			c.HTTP.Target != "/sdk" || c.Peer.Address != "192.0.2.1" {
			t.Errorf("%s: the call is %+v", name, c)
		}
		if !c.Proof.Message.IsZero() || !c.Proof.Body.IsZero() || !c.Proof.Security.IsZero() {
			t.Errorf("%s: the message, with its password, is kept", name)
		}
		if got := w.Body.String(); w.Code != 200 ||
			!strings.HasPrefix(got, head+`<LoginResponse xmlns="urn:vim25"><returnval><key>k</key>`) ||
			!strings.Contains(got, `<loginTime>1970-01-01T00:00:01.000005Z</loginTime>`) ||
			!strings.HasSuffix(got, `</returnval></LoginResponse>`+tail) {
			t.Errorf("%s: %d %s", name, w.Code, got)
		}
	}
}

func TestEveryPathOfOldTakesEnvelopesAndNoneAnswersGET(t *testing.T) {
	for _, path := range []string{"/sdk", "/sdk/", "/sdk/vimService", "/sdk/webService"} {
		f := newFake()
		w := f.post(envelope(manager("Logout", "")), func(r *http.Request) { r.URL.Path = path })
		if w.Code != 200 || len(f.calls) != 1 {
			t.Errorf("POST %s: %d %s", path, w.Code, w.Body)
		}
		for method, want := range map[string]int{"GET": 404, "HEAD": 404, "PUT": 405, "OPTIONS": 405, "DELETE": 405} {
			w := httptest.NewRecorder()
			f.mux().ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if w.Code != want || want == 405 && w.Header().Get("Allow") != "POST" {
				t.Errorf("%s %s: %d %v", method, path, w.Code, w.Header())
			}
		}
	}
}

func TestAVoidMethodAndAnUnsetResultAreEmptyResponses(t *testing.T) {
	f := newFake()
	if w := f.call(manager("Logout", "")); w.Body.String() != head+
		`<LogoutResponse xmlns="urn:vim25"></LogoutResponse>`+tail {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := f.call(manager("Fetch", "<prop>currentSession</prop>")); w.Body.String() != head+
		`<FetchResponse xmlns="urn:vim25"></FetchResponse>`+tail {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	f.gives([]types.BaseEvent{})
	if w := f.call(operation("EventManager", "EventManager", "QueryEvents", "<filter/>")); w.Body.String() != head+
		`<QueryEventsResponse xmlns="urn:vim25"></QueryEventsResponse>`+tail {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestFetchSaysTheTypeOfWhatItGives(t *testing.T) {
	sessions := func(yield func(types.UserSession) bool) {
		_ = yield(types.UserSession{Key: "1"}) && yield(types.UserSession{Key: "2"})
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{types.UserSession{Key: "k"}, `<returnval xsi:type="UserSession"><key>k</key>`},
		{&types.UserSession{Key: "k"}, `<returnval xsi:type="UserSession"><key>k</key>`},
		{[]string{"a", "b"}, `<returnval xsi:type="ArrayOfString"><string>a</string><string>b</string></returnval>`},
		{[]string{}, `<returnval xsi:type="ArrayOfString"></returnval>`},
		{[]int32{-1}, `<returnval xsi:type="ArrayOfInt"><int>-1</int></returnval>`},
		{[]types.UserSession{{Key: "k"}}, `<returnval xsi:type="ArrayOfUserSession"><UserSession><key>k</key>`},
		{iter.Seq[types.UserSession](sessions), `<returnval xsi:type="ArrayOfUserSession"><UserSession><key>1</key>`},
		{[]types.ManagedObjectReference{{Type: "Folder", Value: "f"}},
			`<returnval xsi:type="ArrayOfManagedObjectReference"><ManagedObjectReference ` +
				`type="Folder">f</ManagedObjectReference></returnval>`},
		{types.ManagedObjectReference{Type: "Folder", Value: "f"},
			`<returnval xsi:type="ManagedObjectReference" type="Folder">f</returnval>`},
		{[]types.BaseOptionValue{&types.OptionValue{Key: "k", Value: int64(7)}},
			`<returnval xsi:type="ArrayOfOptionValue"><OptionValue xsi:type="OptionValue"><key>k</key><value ` +
				`xsi:type="xsd:long">7</value></OptionValue></returnval>`},
		{types.BaseEvent(&types.UserLoginSessionEvent{}), `<returnval xsi:type="UserLoginSessionEvent">`},
		{types.DynamicProperty{Name: "sessionList", Val: iter.Seq[types.UserSession](sessions)},
			`<returnval xsi:type="DynamicProperty"><name>sessionList</name><val xsi:type="ArrayOfUserSession">` +
				`<UserSession><key>1</key>`},
		{types.DynamicProperty{Name: "x", Val: []any{"a", types.Description{}}},
			`<returnval xsi:type="DynamicProperty"><name>x</name><val xsi:type="ArrayOfAnyType"><anyType ` +
				`xsi:type="xsd:string">a</anyType><anyType xsi:type="Description">`},
		{"text", `<returnval xsi:type="xsd:string">text</returnval>`},
		{"", `<returnval xsi:type="xsd:string"></returnval>`},
		{true, `<returnval xsi:type="xsd:boolean">true</returnval>`},
		{int32(3), `<returnval xsi:type="xsd:int">3</returnval>`},
		{time.Unix(0, 0), `<returnval xsi:type="xsd:dateTime">1970-01-01T00:00:00Z</returnval>`},
		{types.ManagedEntityStatusGray, `<returnval xsi:type="ManagedEntityStatus">gray</returnval>`},
	} {
		f := newFake().gives(c.value)
		w := f.call(manager("Fetch", "<prop>currentSession</prop>"))
		if got := w.Body.String(); w.Code != 200 ||
			!strings.HasPrefix(got, head+`<FetchResponse xmlns="urn:vim25">`+c.want) {
			t.Errorf("%T: %d %s", c.value, w.Code, got)
		}
		if call := f.calls[0]; !call.Read || call.Name != "currentSession" || call.Args != nil {
			t.Errorf("the call is %+v", call)
		}
	}
}

func TestAListIsOneElementForEach(t *testing.T) {
	f := newFake().gives([]types.BaseEvent{&types.UserLoginSessionEvent{SessionId: "1"},
		&types.EventEx{EventTypeId: "e"}})
	w := f.call(operation("EventManager", "EventManager", "QueryEvents", "<filter/>"))
	got := w.Body.String()
	if strings.Count(got, "<returnval ") != 2 ||
		!strings.Contains(got, `<returnval xsi:type="UserLoginSessionEvent">`) ||
		!strings.Contains(got, `<returnval xsi:type="EventEx">`) {
		t.Errorf("%d %s", w.Code, got)
	}
}

func TestValuesOfAnyTypeAndOfDerivedTypesAreRead(t *testing.T) {
	f := newFake()
	w := f.call(operation("OptionManager", "VpxSettings", "UpdateOptions",
		`<changedValue xsi:type="OptionValue"><key>a</key><value xsi:type="xsd:long">7</value></changedValue>`+
			`<changedValue><key>b</key><value xsi:type="ArrayOfString"><string>x</string><string/></value>`+
			`</changedValue>`+
			`<changedValue><key>c</key><value xmlns:q="urn:vim25" xsi:type="q:ManagedObjectReference" `+
			`type="Folder">f</value></changedValue>`+
			`<changedValue><key>d</key><value xsi:type="xsd:base64Binary">AQ I=</value></changedValue>`+
			`<changedValue><key>e</key><value xsi:type="xsd:dateTime">2020-02-03T04:05:06.7+01:00</value>`+
			`</changedValue>`))
	want := &types.UpdateOptionsRequestType{ChangedValue: []types.BaseOptionValue{
		&types.OptionValue{Key: "a", Value: int64(7)},
		&types.OptionValue{Key: "b", Value: types.ArrayOfString{String: []string{"x", ""}}},
		&types.OptionValue{Key: "c", Value: types.ManagedObjectReference{Type: "Folder", Value: "f"}},
		&types.OptionValue{Key: "d", Value: []byte{1, 2}},
		&types.OptionValue{Key: "e", Value: time.Date(2020, 2, 3, 3, 5, 6, 7e8, time.UTC)},
	}}
	if len(f.calls) != 1 || !reflect.DeepEqual(f.calls[0].Args, want) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w = f.call(operation("SessionManager", "SessionManager", "AcquireGenericServiceTicket",
		`<spec xsi:type="SessionManagerHttpServiceRequestSpec"><method>httpGet</method><url>https://h/</url></spec>`))
	if len(f.calls) != 2 || !reflect.DeepEqual(f.calls[1].Args, &types.AcquireGenericServiceTicketRequestType{
		Spec: &types.SessionManagerHttpServiceRequestSpec{Method: "httpGet", Url: "https://h/"}}) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTimesAreReadAsXMLSchemaHasThem(t *testing.T) {
	post := func(text string) (*fakeAPI, *httptest.ResponseRecorder) {
		f := newFake()
		return f, f.call(operation("OptionManager", "VpxSettings", "UpdateOptions",
			`<changedValue><key>k</key><value xsi:type="xsd:dateTime">`+text+`</value></changedValue>`))
	}
	for text, want := range map[string]time.Time{
		"2024-02-29T12:00:00":                  time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
		"\n 2024-02-29T24:00:00Z\t":            time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC),
		"2024-02-29T12:00:00.1234567890123Z":   time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC),
		"2024-02-29T12:00:00&#46;5&#x2b;02:00": time.Date(2024, 2, 29, 10, 0, 0, 5e8, time.UTC),
	} {
		f, w := post(text)
		if len(f.calls) != 1 {
			t.Errorf("%s: %s", text, w.Body)
			continue
		}
		args := f.calls[0].Args.(*types.UpdateOptionsRequestType)
		if got := args.ChangedValue[0].(*types.OptionValue).Value; got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"2024-02-29T12:00:00z":  "changedValue[0].value: want a dateTime",
		"2024-02-30T12:00:00":   "changedValue[0].value: want a dateTime",
		"-0044-03-15T00:00:00Z": "changedValue[0].value: want a dateTime of the years 1 to 9999",
	} {
		_, w := post(text)
		if f := wantFault(t, w, "ServerFaultCode", "InvalidRequest"); !strings.Contains(f.Text, want) {
			t.Errorf("%s: %s", text, f.Text)
		}
	}
}

func TestWhatTheTypesHaveNoPlaceForIsRefused(t *testing.T) {
	login := func(members string) string { return manager("Login", members) }
	option := func(value string) string {
		return operation("OptionManager", "VpxSettings", "UpdateOptions",
			"<changedValue><key>k</key>"+value+"</changedValue>")
	}
	for name, c := range map[string]struct{ body, kind, inner string }{
		"missing": {login("<userName>a</userName>"), "InvalidArgument",
			"<invalidProperty>password</invalidProperty>"},
		"nil": {login(`<userName xsi:nil="true"/><password>b</password>`), "InvalidArgument",
			"<invalidProperty>userName</invalidProperty>"},
		"missing inside": {option(""), "InvalidArgument",
			"<invalidProperty>changedValue[0].value</invalidProperty>"},
		"no object": {`<Login xmlns="urn:vim25"><userName>a</userName><password>b</password></Login>`,
			"InvalidArgument", "<invalidProperty>_this</invalidProperty>"},
		"no object at all": {`<Login xmlns="urn:vim25"/>`, "InvalidArgument",
			"<invalidProperty>_this</invalidProperty>"},
		"an id of no object": {`<Logout xmlns="urn:vim25"><_this>nothing</_this></Logout>`,
			"InvalidRequest", ""},
		"unknown": {login("<userName>a</userName><password>b</password><extra/>"),
			"InvalidRequest", ""},
		"of another namespace": {login(`<userName xmlns="urn:other">a</userName><password>b</password>`),
			"InvalidRequest", ""},
		"repeated": {login("<userName>a</userName><userName>c</userName><password>b</password>"),
			"InvalidRequest", ""},
		"an object for a string": {login("<userName><x/></userName><password>b</password>"), "InvalidRequest", ""},
		"a type that is another": {login(`<userName xsi:type="xsd:int">1</userName><password>b</password>`),
			"InvalidRequest", ""},
		"no type for any":        {option("<value>1</value>"), "InvalidRequest", ""},
		"an unknown type":        {option(`<value xsi:type="Nothing">1</value>`), "InvalidRequest", ""},
		"an unknown simple type": {option(`<value xsi:type="xsd:decimal">1</value>`), "InvalidRequest", ""},
		"a request as a value":   {option(`<value xsi:type="LoginRequestType"/>`), "InvalidRequest", ""},
		"an interface's name":    {option(`<value xsi:type="BaseOptionValue"/>`), "InvalidRequest", ""},
		"a Go type's name":       {option(`<value xsi:type="[1000000]int">1</value>`), "InvalidRequest", ""},
		"no kind of the base": {operation("OptionManager", "VpxSettings", "UpdateOptions",
			`<changedValue xsi:type="UserSession"/>`), "InvalidRequest", ""},
		"a bad number":   {option(`<value xsi:type="xsd:int">0x1</value>`), "InvalidRequest", ""},
		"a large number": {option(`<value xsi:type="xsd:int">2147483648</value>`), "InvalidRequest", ""},
		"a bad boolean":  {option(`<value xsi:type="xsd:boolean">TRUE</value>`), "InvalidRequest", ""},
		"a bad date":     {option(`<value xsi:type="xsd:dateTime">yesterday</value>`), "InvalidRequest", ""},
		"bad base64":     {option(`<value xsi:type="xsd:base64Binary">A</value>`), "InvalidRequest", ""},
		"a bad float":    {option(`<value xsi:type="xsd:double">0x1p-2</value>`), "InvalidRequest", ""},
		"no enumerator": {option(`<value xsi:type="ManagedEntityStatus">mauve</value>`), "InvalidArgument",
			"<invalidProperty>changedValue[0].value</invalidProperty>"},
		"an unknown method": {manager("Nothing", ""), "MethodNotFound",
			`<receiver type="SessionManager">SessionManager</receiver><method>Nothing</method>`},
		"an unknown type of object": {operation("Nothing", "x", "Login", ""), "InvalidType",
			"<argument>Nothing</argument>"},
		"an unknown property":   {manager("Fetch", "<prop>nothing</prop>"), "InvalidProperty", "<name>nothing</name>"},
		"a property of nothing": {operation("Nothing", "x", "Fetch", "<prop>p</prop>"), "InvalidType", ""},
		"no property":           {manager("Fetch", ""), "InvalidArgument", "<invalidProperty>prop</invalidProperty>"},
		"two properties": {manager("Fetch", "<prop>message</prop><prop>currentSession</prop>"),
			"InvalidRequest", ""},
	} {
		f := newFake()
		w := f.call(c.body)
		got := wantFault(t, w, "ServerFaultCode", c.kind)
		if len(f.calls) != 0 || len(f.refused) != 1 || !strings.Contains(got.Detail.Faults[0].Inner, c.inner) {
			t.Errorf("%s: %d calls, %d refused, %s", name, len(f.calls), len(f.refused), w.Body)
		}
	}
}

func TestARefusalDoesNotRepeatWhatMayBeSecret(t *testing.T) {
	for _, body := range []string{
		envelope(manager("Login", `<userName>a</userName><password xsi:type="xsd:int">s3cret</password>`)),
		envelope(manager("Login", `<userName>a</userName><password>s3cret<x/></password>`)),
		envelope(manager("Login", `<userName>a</userName><password>s3cret</userName>`)),
		envelope(manager("Login", `<userName>a</userName><password>&s3cret;</password>`)),
		envelope("s3cret"),
		"s3cret",
	} {
		f := newFake()
		if w := f.post(body, nil); w.Code != 500 || strings.Contains(w.Body.String()+f.log.String(), "s3cret") {
			t.Errorf("%d %s %s", w.Code, w.Body, f.log.String())
		}
	}
}

func TestAFaultSaysItsTypeItsMembersAndItsText(t *testing.T) {
	f := newFake()
	ref := types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) {
		return vim.Result{}, vim.NotAuthenticated(ref, "System.View")
	}
	w := f.call(manager("AcquireCloneTicket", ""))
	got := wantFault(t, w, "ServerFaultCode", "NotAuthenticated")
	if got.Text != "The session is not authenticated." || !strings.HasPrefix(got.Detail.Faults[0].Inner,
		`<object type="SessionManager">SessionManager</object><privilegeId>System.View</privilegeId>`+
			`<missingPrivileges><entity type="SessionManager">`) {
		t.Errorf("%s", w.Body)
	}
	w = f.post(envelope(manager("AcquireCloneTicket", "")), func(r *http.Request) {
		r.Header.Set("SOAPAction", `"urn:vim25/6.7.1"`)
		r.Header.Set("Accept-Language", "de")
	})
	got = wantFault(t, w, "ServerFaultCode", "NotAuthenticated")
	if got.Text != "Die Sitzung ist nicht authentifiziert." || strings.Contains(w.Body.String(), "missingPrivileges") {
		t.Errorf("to a client of 6.7.1: %s", w.Body)
	}
}

func TestARefusalForLoadIs503(t *testing.T) {
	f := newFake()
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) { return vim.Result{}, vim.FaultOf(store.ErrUnavailable) }
	w := f.call(manager("Logout", ""))
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" ||
		!strings.Contains(w.Body.String(), "<faultstring>The service cannot be reached") ||
		!strings.HasSuffix(w.Body.String(), "</faultstring></soapenv:Fault>"+tail) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestALongListIsSentWhileItIsMade(t *testing.T) {
	const n = 20_000
	var w *counter
	list := func(yield func(types.UserSession) bool) {
		for i := range n {
			if i == n-1 && w.written < n*100 {
				t.Errorf("%d bytes are sent before the last of %d elements", w.written, n)
			}
			if !yield(types.UserSession{Key: "52000000-0000-0000-0000-000000000000", UserName: "user"}) {
				return
			}
		}
	}
	f := newFake().gives(iter.Seq[types.UserSession](list))
	w = &counter{ResponseRecorder: httptest.NewRecorder()}
	f.mux().ServeHTTP(w, httptest.NewRequest("POST", "/sdk",
		strings.NewReader(envelope(manager("Fetch", "<prop>sessionList</prop>")))))
	if w.Code != 200 || w.largest > 2*binding.FlushAt || w.Header().Get("Content-Length") != "" {
		t.Errorf("%d, %d bytes at once", w.Code, w.largest)
	}
}

// counter counts the bytes that are written, and records the largest write.
type counter struct {
	*httptest.ResponseRecorder
	written, largest int
}

func (c *counter) Write(p []byte) (int, error) {
	c.written += len(p)
	c.largest = max(c.largest, len(p))
	return len(p), nil
}

func TestAnAnswerThatCanNotBeWrittenIsASystemError(t *testing.T) {
	f := newFake().gives(make(chan int))
	wantFault(t, f.call(manager("AcquireCloneTicket", "")), "ServerFaultCode", "SystemError")
}

func TestAnAnswerThatBreaksOffIsNotTakenForTheWhole(t *testing.T) {
	f := newFake().gives([]string{strings.Repeat("x", 2*binding.FlushAt)})
	w := &broken{httptest.NewRecorder()}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v", p)
		}
	}()
	f.mux().ServeHTTP(w, httptest.NewRequest("POST", "/sdk",
		strings.NewReader(envelope(manager("Fetch", "<prop>messageLocaleList</prop>")))))
	t.Error("the answer was taken for whole")
}

type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestTheMessageIsReadInATurnThatEndsBeforeTheCall(t *testing.T) {
	message := envelope(manager("Login", "<userName>a</userName><password>"+strings.Repeat("x", 100<<10)+"</password>"))
	f := newFake()
	f.do = func(*vim.Call) (vim.Result, *vim.Fault) {
		if f.decoded != 1 {
			t.Error("the turn has not ended when the call is run")
		}
		return vim.Result{}, nil
	}
	if w := f.post(message, nil); len(f.calls) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if len(f.decoding) != 1 || f.decoding[0] != len(message) {
		t.Errorf("turns for %d bytes, want %d", f.decoding, len(message))
	}
	f.crowded = true
	if w := f.post(message, nil); w.Code != 503 || len(f.calls) != 1 || len(f.refused) != 1 {
		t.Errorf("without a turn: %d %s", w.Code, w.Body)
	}
	if f.bodies.Held() != 0 {
		t.Errorf("%d bytes of bodies are held", f.bodies.Held())
	}
}

func TestAResponseThatIsNoLongerWantedIsAFault(t *testing.T) {
	f := newFake().gives(slices.Repeat([]types.UserSession{{Key: "k"}}, 1000))
	f.unwanted = vim.NotAuthenticated(f.objects[0].Ref(), vim.View)
	w := f.call(manager("AcquireCloneTicket", ""))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "<NotAuthenticatedFault") ||
		strings.Contains(w.Body.String(), "<key>") {
		t.Errorf("%d %.300q", w.Code, w.Body)
	}
}
