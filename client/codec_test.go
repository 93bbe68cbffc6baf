package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

func moRef(kind, id string) types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: kind, Value: id}
}

func TestARequestGoesOutAsTheAPIWantsIt(t *testing.T) {
	root := moRef("Folder", "group-d1")
	for name, tc := range map[string]struct {
		req  any
		want string
	}{
		"none":         {nil, ``},
		"nil pointer":  {(*types.Login)(nil), ``},
		"no fields":    {&types.CurrentTime{This: root}, `{}`},
		"request type": {&types.LoginRequestType{UserName: "u", Password: "p"}, `{"userName":"u","password":"p"}`},
		"by value": {types.Login{UserName: "u", Password: "p", Locale: "de"},
			`{"userName":"u","password":"p","locale":"de"}`},
		"own struct": {struct {
			Name string `json:"name"`
		}{"x"}, `{"name":"x"}`},
		"reference": {&types.RetrieveEntityPermissions{Entity: root, Inherited: true},
			`{"entity":{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-d1"},"inherited":true}`},
		"nil lists": {&types.HasPrivilegeOnEntities{SessionId: "s"}, `{"entity":[],"sessionId":"s"}`},
		"nil list within": {&types.RegisterExtension{Extension: types.Extension{
			Description: &types.Description{Label: "l", Summary: "s"}, Key: "k", Version: "1",
			Server: []types.ExtensionServerInfo{{Url: "u", Description: &types.Description{}, Company: "c",
				Type: "t"}},
			LastHeartbeatTime: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)}},
			`{"extension":{"_typeName":"Extension","description":{"_typeName":"Description","label":"l",` +
				`"summary":"s"},"key":"k","version":"1",` +
				`"server":[{"_typeName":"ExtensionServerInfo","url":"u","description":{"_typeName":"Description",` +
				`"label":"","summary":""},"company":"c","type":"t","adminEmail":[]}],` +
				`"lastHeartbeatTime":"2025-01-02T03:04:05Z"}}`},
		"options": {&types.UpdateOptions{ChangedValue: []types.BaseOptionValue{
			&types.OptionValue{Key: "a", Value: "x"},
			&types.OptionValue{Key: "b", Value: int32(30)},
			&types.OptionValue{Key: "c", Value: []string{"p", "q"}},
			&types.OptionValue{Key: "d", Value: root},
			&types.OptionValue{Key: "e", Value: true}}},
			`{"changedValue":[{"_typeName":"OptionValue","key":"a","value":{"_typeName":"string","_value":"x"}},` +
				`{"_typeName":"OptionValue","key":"b","value":{"_typeName":"int","_value":30}},` +
				`{"_typeName":"OptionValue","key":"c","value":{"_typeName":"ArrayOfString","_value":["p","q"]}},` +
				`{"_typeName":"OptionValue","key":"d","value":{"_typeName":"ManagedObjectReference","type":"Folder",` +
				`"value":"group-d1"}},` +
				`{"_typeName":"OptionValue","key":"e","value":{"_typeName":"boolean","_value":true}}]}`},
	} {
		got, err := encode(tc.req)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, tc.want)
		}
	}
}

func TestEncodingLeavesTheCallersValueAlone(t *testing.T) {
	option := &types.OptionValue{Key: "k", Value: []string{"x"}}
	req := &types.UpdateOptions{ChangedValue: []types.BaseOptionValue{option}}
	if _, err := encode(req); err != nil {
		t.Fatal(err)
	}
	if _, same := option.Value.([]string); !same || req.ChangedValue[0] != types.BaseOptionValue(option) {
		t.Errorf("the value is now %#v", option.Value)
	}
	list := &types.TerminateSession{}
	if _, err := encode(list); err != nil || list.SessionId != nil {
		t.Errorf("the list is now %#v, %v", list.SessionId, err)
	}
}

func TestEncodingRefusesValuesThatAreNoRequest(t *testing.T) {
	type loop struct {
		Next *loop `json:"next"`
	}
	endless := &loop{}
	endless.Next = endless
	for _, req := range []any{"x", 3, []string{"x"}, map[string]any{"a": 1}, endless} {
		if body, err := encode(req); err == nil {
			t.Errorf("%T became %s", req, body)
		}
	}
}

