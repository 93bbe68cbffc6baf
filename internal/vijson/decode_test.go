package vijson

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

const (
	login  = manager + "Login"
	update = base + "OptionManager/VpxSettings/UpdateOptions"
	post   = base + "EventManager/EventManager/PostEvent"
	query  = base + "EventManager/EventManager/QueryEvents"
	ticket = manager + "AcquireGenericServiceTicket"
	remove = base + "AuthorizationManager/AuthorizationManager/RemoveAuthorizationRole"
)

// option returns the arguments of UpdateOptions with one value of the type anyType.
func option(value string) string {
	return `{"changedValue":[{"_typeName":"OptionValue","key":"k","value":` + value + `}]}`
}

// bad are bodies that must be refused, and the faults. The fuzz targets use them as seeds.
var bad = []struct{ what, path, body, fault, property string }{
	{"no JSON", login, `userName=a`, "InvalidRequest", ""},
	{"half", login, `{"userName":"a"`, "InvalidRequest", ""},
	{"more after it", login, `{"userName":"a","password":"b"}{}`, "InvalidRequest", ""},
	{"a list", login, `[]`, "InvalidRequest", ""},
	{"a string", login, `"a"`, "InvalidRequest", ""},
	{"null", login, `null`, "InvalidRequest", ""},
	{"no UTF-8", login, "{\"userName\":\"\xff\",\"password\":\"b\"}", "InvalidRequest", ""},
	{"half a surrogate pair", login, `{"userName":"\ud800","password":"b"}`, "InvalidRequest", ""},
	{"the other half", login, `{"userName":"\udc00\ud800","password":"b"}`, "InvalidRequest", ""},
	{"the wrong second half", login, `{"userName":"\ud800\u0041","password":"b"}`, "InvalidRequest", ""},
	{"deep in a field", login, `{"userName":` + strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5) + `}`,
		"InvalidRequest", ""},
	{"deep everywhere", login, strings.Repeat(`{"a":`, 1e5) + "1" + strings.Repeat("}", 1e5), "InvalidRequest", ""},
	{"deep and not closed", login, strings.Repeat("[", 1e5), "InvalidRequest", ""},
	{"deep by the types", post, deepEvent(200), "InvalidRequest", ""},
	{"a repeated key", login, `{"userName":"a","password":"b","userName":"c"}`, "InvalidRequest", ""},
	{"a key repeated in other letters", login, `{"userName":"a","password":"b","user\u004eame":"c"}`,
		"InvalidRequest", ""},
	{"a repeated null", login, `{"userName":"a","password":"b","locale":null,"locale":null}`, "InvalidRequest", ""},
	{"a repeated _typeName", login, `{"_typeName":"Login","_typeName":"Login","userName":"a","password":"b"}`,
		"InvalidRequest", ""},
	{"an unknown field", login, `{"userName":"a","password":"b","admin":true}`, "InvalidRequest", ""},
	{"another case", login, `{"username":"a","password":"b"}`, "InvalidRequest", ""},
	{"_this", login, `{"_this":{"type":"a","value":"b"},"userName":"a","password":"b"}`, "InvalidRequest", ""},
	{"another method's name", login, `{"_typeName":"Logout","userName":"a","password":"b"}`, "InvalidRequest", ""},
	{"a number as _typeName", login, `{"_typeName":1,"userName":"a","password":"b"}`, "InvalidRequest", ""},
	{"a number for a string", login, `{"userName":1,"password":"b"}`, "InvalidRequest", ""},
	{"a string for a list", manager + "TerminateSession", `{"sessionId":"a"}`, "InvalidRequest", ""},
	{"a null in a list", manager + "TerminateSession", `{"sessionId":[null]}`, "InvalidRequest", ""},
	{"a missing field", login, `{"userName":"a"}`, "InvalidArgument", "password"},
	{"a null for a field", login, `{"userName":"a","password":null}`, "InvalidArgument", "password"},
	{"an empty body", login, ``, "InvalidArgument", "userName"},
	{"a missing list", manager + "TerminateSession", `{}`, "InvalidArgument", "sessionId"},
	{"a missing field further in", query, `{"filter":{"_typeName":"EventFilterSpec","entity":{"recursion":"all"}}}`,
		"InvalidArgument", "filter.entity.entity"},
	{"a missing field in a list", update, `{"changedValue":[{"_typeName":"OptionValue","key":"k",` +
		`"value":{"_typeName":"int","_value":1}},{"_typeName":"OptionValue","key":"k"}]}`, "InvalidArgument",
		"changedValue[1].value"},
	{"not in an enumeration", query, `{"filter":{"entity":{"entity":{"type":"a","value":"b"},"recursion":"some"}}}`,
		"InvalidArgument", "filter.entity.recursion"},
	{"a huge number", remove, `{"roleId":1` + strings.Repeat("0", 1e5) + `,"failIfUsed":true}`, "InvalidRequest", ""},
	{"a huge exponent", remove, `{"roleId":1e999999999,"failIfUsed":true}`, "InvalidRequest", ""},
	{"a number of 32 bits and more", remove, `{"roleId":2147483648,"failIfUsed":true}`, "InvalidRequest", ""},
	{"a fraction", remove, `{"roleId":1.5,"failIfUsed":true}`, "InvalidRequest", ""},
	{"a string for a number", remove, `{"roleId":"1","failIfUsed":true}`, "InvalidRequest", ""},
	{"a number for a boolean", remove, `{"roleId":1,"failIfUsed":1}`, "InvalidRequest", ""},
	{"a huge double", update, option(`{"_typeName":"double","_value":1e400}`), "InvalidRequest", ""},
	{"no type", update, option(`{"_value":1}`), "InvalidRequest", ""},
	{"no box", update, option(`"a"`), "InvalidRequest", ""},
	{"an empty type", update, option(`{"_typeName":"","_value":1}`), "InvalidRequest", ""},
	{"a box without a value", update, option(`{"_typeName":"string"}`), "InvalidArgument",
		"changedValue[0].value._value"},
	{"a box with more", update, option(`{"_typeName":"string","_value":"a","x":1}`), "InvalidRequest", ""},
	{"a box with two values", update, option(`{"_typeName":"string","_value":"a","_value":"b"}`), "InvalidRequest", ""},
	{"a box of another type", update, option(`{"_typeName":"int","_value":"a"}`), "InvalidRequest", ""},
	{"bad base64", update, option(`{"_typeName":"binary","_value":"a*"}`), "InvalidRequest", ""},
	{"a bad time", update, option(`{"_typeName":"dateTime","_value":"yesterday"}`), "InvalidRequest", ""},
	{"an unknown type", update, option(`{"_typeName":"Nonsense"}`), "InvalidRequest", ""},
	{"an array by reflection", update, option(`{"_typeName":"[1000000000]int","_value":[]}`), "InvalidRequest", ""},
	{"an array of structs by reflection", update, option(`{"_typeName":"[100000000]VirtualMachineConfigSpec"}`),
		"InvalidRequest", ""},
	{"a slice by reflection", update, option(`{"_typeName":"[]string","_value":["a"]}`), "InvalidRequest", ""},
	{"a map by reflection", update, option(`{"_typeName":"map[string]int","a":1}`), "InvalidRequest", ""},
	{"a map that can't be", update, option(`{"_typeName":"map[ArrayOfString]int"}`), "InvalidRequest", ""},
	{"a pointer by reflection", update, option(`{"_typeName":"*UserSession"}`), "InvalidRequest", ""},
	{"a Go type", update, option(`{"_typeName":"uintptr","_value":1}`), "InvalidRequest", ""},
	{"a complex number", update, option(`{"_typeName":"complex128","_value":1}`), "InvalidRequest", ""},
	{"an interface", update, option(`{"_typeName":"interface {}","_value":1}`), "InvalidRequest", ""},
	{"a base type's Go name", update, option(`{"_typeName":"BaseEvent"}`), "InvalidRequest", ""},
	{"a name with a namespace", update, option(`{"_typeName":"vim25:UserSession"}`), "InvalidRequest", ""},
	{"a request as a value", update, option(`{"_typeName":"LoginRequestType","userName":"a","password":"b"}`),
		"InvalidRequest", ""},
	{"a type that is no kind of the declared", ticket, `{"spec":{"_typeName":"UserSession"}}`, "InvalidRequest", ""},
	{"a primitive for an object", ticket, `{"spec":{"_typeName":"string","_value":"a"}}`, "InvalidRequest", ""},
	{"a number for an object", ticket, `{"spec":1}`, "InvalidRequest", ""},
	{"what would fill memory", update, option(`{"_typeName":"ArrayOfVirtualMachineConfigSpec","_value":[{}` +
		strings.Repeat(",{}", 300_000) + `]}`), "InvalidRequest", ""},
}

