package inventory

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/vim"
)

// folder is the root folder: the entity that permissions and events refer to. It has no children and no
// methods.
func (i *inventory) folder() *vim.Object {
	root := vim.RootFolder()
	return &vim.Object{
		Type: root.Type, ID: root.Value,
		Properties: []vim.Property{
			// There are no alarms whose actions could be on or off.
			vim.NewFixed[*bool]("alarmActionsEnabled", access.SystemRead, nil),
			vim.NewFixed("availableField", vim.View, []types.CustomFieldDef{}),
			vim.NewFixed("childEntity", vim.View, []types.ManagedObjectReference{}),
			// Clients recognise the root folder by these types.
			vim.NewFixed("childType", vim.View, []string{"Folder", "Datacenter"}),
			vim.NewFixed("configIssue", vim.View, []types.BaseEvent{}),
			// Gray is the API's value for an entity that is not monitored.
			vim.NewFixed("configStatus", vim.View, types.ManagedEntityStatusGray),
			vim.NewFixed("customValue", vim.View, []types.BaseCustomFieldValue{}),
			vim.NewFixed("declaredAlarmState", vim.View, []types.AlarmState{}),
			vim.NewFixed("disabledMethod", vim.View, []string{}),
			vim.NewProperty("effectiveRole", vim.View, i.effectiveRole, vim.Watched(i.authorityChanged)),
			vim.NewFixed("name", vim.View, vim.RootName),
			vim.NewFixed[*string]("namespace", vim.View, nil),
			vim.NewFixed("overallStatus", vim.View, types.ManagedEntityStatusGray),
			vim.NewFixed[*types.ManagedObjectReference]("parent", vim.View, nil),
			vim.NewProperty("permission", access.SystemRead, i.folderPermission, vim.Watched(i.authorityChanged)),
			vim.NewFixed("recentTask", vim.View, []types.ManagedObjectReference{}),
			vim.NewFixed("tag", vim.View, []types.Tag{}),
			vim.NewFixed("triggeredAlarmState", vim.View, []types.AlarmState{}),
			vim.NewFixed("value", vim.View, []types.BaseCustomFieldValue{}),
		},
	}
}

func (i *inventory) authorityChanged(*vim.Call) <-chan struct{} { return i.AuthorityChanged() }

// effectiveRole returns the roles of the caller's session on the folder: that of its user or, if the
// user has none, those of its groups.
func (i *inventory) effectiveRole(_ context.Context, c *vim.Call) ([]int32, error) {
	who := login.SubjectOf(c.Session)
	var ofGroups []int32
	for _, p := range i.domain.Access.Permissions() {
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

func (i *inventory) folderPermission(context.Context, *vim.Call) ([]types.Permission, error) {
	return vim.Permissions(i.domain.Access.Permissions()), nil
}