func TestOtherManagedObjectsAreReached(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	replies := map[string]string{
		"POST OptionManager.QueryOptions": `[{"_typeName":"OptionValue","key":"k",` +
			`"value":{"_typeName":"string","_value":"v"}}]`,
		"POST ExtensionManager.GetPublicKey": `"key"`,
		"GET AuthorizationManager.roleList": `[{"_typeName":"AuthorizationRole","roleId":-1,"system":true,` +
			`"name":"Admin","info":{"_typeName":"Description","label":"a","summary":"b"}}]`,
		"GET EventManager.latestEvent": `{"_typeName":"UserLoginSessionEvent","key":7,"chainId":7,` +
			`"createdTime":"2025-01-02T03:04:05Z","userName":"u","ipAddress":"127.0.0.1","locale":"en",` +
			`"sessionId":"s"}`,
		"POST EventManager.QueryEvents": `[{"_typeName":"SessionTerminatedEvent","key":8,` +
			`"sessionId":"s","terminatedUsername":"t"},{"_typeName":"EventEx","key":9,"eventTypeId":"x"}]`,
		"POST AuthorizationManager.MergePermissions": ``,
	}
	for op, body := range replies {
		f.on(op, func(w http.ResponseWriter, _ *http.Request) {
			if body == "" {
				w.WriteHeader(204)
				return
			}
			reply(w, body)
		})
	}
	ctx := t.Context()
	var options []types.BaseOptionValue
	if err := c.Invoke(ctx, moRef("OptionManager", "VpxSettings"), "QueryOptions", &types.QueryOptions{Name: "k"},
		&options); err != nil ||
		len(options) != 1 || options[0].GetOptionValue().Value != "v" {
		t.Errorf("options: %+v, %v", options, err)
	}
	var key string
	if err := c.Invoke(ctx, moRef("ExtensionManager", "ExtensionManager"), "GetPublicKey", nil, &key); err != nil ||
		key != "key" {
		t.Errorf("key: %q, %v", key, err)
	}
	var roles []types.AuthorizationRole
	if err := c.Property(ctx, moRef("AuthorizationManager", "AuthorizationManager"), "roleList", &roles); err != nil ||
		len(roles) != 1 || roles[0].RoleId != -1 {
		t.Errorf("roles: %+v, %v", roles, err)
	}
	var latest types.BaseEvent
	if err := c.Property(ctx, moRef("EventManager", "EventManager"), "latestEvent", &latest); err != nil {
		t.Error(err)
	} else if e, ok := latest.(*types.UserLoginSessionEvent); !ok || e.SessionId != "s" {
		t.Errorf("latest event: %#v", latest)
	}
	var events []types.BaseEvent
	if err := c.Invoke(ctx, moRef("EventManager", "EventManager"), "QueryEvents", &types.QueryEvents{},
		&events); err != nil || len(events) != 2 {
		t.Errorf("events: %+v, %v", events, err)
	}
	if err := c.Invoke(ctx, moRef("AuthorizationManager", "AuthorizationManager"), "MergePermissions",
		&types.MergePermissions{SrcRoleId: 1, DstRoleId: 2}, nil); err != nil {
		t.Error(err)
	}
	if err := c.Property(ctx, moRef("Folder", "group d/1?x"), "name", &key); err == nil {
		t.Error("no fault")
	}
	if got, want := f.last(t, "GET Folder.name").url, "/sdk/vim25/8.0.1.0/Folder/group%20d%2F1%3Fx/name"; got != want {
		t.Errorf("called %s, want %s", got, want)
	}
}

func TestACallWithAnInvalidNameIsNotSent(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	var res any
	for _, bad := range []struct {
		ref  types.ManagedObjectReference
		name string
	}{
		{moRef("", "x"), "name"}, {moRef("Folder/..", "x"), "name"}, {moRef("Folder", ""), "name"},
		{moRef("Folder", ".."), "name"}, {moRef("Folder", "x"), "../name"}, {moRef("Folder", "x"), ""},
		{moRef("Folder", "x"), "a?b"},
	} {
		if c.Property(t.Context(), bad.ref, bad.name, &res) == nil || c.Invoke(t.Context(), bad.ref, bad.name, nil,
			nil) == nil {
			t.Errorf("%+v was sent", bad)
		}
	}
	if c.Property(t.Context(), moRef("Folder", "x"), "name", nil) == nil {
		t.Error("a property was read although the result is nil")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) != 0 {
		t.Errorf("%d requests", len(f.requests))
	}
}

