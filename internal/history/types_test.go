package history

import (
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/vim"
)

// The message catalogue has keys for types of events. Each type must have a constructor.
func TestEveryTypeWithATextIsShownAsItsOwnType(t *testing.T) {
	for _, k := range locale.Keys() {
		name, is := strings.CutPrefix(k, "event.")
		if !is || name == "other" || strings.HasPrefix(name, ownEvents) {
			continue
		}
		if got := reflect.TypeOf(apiEvent(event.Event{Type: name}, "en")).Elem().Name(); got != name {
			t.Errorf("%s is shown as %s", name, got)
		}
	}
	if _, plain := apiEvent(event.Event{Type: "NewerEvent"}, "en").(*types.Event); !plain {
		t.Error("an unknown type is not shown as Event")
	}
}

func TestTheLatestEventIsUnsetIfThereIsNone(t *testing.T) {
	a := &api{log: event.NewLog(event.Options{})}
	if v, err := a.latestEvent(t.Context(), &vim.Call{}); v != nil || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	for _, p := range a.eventManager().Properties {
		if p.Name == "latestEvent" && !p.Optional {
			t.Error("its row does not mark it as optional")
		}
	}
}
