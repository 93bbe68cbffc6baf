package gateway_test

import (
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func TestTheClientsKeyIsTheUpstreamsOnlyWhereASessionIsMeant(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(0)
	// Somebody else could read the upstream's key in a name that the upstream keeps.
	name := "of " + c.key
	vms, err := object.NewSearchIndex(c.Client.Client).FindByInventoryPath(s.ctx(), "/DC0/vm")
	s.must(err)
	f, err := object.NewFolder(c.Client.Client, vms.Reference()).CreateFolder(s.ctx(), name)
	s.must(err)
	if got := d.last("CreateFolder").body; !strings.Contains(got, "<name>"+name+"</name>") {
		t.Errorf("the upstream got\n%s", got)
	}
	got, err := f.ObjectName(s.ctx())
	s.must(err)
	if got != name {
		t.Errorf("the folder is %q, want %q", got, name)
	}
	// The double knows no privileges, so only the request counts.
	_, _ = methods.HasPrivilegeOnEntities(s.ctx(), c.Client.Client, &types.HasPrivilegeOnEntities{
		This:      *c.ServiceContent.AuthorizationManager,
		Entity:    []types.ManagedObjectReference{c.ServiceContent.RootFolder},
		SessionId: c.key, PrivId: []string{"System.View", c.key},
	})
	asked := d.last("HasPrivilegeOnEntities")
	if asked == nil {
		t.Fatal("the upstream was not asked")
	}
	_, session, _ := strings.Cut(asked.body, "<sessionId>")
	session, _, _ = strings.Cut(session, "<")
	known := false
	for _, k := range d.secrets() {
		known = known || session == k
	}
	if !known || !strings.Contains(asked.body, "<privId>"+c.key+"</privId>") {
		t.Errorf("the upstream got\n%s", asked.body)
	}
}