func TestAHostileAnswerIsAnError(t *testing.T) {
	deep := func(open, end string) string { return strings.Repeat(open, 5000) + strings.Repeat(end, 5000) }
	boxed := strings.Repeat(`{"_typeName":"string","_value":"x"},`, 60000)
	for name, body := range map[string]string{
		"array type":      `{"_typeName":"[100000000]int","_value":[]}`,
		"slice type":      `{"_typeName":"[]string","_value":[]}`,
		"map type":        `{"_typeName":"map[string]string","a":"b"}`,
		"pointer type":    `{"_typeName":"*string","_value":"x"}`,
		"empty type":      `{"_typeName":"","_value":"x"}`,
		"type is a list":  `{"_typeName":["string"],"_value":"x"}`,
		"type is a map":   `{"_typeName":{"a":1},"_value":"x"}`,
		"type is null":    `{"_typeName":null,"_value":"x"}`,
		"long type":       `{"_typeName":"` + strings.Repeat("a", 1000) + `"}`,
		"escaped type":    `{"_typeName":"\u005b9\u005dint","_value":[]}`,
		"escaped key":     `{"_type\u004eame":"[9]int","_value":[]}`,
		"within a list":   `[{"a":[{"_typeName":"[9]int"}]}]`,
		"second type":     `{"_typeName":"string","_typeName":"[9]int","_value":"x"}`,
		"no value":        `{"_typeName":"string"}`,
		"unknown type":    `{"_typeName":"NoSuchThing"}`,
		"deep lists":      deep("[", "]"),
		"deep objects":    deep(`{"a":`, "}"),
		"deep unfinished": strings.Repeat("[", 5000),
		"wrong bracket":   `[{"a":1]}`,
		"open string":     `"abc\"`,
		"nothing":         ``,
		"two values":      `1 2`,
		"complex":         `{"_typeName":"ArrayOfAnyType","_value":[` + strings.TrimSuffix(boxed, ",") + `]}`,
	} {
		var res any
		began := time.Now()
		if err := decode([]byte(body), &res); err == nil {
			t.Errorf("%s became %#v", name, res)
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("%s took %v", name, d)
		}
	}
}

func TestADecodingTargetMustBeAPointer(t *testing.T) {
	for _, res := range []any{nil, "x", (*string)(nil)} {
		if err := decode([]byte(`"x"`), res); err == nil {
			t.Errorf("%#v was accepted", res)
		}
	}
}

func TestALongListOfEventsIsDecodedInReasonableTime(t *testing.T) {
	var b bytes.Buffer
	const n = 20000
	b.WriteString("[")
	for i := range n {
		if i > 0 {
			b.WriteString(" ,\n")
		}
		fmt.Fprintf(&b, `{"_typeName":"UserLoginSessionEvent","key":%d,"userName":"a,b]}\"",`+
			`"createdTime":"2025-01-02T03:04:05Z"}`, i)
	}
	b.WriteString(" ]")
	var events []types.BaseEvent
	if err := decode(b.Bytes(), &events); err != nil {
		t.Fatal(err)
	}
	if len(events) != n || events[n-1].GetEvent().Key != n-1 || events[3].GetEvent().UserName != `a,b]}"` {
		t.Errorf("%d events, the last %+v", len(events), events[len(events)-1])
	}
}

func TestALongListIsDecodedLikeAShortOne(t *testing.T) {
	for _, body := range []string{
		`[]`, ` [ ] `, `["a"]`, `["a","b]",  "c,"]`, `[1]`, `["a",]`, `[,"a"]`, `["a" "b"]`, `["a"],["b"]`, `["a"]]`,
		`["a"] x`, `[null]`, `[["a"]]`,
	} {
		var whole, parts []string
		wholeErr := decodeValue([]byte(body), &whole)
		partsErr := decodeLong([]byte(body), &parts)
		if (wholeErr == nil) != (partsErr == nil) || wholeErr == nil && !reflect.DeepEqual(whole, parts) {
			t.Errorf("%s: %q, %v as a whole, %q, %v in parts", body, whole, wholeErr, parts, partsErr)
		}
	}
}