// deepEvent returns an event with a chain of n faults.
func deepEvent(n int) string {
	f := `{"_typeName":"NotFound"}`
	for range n {
		f = `{"_typeName":"NotFound","faultCause":{"fault":` + f + `}}`
	}
	return option(f)
}

func TestABadBodyHasItsFaultAndReachesNoOperation(t *testing.T) {
	for _, c := range bad {
		t.Run(c.what, func(t *testing.T) {
			f := newFake()
			got := wantFault(t, f.send("POST", c.path, c.body, nil), 500, c.fault)
			if len(f.calls) != 0 {
				t.Error("the operation was called")
			}
			if property, _ := got["invalidProperty"].(string); property != c.property {
				t.Errorf("invalidProperty %q, want %q", property, c.property)
			}
		})
	}
}

func TestAnUnknownFieldIsNamedAndASecretValueIsNot(t *testing.T) {
	f := newFake()
	w := f.send("POST", login, `{"userName":"a","password":"b","Locale":"x"}`, nil)
	if !strings.Contains(w.Body.String(), `\"Locale\"`) {
		t.Errorf("%s", w.Body)
	}
	w = f.send("POST", login, `{"userName":"a","password":{"hunter2":1}}`, nil)
	if strings.Contains(w.Body.String(), "hunter2") || !strings.Contains(w.Body.String(), "password") {
		t.Errorf("%s", w.Body)
	}
	w = f.send("POST", login, `{"`+strings.Repeat("x", 5000)+`":1}`, nil)
	if w.Body.Len() > 500 {
		t.Errorf("%d bytes", w.Body.Len())
	}
}

