package value

import (
	"reflect"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

func TestDifferentValuesHaveDifferentFingerprints(t *testing.T) {
	h := New()
	at := time.Unix(1, 2)
	values := []any{
		"", "a", "ab", []string{}, []string{"a"}, []string{"a", "b"}, []string{"ab"}, []string{"", "ab"}, true, false,
		int32(1), int32(2), int64(3), 1.5, float32(2.5), at, at.Add(1), at.Add(time.Second), []byte("a"), []byte("b"),
		types.UserSession{}, types.UserSession{Key: "a"}, types.UserSession{UserName: "a"},
		types.UserSession{LoginTime: at},
		types.OptionValue{Key: "a", Value: int32(5)}, types.OptionValue{Key: "a", Value: int64(5)},
		types.OptionValue{Key: "a", Value: "5"},
		types.OptionValue{Key: "a"}, []types.BaseEvent{&types.UserLoginSessionEvent{}},
		[]types.BaseEvent{&types.BadUsernameSessionEvent{}},
		types.ServiceContent{}, types.ServiceContent{AccountManager: &types.ManagedObjectReference{}},
	}
	seen := map[uint64]any{}
	for _, v := range values {
		sum := h.Sum(reflect.ValueOf(v))
		if other, ok := seen[sum]; ok {
			t.Errorf("%#v and %#v have the same fingerprint", v, other)
		}
		seen[sum] = v
		if again := h.Sum(reflect.ValueOf(v)); again != sum {
			t.Errorf("%#v has another fingerprint the second time", v)
		}
	}
	a, b := types.UserSession{Key: "k", CallCount: 1, LastActiveTime: at}, types.UserSession{Key: "k", CallCount: 2}
	if h.Sum(reflect.ValueOf(a)) != h.Sum(reflect.ValueOf(b)) {
		t.Error("use changes the fingerprint of a session")
	}
	if p := h.Parts(reflect.ValueOf([]types.UserSession{a, b})); p != nil {
		t.Error("a list with repeated keys has parts")
	}
	if p := h.Parts(reflect.ValueOf([]string{"a"})); p != nil {
		t.Error("a list without keys has parts")
	}
}
