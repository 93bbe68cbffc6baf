package vim

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/login"
)

// RootFolder is the one entity that there is.
func RootFolder() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Folder", Value: access.Root}
}

// RootName is the root folder's name, which is vCenter's.
const RootName = "Datacenters"

// CheckEntity holds a reference to the one managed entity that there is.
func CheckEntity(ref types.ManagedObjectReference) error {
	if root := RootFolder(); ref.Type != root.Type || ref.Value != root.Value {
		return ObjectNotFound(ref)
	}
	return nil
}

// folder is the root folder: the entity that permissions are on and events are
// of. It has no children, and no method would have anything to work on.
func (a *API) folder() *Object {
	root := RootFolder()
	return &Object{
		Type: root.Type, ID: root.Value,
		Properties: []Property{
			// There are no alarms here whose actions could be on or off.
			NewFixed[*bool]("alarmActionsEnabled", access.SystemRead, nil),
			NewFixed("availableField", View, []types.CustomFieldDef{}),
			NewFixed("childEntity", View, []types.ManagedObjectReference{}),
			// What it is a folder of tells clients that it is the root.
			NewFixed("childType", View, []string{"Folder", "Datacenter"}),
			NewFixed("configIssue", View, []types.BaseEvent{}),
			// Nobody watches how it does: gray is the API's word for that.
			NewFixed("configStatus", View, types.ManagedEntityStatusGray),
			NewFixed("customValue", View, []types.BaseCustomFieldValue{}),
			NewFixed("declaredAlarmState", View, []types.AlarmState{}),
			NewFixed("disabledMethod", View, []string{}),
			NewProperty("effectiveRole", View, a.effectiveRole, Watched(a.authorityChanged)),
			NewFixed("name", View, RootName),
			NewFixed[*string]("namespace", View, nil),
			NewFixed("overallStatus", View, types.ManagedEntityStatusGray),
			NewFixed[*types.ManagedObjectReference]("parent", View, nil),
			NewProperty("permission", access.SystemRead, a.folderPermission, Watched(a.authorityChanged)),
			NewFixed("recentTask", View, []types.ManagedObjectReference{}),
			NewFixed("tag", View, []types.Tag{}),
			NewFixed("triggeredAlarmState", View, []types.AlarmState{}),
			NewFixed("value", View, []types.BaseCustomFieldValue{}),
		},
	}
}

func (a *API) authorityChanged(*Call) <-chan struct{} { return a.AuthorityChanged() }

// effectiveRole is the roles that the caller's session has here: its user's own,
// or else those of its groups.
func (a *API) effectiveRole(_ context.Context, c *Call) ([]int32, error) {
	who := login.SubjectOf(c.Session)
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
		if strings.EqualFold(g, p.Principal.String()) {
			return true
		}
	}
	return false
}

func (a *API) folderPermission(context.Context, *Call) ([]types.Permission, error) {
	return Permissions(a.Access.Permissions()), nil
}
