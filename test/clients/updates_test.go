package clients

import (
	"context"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// This is govmomi's test of its ExtensionManager. It waits for an extension that does not exist
// yet, and it expects that the first update contains a change.
func TestGovmomiWaitsForAnExtensionThatIsNotThereYet(t *testing.T) {
	both(t, func(t *testing.T, s *server, json bool) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, _ := s.login(t, json)
		m := object.NewExtensionManager(c)
		extension := types.Extension{
			Description:       &types.Description{Label: "label", Summary: "summary"},
			Key:               map[bool]string{false: "com.example.soap", true: "com.example.json"}[json],
			Version:           "1",
			LastHeartbeatTime: time.Unix(1, 0).UTC(),
		}
		path := func(item string) string {
			return (&mo.Field{Path: "extensionList", Key: extension.Key, Item: item}).String()
		}
		for _, want := range []struct {
			name   string
			op     types.PropertyChangeOp
			change func() error
		}{
			{path(""), types.PropertyChangeOpAdd, func() error { return m.Register(ctx, extension) }},
			{path("description.label"), types.PropertyChangeOpAssign, func() error {
				extension.Description = &types.Description{Label: "another", Summary: "summary"}
				return m.Update(ctx, extension)
			}},
			{path(""), types.PropertyChangeOpRemove, func() error { return m.Unregister(ctx, extension.Key) }},
		} {
			seen := 0
			err := property.Wait(ctx, property.DefaultCollector(c), m.Reference(), []string{want.name},
				func(all []types.PropertyChange) bool {
					seen++
					first := all[0]
					if seen == 1 {
						if unset := want.op == types.PropertyChangeOpAdd; first.Name != want.name ||
							first.Op != types.PropertyChangeOpAssign || unset != (first.Val == nil) {
							t.Errorf("the first update of %s: %+v", want.name, first)
						}
						if err := want.change(); err != nil {
							t.Error(err)
						}
						return false
					}
					if first.Name != want.name || first.Op != want.op {
						t.Errorf("the second update of %s: %+v", want.name, first)
					}
					return true
				})
			if err != nil || seen != 2 {
				t.Errorf("%s: %d updates, %v", want.name, seen, err)
			}
		}
	})
}
