package vigatetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/vigatetest"
)

// backup is the program whose tests docs/testing.md shows. It calls the server in the session that it was
// given, and logs in again once if that session has ended.
func backup(ctx context.Context, c *vim25.Client, user vigatetest.User) error {
	_, err := methods.GetCurrentTime(ctx, c)
	if err == nil || !soap.IsSoapFault(err) {
		return err
	}
	if _, ended := soap.ToSoapFault(err).VimFault().(types.NotAuthenticated); !ended {
		return err
	}
	if err := session.NewManager(c).Login(ctx, userinfo(user)); err != nil {
		return err
	}
	_, err = methods.GetCurrentTime(ctx, c)
	return err
}

func TestBackupLogsInAgainWhenItsSessionExpires(t *testing.T) {
	user := vigatetest.User{
		Name: "svc-backup@vsphere.local", Password: "password of the service", Role: vigatetest.RoleReadOnly,
	}
	server := vigatetest.New(t, vigatetest.WithUsers(user))
	c := server.Govmomi(t, user)

	server.Advance(31 * time.Minute) // the idle timeout is 30 minutes
	if err := backup(t.Context(), c.Client, user); err != nil {
		t.Errorf("after its session expired: %v", err)
	}
	server.EndAll() // as an administrator does
	if err := backup(t.Context(), c.Client, user); err != nil {
		t.Errorf("after its session was terminated: %v", err)
	}
	server.Restart() // sessions survive, connections don't
	if err := backup(t.Context(), c.Client, user); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if n := len(server.Sessions()); n != 1 {
		t.Errorf("it left %d sessions", n)
	}
}