func TestLongListsAreReadByTypedCalls(t *testing.T) {
	const n = 20000
	list := func(element string) string { return "[" + strings.Repeat(element+",", n-1) + element + "]" }
	f := newFake()
	c := start(t, f, nil)
	login(t, c)
	f.on("GET SessionManager.sessionList", func(w http.ResponseWriter, _ *http.Request) { reply(w, list(sessionJSON)) })
	if all, err := c.SessionList(t.Context()); err != nil || len(all) != n || all[n-1].UserAgent != "test" ||
		all[n-1].LoginTime != time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC) {
		t.Errorf("%d sessions, %v", len(all), err)
	}
	f.on("GET ExtensionManager.extensionList", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, list(`{"_typeName":"Extension","key":"k","description":{"_typeName":"Description","label":"l"}}`))
	})
	var all **[]types.Extension // to pointers as well
	err := c.Property(t.Context(), moRef("ExtensionManager", "ExtensionManager"), "extensionList", &all)
	if err != nil || len(**all) != n || (**all)[n-1].Description.GetDescription().Label != "l" {
		t.Error(err)
	}
}

// decodeLong decodes a list in the way that decode chooses for long lists.
func decodeLong[T any](body []byte, list *[]T) error {
	s, err := inspect(body)
	if err != nil {
		return err
	}
	if !s.list {
		return decodeValue(body, list)
	}
	return decodeList(body, s.elements, reflect.ValueOf(list).Elem())
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		sessionJSON, `[` + sessionJSON + `]`, `"x"`, `null`, `true`, `1e9`, `[]`, `{"_typeName":"string"}`,
		`{"_typeName":"string","_value":"x"}`, `{"_typeName":"[9]int","_value":[]}`,
		`{"_typeName":"ArrayOfString","_value":["a"]}`,
		`{"_typeName":"InvalidLogin","faultstring":"no","faultCause":{"_typeName":"LocalizedMethodFault",` +
			`"fault":{"_typeName":"NotFound"}}}`,
		`{"_typeName":"NoPermission","object":{"_typeName":"ManagedObjectReference","type":"a","value":"b"},` +
			`"missingPrivileges":[{"privilegeIds":["x"]}]}`,
		`{"_typeName":"ExtendedFault","faultMessage":[{"key":"k","arg":[{"key":"a","value":{"_typeName":"int",` +
			`"_value":1}}]}]}`,
		`[[[[{"_typeName":"any","_value":{"_typeName":"dateTime","_value":"x"}}]]]]`,
		`{"_typeName":"complex64","_value":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<16 {
			return
		}
		var value any
		if decode(body, &value) == nil && !json.Valid(body) {
			t.Errorf("decoded what is not JSON: %q", body)
		}
		var session, other *types.UserSession
		err := decode(body, &session)
		if asOther := decodeValue(body, &other); err == nil && (asOther != nil || !reflect.DeepEqual(session, other)) {
			t.Errorf("%+v; by the decoder for all types: %+v, %v", session, other, asOther)
		}
		var events, parts []types.BaseEvent
		wholeErr := decode(body, &events)
		if partsErr := decodeLong(body, &parts); (wholeErr == nil) != (partsErr == nil) {
			t.Errorf("as a whole: %v; in parts: %v", wholeErr, partsErr)
		}
		if fault := decodeFault(body); fault != nil {
			if fault.Fault() == nil || fault.Type == "" {
				t.Errorf("a fault without a fault: %+v", fault)
			}
			fault.Message = cleanText(fault.Message, nil)
			if text := fault.Error(); strings.ContainsAny(text, "\r\n\x00") {
				t.Errorf("text %q", text)
			}
			var as *types.MethodFault
			if !As(error(fault), &as) {
				t.Errorf("%s is not a MethodFault", fault.Type)
			}
		}
		_ = decodeMessage(body)
		if s, err := inspect(body); err == nil && s.typedDepth > maxDepth {
			t.Errorf("typed depth %d", s.typedDepth)
		}
	})
}

func TestNoValueIsAnErrorOfItsOwn(t *testing.T) {
	f := newFake()
	f.on("GET ServiceInstance.content", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, `{"_typeName":"ServiceContent"}`)
	})
	c := start(t, f, nil)
	if _, err := c.Message(t.Context()); !errors.Is(err, ErrNoValue) {
		t.Errorf("without a session manager: %v", err)
	}
}
