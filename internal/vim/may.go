package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"
)

// May returns the fault with which a method, or a property if read is set, would refuse the caller of c for lack of
// authority, or because it does not exist. It returns nil if the row would run. Nothing runs, and it does not count
// as a call. c is a call that was admitted, or one that runs.
func (a *API) May(ctx context.Context, c *Call, ref types.ManagedObjectReference, name string, read bool) *Fault {
	sub := Call{
		Object: ref, Name: name, Read: read, Session: c.Session, Peer: c.Peer, Release: c.Release, Binding: c.Binding,
		of: c.root(),
	}
	found, fault := a.row(&sub)
	if fault != nil {
		return fault
	}
	if fault := a.resolve(&sub); fault != nil {
		return fault
	}
	return a.authorise(ctx, &sub, found.privilege, found.own())
}
