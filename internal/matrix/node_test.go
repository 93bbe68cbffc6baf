package matrix

import (
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

// TestALossOnAnotherServerHoldsForEveryRow takes sessions and authority on one server of a cluster,
// and calls every row on another server.
func TestALossOnAnotherServerHoldsForEveryRow(t *testing.T) {
	for _, k := range kinds {
		for _, l := range k.losses {
			t.Run(k.name+" with "+l.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				v := k.make(w)
				v.objects = w.equip(v.token)
				l.make(w.beside(), v)
				w.Sync()
				if v.has = none; l.ends {
					v.live = false
				}
				v.name = k.name + " with " + l.name
				w.mustRefuseAll(v.caller)
			})
		}
	}
}

// mustRefuseAll checks that all rows that the caller may not use are refused to it.
func (w *world) mustRefuseAll(c *caller) {
	w.t.Helper()
	for _, r := range rowsOf(w.API) {
		if !c.may(r) {
			w.mustRefuse(c, r)
		}
	}
}

// TestAnotherRoleOnAnotherServerHoldsForEveryRow takes single privileges.
func TestAnotherRoleOnAnotherServerHoldsForEveryRow(t *testing.T) {
	for name, take := range map[string]func(by *world, role int32){
		"the permission gives ReadOnly": func(by *world, _ int32) { by.permit("second", access.ReadOnly) },
		"the role loses its privileges": func(by *world, role int32) {
			by.must("AuthorizationManager", "UpdateAuthorizationRole", &types.UpdateAuthorizationRoleRequestType{
				RoleId: role, NewName: "poorer",
			})
		},
		"the role is merged into another": func(by *world, role int32) {
			by.must("AuthorizationManager", "MergePermissions", &types.MergePermissionsRequestType{
				SrcRoleId: role, DstRoleId: access.ReadOnly,
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			role := w.role(w.privileges()...)
			c := w.member(name, "second", role, only(implied...))
			take(w.beside(), role)
			w.Sync()
			w.mustRefuseAll(c)
		})
	}
	t.Run("the role is removed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		role := w.role(w.privileges()...)
		c := w.member(t.Name(), "second", role, none)
		w.beside().must("AuthorizationManager", "RemoveAuthorizationRole", &types.RemoveAuthorizationRoleRequestType{
			RoleId: role,
		})
		w.Sync()
		w.mustRefuseAll(c)
	})
}

// TestDamagedPermissionsGrantNothingInAnyRow damages the record of roles and permissions.
func TestDamagedPermissionsGrantNothingInAnyRow(t *testing.T) {
	w := newWorld(t)
	r := w.named("SessionManager.sessionList")
	all := w.callers(r)
	c := all[0]
	requests := map[string]any{}
	for _, r := range rowsOf(w.API) {
		requests[r.String()] = w.request(c, r) // making a request needs an administrator
	}
	damage := store.Put(store.Permission, access.Root, []byte("damaged"), time.Time{})
	if _, err := w.store.Store.Commit(t.Context(), damage); err != nil {
		t.Fatal(err)
	}
	w.Sync()
	for _, c := range all {
		c.has = none
		for _, r := range rowsOf(w.API) {
			if c.may(r) {
				continue
			}
			for _, on := range c.objectsOf(r) {
				if got := w.call(c, r, on, requests[r.String()]); !got.refusedFor(r, c, on) {
					t.Errorf("%s as %s, with damaged permissions: got %s", r, c, got)
				}
			}
		}
	}
	for name, args := range map[string]any{
		"Login":                       &types.LoginRequestType{UserName: "second", Password: password("second")},
		"LoginExtensionByCertificate": &types.LoginExtensionByCertificateRequestType{ExtensionKey: extensionKey},
		"LoginExtensionBySubjectName": &types.LoginExtensionBySubjectNameRequestType{ExtensionKey: extensionKey},
		"LoginBySSPI":                 requests["SessionManager.LoginBySSPI"],
		"LoginByToken":                requests["SessionManager.LoginByToken"],
	} {
		got := w.do("", w.ref("SessionManager"), name, args)
		if n := got.noPermission(); n == nil || n.PrivilegeId != string(vim.View) {
			t.Errorf("%s with damaged permissions: got %s, want NoPermission", name, got)
		}
	}
}
