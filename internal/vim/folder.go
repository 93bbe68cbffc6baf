package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/login"
)

// folder is the root folder: the entity that permissions are on and events are
// of. It has no children, and no method would have anything to work on.
func (a *API) folder() *Object {
	return &Object{
		Type: rootFolder.Type, ID: rootFolder.Value,
		Properties: []Property{
			fixed("availableField", view, []types.CustomFieldDef{}),
			fixed("childEntity", view, []types.ManagedObjectReference{}),
			// What it is a folder of tells clients that it is the root.
			fixed("childType", view, []string{"Folder", "Datacenter"}),
			fixed("configIssue", view, []types.BaseEvent{}),
			// Nobody watches how it does: gray is the API's word for that.
			fixed("configStatus", view, types.ManagedEntityStatusGray),
			fixed("customValue", view, []types.BaseCustomFieldValue{}),
			fixed("declaredAlarmState", view, []types.AlarmState{}),
			fixed("disabledMethod", view, []string{}),
			property("effectiveRole", view, a.effectiveRole, watched(a.authorityChanged)),
			fixed("name", view, rootName),
			fixed[*string]("namespace", view, nil),
			fixed("overallStatus", view, types.ManagedEntityStatusGray),
			fixed[*types.ManagedObjectReference]("parent", view, nil),
			property("permission", access.SystemRead, a.folderPermission, watched(a.authorityChanged)),
			fixed("recentTask", view, []types.ManagedObjectReference{}),
			fixed("tag", view, []types.Tag{}),
			fixed("triggeredAlarmState", view, []types.AlarmState{}),
			fixed("value", view, []types.BaseCustomFieldValue{}),
		},
	}
}

// rootName is the root folder's name, which is vCenter's.
const rootName = "Datacenters"

// fixed makes the row of a property that has always the same value.
func fixed[T any](name, privilege string, value T) Property {
	return property(name, privilege, func(context.Context, *Call) (T, error) { return value, nil })
}

// effectiveRole is the roles that the caller's session has here: its user's own,
// or else those of its groups.
func (a *API) effectiveRole(_ context.Context, c *Call) ([]int32, error) {
	who := login.Subject(c.Session.Identity())
	var ofGroups []int32
	for _, p := range a.Access.Permissions() {
		switch {
		case !p.Group && p.Principal.Equal(who.Principal):
			return []int32{p.Role}, nil
		case p.Group && isMember(who, p):
			ofGroups = append(ofGroups, p.Role)
		}
	}
	return ofGroups, nil
}

func isMember(who access.Subject, p access.Permission) bool {
	for _, g := range who.Groups {
		if sameName(g, p.Principal.String()) {
			return true
		}
	}
	return false
}

func (a *API) folderPermission(context.Context, *Call) ([]types.Permission, error) {
	return permissions(a.Access.Permissions()), nil
}
