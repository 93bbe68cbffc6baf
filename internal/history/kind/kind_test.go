package kind_test

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/history/kind"
)

func TestTheNameOfATypeIsWhatAFilterTakes(t *testing.T) {
	t.Parallel()
	const locked = "vigate.account.locked"
	for _, c := range []struct {
		event    types.BaseEvent
		name, id string
	}{
		{&types.UserLoginSessionEvent{}, "UserLoginSessionEvent", "vim.event.UserLoginSessionEvent"},
		{&types.EventEx{EventTypeId: locked}, locked, locked},
		{&types.ExtendedEvent{EventTypeId: locked}, locked, locked},
	} {
		if name := kind.Of(c.event); name != c.name || kind.ID(name) != c.id {
			t.Errorf("%T: %q, %q", c.event, name, kind.ID(name))
		}
	}
}
