package value

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func TestAnIndexFindsTheSameElementsAsASearch(t *testing.T) {
	h := New()
	sessions := []types.UserSession{{Key: "a"}, {Key: "b", UserName: "first"}, {Key: "b", UserName: "second"},
		{Key: "c"}}
	events := []types.BaseEvent{
		&types.UserLoginSessionEvent{SessionEvent: types.SessionEvent{Event: types.Event{Key: 7}}},
		&types.EventEx{Event: types.Event{Key: -3}}, nil,
	}
	for _, list := range []any{sessions, events, []string{"a"}, []types.UserSession{}} {
		var index Index
		for range 3 {
			for _, text := range []string{`l["a"]`, `l["b"].userName`, `l["c"]`, `l["d"]`, `l[7]`, `l[-3]`,
				`l[4].key`} {
				p, err := Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				want, wantState := h.Walk(reflect.ValueOf(list), p.Steps, nil)
				got, state := h.Walk(reflect.ValueOf(list), p.Steps, &index)
				if state != wantState || state == Present && fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%T %s: got %v %v, want %v %v", list, text, got, state, want, wantState)
				}
			}
		}
		if index.lookups > 0 && index.texts == nil {
			t.Errorf("%T: no index was built", list)
		}
	}
}

func TestMembersThatChangeWithEachCallAreIgnored(t *testing.T) {
	h := New()
	for text, want := range map[string]bool{
		"currentSession": false, "currentSession.userName": false, "currentSession.callCount": true,
		"currentSession.lastActiveTime": true, "currentSession.nothing": false,
	} {
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Ignored(reflect.TypeFor[*types.UserSession](), p.Steps); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	p, _ := Parse(`sessionList["a"].callCount`)
	if !h.Ignored(reflect.TypeFor[[]types.UserSession](), p.Steps) {
		t.Error("the call count of an element is not ignored")
	}
}
