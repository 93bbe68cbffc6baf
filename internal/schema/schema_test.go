package schema_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/schema"
)

func names(s schema.Struct) string {
	var all []string
	for _, m := range s.Members {
		all = append(all, m.Name)
	}
	return strings.Join(all, " ")
}

func TestMembersOfTheBaseComeFirst(t *testing.T) {
	event := schema.Of(reflect.TypeFor[types.UserLoginSessionEvent](), "json")
	want := "key chainId createdTime userName datacenter computeResource host vm ds net dvs fullFormattedMessage " +
		"changeTag " +
		"ipAddress userAgent locale sessionId"
	if got := names(event); got != want || event.Request {
		t.Errorf("members %q", got)
	}
	v := reflect.ValueOf(types.UserLoginSessionEvent{IpAddress: "192.0.2.1"})
	for _, m := range event.Members {
		if m.Name == "ipAddress" && (v.FieldByIndex(m.Index).String() != "192.0.2.1" || m.Optional) {
			t.Errorf("%+v is not the address", m)
		}
		if m.Name == "host" && (!m.OmitEmpty || !m.Optional || m.Owner != reflect.TypeFor[types.Event]()) {
			t.Errorf("%+v is not the optional host of the base", m)
		}
	}
}

func TestARequestIsNoDataObject(t *testing.T) {
	for _, tag := range []string{"json", "xml"} {
		login := schema.Of(reflect.TypeFor[types.LoginRequestType](), tag)
		if got := names(login); got != "userName password locale" || !login.Request {
			t.Errorf("by %s: members %q, a request: %v", tag, got, login.Request)
		}
	}
}

// doubled has a member that its base also has.
type base struct {
	Name string `json:"name" xml:"name"`
	Last string `json:"last" xml:"last"`
}

type doubled struct {
	base
	Own  string `json:"own,omitempty" xml:"own,omitempty"`
	Name string `json:"name,omitempty" xml:"name,omitempty"`
}

func TestAMemberTakesThePlaceOfItsBases(t *testing.T) {
	s := schema.Of(reflect.TypeFor[doubled](), "xml")
	at := slices.IndexFunc(s.Members, func(m schema.Member) bool { return m.Name == "name" })
	if names(s) != "last own name" || !s.Members[at].OmitEmpty || len(s.Members[at].Index) != 1 {
		t.Errorf("members %q, the doubled one %+v", names(s), s.Members[at])
	}
}

func TestAClientCanNameOnlyTypesOfTheAPI(t *testing.T) {
	for name, want := range map[string]reflect.Type{
		"UserSession":                reflect.TypeFor[types.UserSession](),
		"InvalidLogin":               reflect.TypeFor[types.InvalidLogin](),
		"HostSystemConnectionState":  reflect.TypeFor[types.HostSystemConnectionState](),
		"LoginRequestType":           reflect.TypeFor[types.LoginRequestType](),
		"":                           nil,
		"usersession":                nil,
		"NoSuchType":                 nil,
		"[1000000000]int":            nil,
		"*UserSession":               nil,
		"types.UserSession":          nil,
		"map[string]UserSession":     nil,
		"BaseEvent":                  nil,
		"int":                        nil,
		"vim25:UserSession":          nil,
		strings.Repeat("[]", 1<<16):  nil,
		"UserSession\x00UserSession": nil,
	} {
		got, ok := schema.Named(name, reflect.Type.Name)
		if ok != (want != nil) || ok && got != want {
			t.Errorf("%.40q names %v, %v", name, got, ok)
		}
	}
}

func TestAnInterfaceStandsForItsType(t *testing.T) {
	if got, ok := schema.Declared(reflect.TypeFor[types.BaseEvent]()); !ok || got != reflect.TypeFor[types.Event]() {
		t.Errorf("BaseEvent stands for %v, %v", got, ok)
	}
	for _, other := range []reflect.Type{reflect.TypeFor[any](), reflect.TypeFor[error](),
		reflect.TypeFor[types.AnyType]()} {
		if got, ok := schema.Declared(other); ok {
			t.Errorf("%v stands for %v", other, got)
		}
	}
}
