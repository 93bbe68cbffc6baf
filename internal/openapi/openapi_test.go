package openapi_test

import (
	"bytes"
	"iter"
	"reflect"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/openapi"
	"github.com/vigate/vigate/internal/vim"
)

func table() []*vim.Object {
	session := reflect.TypeFor[types.UserSession]()
	return []*vim.Object{{
		Type: "SessionManager", ID: "SessionManager",
		Methods: []vim.Method{
			{Name: "Login", Privilege: "System.Anonymous", Args: reflect.TypeFor[types.LoginRequestType](),
				Result: session, Faults: []string{"InvalidLogin", "InvalidLocale"}},
			{Name: "Logout", Privilege: "System.View", Args: reflect.TypeFor[types.LogoutRequestType]()},
			{Name: "AcquireGenericServiceTicket", Privilege: "System.Anonymous",
				Args:   reflect.TypeFor[types.AcquireGenericServiceTicketRequestType](),
				Result: reflect.TypeFor[types.SessionManagerGenericServiceTicket]()},
		},
		Properties: []vim.Property{
			{Name: "currentSession", Privilege: "System.Anonymous", Type: session, Optional: true},
			{Name: "sessionList", Privilege: "Sessions.TerminateSession",
				Type: reflect.TypeFor[iter.Seq[types.UserSession]]()},
		},
	}, {
		Type: "EventManager", ID: "EventManager",
		Methods: []vim.Method{
			{Name: "PostEvent", Privilege: "Global.LogEvent", Args: reflect.TypeFor[types.PostEventRequestType]()},
			{Name: "QueryEvents", Privilege: "System.View", Args: reflect.TypeFor[types.QueryEventsRequestType](),
				Result: reflect.TypeFor[[]types.BaseEvent]()},
		},
	}, {
		Type: "OptionManager",
		Methods: []vim.Method{
			{Name: "UpdateOptions", Privilege: "Global.Settings",
				Args: reflect.TypeFor[types.UpdateOptionsRequestType]()},
		},
	}}
}

func load(t *testing.T, d *openapi.Document, release string) *openapi3.T {
	t.Helper()
	head, rest := d.JSON(release)
	doc, err := openapi3.NewLoader().LoadFromData(slices.Concat(head, rest))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheDocumentIsValidAndNamesEveryRow(t *testing.T) {
	d, err := openapi.New(table())
	if err != nil {
		t.Fatal(err)
	}
	doc := load(t, d, "8.0.2.0")
	for _, path := range []string{"Login", "Logout", "AcquireGenericServiceTicket"} {
		if p := doc.Paths.Value("/SessionManager/{moId}/" + path); p == nil || p.Post == nil || p.Get != nil {
			t.Errorf("%s is not a POST", path)
		}
	}
	for _, path := range []string{"currentSession", "sessionList"} {
		if p := doc.Paths.Value("/SessionManager/{moId}/" + path); p == nil || p.Get == nil || p.Post != nil {
			t.Errorf("%s is not a GET", path)
		}
	}
	if got := doc.Servers[0].URL; got != "/sdk/vim25/8.0.2.0" || doc.Info.Version != "8.0.2.0" {
		t.Errorf("server %q, version %q", got, doc.Info.Version)
	}
	login := doc.Components.Schemas["LoginRequestType"].Value
	if want := []string{"userName", "password"}; !reflect.DeepEqual(login.Required, want) {
		t.Errorf("Login requires %v, want %v", login.Required, want)
	}
}

func TestResponsesMatchTheRow(t *testing.T) {
	d, err := openapi.New(table())
	if err != nil {
		t.Fatal(err)
	}
	doc := load(t, d, "8.0.1.0")
	for path, want := range map[string][]string{
		"Login": {"200", "500", "503"}, "Logout": {"204", "500", "503"}, "currentSession": {"200", "204", "500", "503"},
	} {
		item := doc.Paths.Value("/SessionManager/{moId}/" + path)
		op := item.Post
		if op == nil {
			op = item.Get
		}
		if op.Responses.Len() != len(want) {
			t.Errorf("%s has %d responses, want %v", path, op.Responses.Len(), want)
		}
		for _, status := range want {
			if op.Responses.Value(status) == nil {
				t.Errorf("%s has no response %s", path, status)
			}
		}
	}
}

func TestTheSameTableGivesTheSameDocument(t *testing.T) {
	var first []byte
	for range 3 {
		d, err := openapi.New(table())
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Join(two(d.JSON("8.0.1.0")), nil)
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Fatal("two documents of one table differ")
		}
	}
}

func two(head, rest []byte) [][]byte { return [][]byte{head, rest} }

func TestTheLongPartOfTheDocumentIsTheSameForAllReleases(t *testing.T) {
	d, err := openapi.New(table())
	if err != nil {
		t.Fatal(err)
	}
	_, one := d.JSON("8.0.1.0")
	head, other := d.JSON("9.0.0.0")
	if &one[0] != &other[0] || len(head) > 1000 || len(other) < 10*len(head) {
		t.Errorf("%d bytes for the release, %d bytes copied for each", len(head), len(other))
	}
}

func TestAFaultThatTheAPIDoesNotHaveIsAnError(t *testing.T) {
	objects := table()
	objects[0].Methods[0].Faults = []string{"NoSuchFault"}
	if _, err := openapi.New(objects); err == nil {
		t.Error("no error")
	}
}

func TestATypeWithoutAFormInJSONIsAnError(t *testing.T) {
	objects := table()
	objects[0].Properties[0].Type = reflect.TypeFor[chan int]()
	if _, err := openapi.New(objects); err == nil {
		t.Error("no error")
	}
}