func TestTheBodyHasALimit(t *testing.T) {
	for _, announced := range []bool{true, false} {
		f := newFake()
		body := `{"userName":"` + strings.Repeat("a", maxBody) + `","password":"b"}`
		w := f.send("POST", login, body, func(r *http.Request) {
			if !announced {
				r.ContentLength = -1
			}
		})
		wantFault(t, w, 413, "InvalidRequest")
	}
	f := newFake()
	head := `{"userName":"`
	tail := `","password":"b"}`
	f.send("POST", login, head+strings.Repeat("a", maxBody-len(head)-len(tail))+tail, nil)
	if len(f.calls) != 1 {
		t.Error("a body of just 1 MiB is refused")
	}
}

func TestOnlyJSONIsRead(t *testing.T) {
	for value, ok := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "Application/JSON;charset=UTF-8": true,
		`application/json;Charset="utf-8"`: true, "APPLICATION/JSON ; CHARSET=utf8;": true,
		`application/json; charset="utf-16"`: false,
		"application/json; charset=utf-16":   false, "text/plain": false, "application/x-www-form-urlencoded": false,
		"text/xml": false, "": false, ";": false, "application/json, text/plain": false,
	} {
		f := newFake()
		w := f.send("POST", login, `{"userName":"a","password":"b"}`,
			func(r *http.Request) { r.Header["Content-Type"] = []string{value} })
		if got := len(f.calls) == 1; got != ok {
			t.Errorf("Content-Type %q: %d %s", value, w.Code, w.Body)
		}
		if !ok {
			wantFault(t, w, 500, "InvalidRequest")
		}
	}
	f := newFake()
	w := f.send("POST", login, `{"userName":"a","password":"b"}`,
		func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") })
	wantFault(t, w, 500, "InvalidRequest")
}

func TestValuesOfAnyTypeAreRead(t *testing.T) {
	ref := types.ManagedObjectReference{Type: "Folder", Value: "group-d1"}
	noon := time.Date(2024, 2, 29, 10, 0, 0, 5e8, time.UTC)
	for value, want := range map[string]any{
		`{"_typeName":"string","_value":"x"}`:                             "x",
		`{"_value":"x","_typeName":"string"}`:                             "x",
		`{"_typeName":"boolean","_value":true}`:                           true,
		`{"_typeName":"int","_value":-2147483648}`:                        int32(-2147483648),
		`{"_typeName":"long","_value":9223372036854775807}`:               int64(9223372036854775807),
		`{"_typeName":"short","_value":7}`:                                int16(7),
		`{"_typeName":"byte","_value":7}`:                                 uint8(7),
		`{"_typeName":"float","_value":1.5e3}`:                            float32(1500),
		`{"_typeName":"double","_value":-0.25}`:                           -0.25,
		`{"_typeName":"binary","_value":"AQI="}`:                          []byte{1, 2},
		`{"_typeName":"base64Binary","_value":"AQI="}`:                    []byte{1, 2},
		`{"_typeName":"dateTime","_value":"2024-02-29T12:00:00.5+02:00"}`: noon,

		`{"_typeName":"ArrayOfString","_value":["a","b"]}`: types.ArrayOfString{String: []string{"a", "b"}},
		`{"_typeName":"ArrayOfString","_value":[]}`:        types.ArrayOfString{String: []string{}},
		`{"_typeName":"ArrayOfInt","_value":[1]}`:          types.ArrayOfInt{Int: []int32{1}},

		`{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"}`:            ref,
		`{"_typeName":"ManagedObjectReference","_value":{"type":"Folder","value":"group-d1"}}`: ref,

		`{"_typeName":"ManagedEntityStatus","_value":"red"}`: types.ManagedEntityStatusRed,
		`{"key":"a","_typeName":"KeyValue","value":"b"}`:     types.KeyValue{Key: "a", Value: "b"},
	} {
		var r types.UpdateOptionsRequestType
		c := newCodec()
		if err := c.decode([]byte(option(value)), &r, "UpdateOptions"); err != nil {
			t.Errorf("%s: %v %v", value, err, fmt.Sprint(err))
			continue
		}
		got := r.ChangedValue[0].(*types.OptionValue).Value
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, want %#v", value, got, want)
		}
	}
}

func TestTimesAreReadAsRFC3339HasThem(t *testing.T) {
	c := newCodec()
	read := func(text string) (any, error) {
		var r types.UpdateOptionsRequestType
		err := c.decode([]byte(option(`{"_typeName":"dateTime","_value":"`+text+`"}`)), &r, "UpdateOptions")
		if err != nil {
			return nil, err
		}
		return r.ChangedValue[0].(*types.OptionValue).Value, nil
	}
	for text, want := range map[string]time.Time{
		"2024-02-29t12:00:00z":                  time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
		"2024-02-29T12:00:00.1234567890123Z":    time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC),
		"2016-12-31T23:59:60Z":                  time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		"2024-02-29T12:00:00\u002e5\u002b02:00": time.Date(2024, 2, 29, 10, 0, 0, 5e8, time.UTC),
	} {
		if got, err := read(text); err != nil || got != want {
			t.Errorf("%s is %v %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"2024-02-29T12:00:00":   "changedValue[0].value: want a dateTime, as RFC 3339 has it",
		"2024-02-29T24:00:00Z":  "changedValue[0].value: want a dateTime, as RFC 3339 has it",
		"-0044-03-15T00:00:00Z": "changedValue[0].value: want a dateTime of the years 1 to 9999, as RFC 3339 has it",
	} {
		if _, err := read(text); err == nil || !strings.Contains(vim.FaultOf(err).Text("en"), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestANullListIsAnEmptyOne(t *testing.T) {
	f := newFake()
	if w := f.send("POST", manager+"TerminateSession", `{"_typeName":"TerminateSession","sessionId":null}`,
		nil); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestADeclaredTypeMayBeLeftUnnamedAndOneUnderItBeNamed(t *testing.T) {
	f := newFake()
	f.send("POST", ticket, `{"spec":{"url":"/x","_typeName":"SessionManagerHttpServiceRequestSpec"}}`, nil)
	want := &types.AcquireGenericServiceTicketRequestType{Spec: &types.SessionManagerHttpServiceRequestSpec{Url: "/x"}}
	if len(f.calls) != 1 || !reflect.DeepEqual(f.calls[0].Args, want) {
		t.Errorf("%+v", f.refused)
	}
	f = newFake()
	if w := f.send("POST", ticket, `{"spec":{}}`, nil); len(f.calls) != 1 {
		t.Errorf("%s", w.Body)
	}
}
