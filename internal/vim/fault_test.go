package vim

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
)

func TestEveryErrorOfTheDomainIsAFaultWithATextInEveryLanguage(t *testing.T) {
	for err, want := range map[error]string{
		locale.ErrInvalid: "InvalidLocale", login.ErrRejected: "InvalidLogin", login.ErrNotMine: "InvalidLogin",
		login.ErrNoCertificate: "NoClientCertificate", login.ErrNoSubject: "NoSubjectName", login.ErrBadCertificate: "InvalidClientCertificate",
		login.ErrBusy: "Unavailable", session.ErrBadTicket: "InvalidLogin", session.ErrStale: "Unavailable",
		session.ErrNotAllowed: "InvalidLogin", session.ErrNoSession: "NotAuthenticated",
		&session.LimitError{Limit: "user"}: "Unavailable", &session.LimitError{Limit: "sessions"}: "Unavailable",
		access.ErrLastAdministrator: "AuthMinimumAdminPermission", access.ErrRole: "NotFound", access.ErrSystemRole: "InvalidArgument",
		access.ErrRoleExists: "AlreadyExists", access.ErrRoleName: "InvalidName", access.ErrRoleInUse: "RemoveFailed", access.ErrPrivilege: "InvalidArgument",
		access.ErrTooMany: "LimitExceeded", access.ErrPrincipal: "UserNotFound", access.ErrPermission: "NotFound", access.ErrDuplicate: "InvalidArgument",
		account.ErrNotFound: "UserNotFound", account.ErrExists: "AlreadyExists", account.ErrName: "InvalidArgument", account.ErrFullName: "InvalidArgument",
		account.ErrPassword: "InvalidArgument", account.ErrBusy: "Unavailable",
		extension.ErrNotFound: "NotFound", extension.ErrExists: "InvalidArgument", extension.ErrKey: "InvalidArgument", extension.ErrData: "InvalidArgument",
		extension.ErrSubjectName: "InvalidArgument", extension.ErrPrivilege: "InvalidArgument", extension.ErrBadCertificate: "InvalidArgument", extension.ErrBadPublicKey: "InvalidArgument",
		&setting.UnknownError{Name: "x"}: "InvalidName", &setting.InvalidError{Name: "x"}: "InvalidArgument",
		store.ErrUnavailable: "Unavailable", store.ErrUncertain: "Unavailable", store.ErrClosed: "Unavailable", store.ErrConflict: "Unavailable",
		context.Canceled: "RequestCanceled", context.DeadlineExceeded: "RequestCanceled", errors.New("a bug"): "SystemError",
	} {
		f := FaultOf(fmt.Errorf("do something: %w", err))
		if f.Kind() != want || !errors.Is(f, err) || (f.Detail == nil) != (f.RetryAfter > 0) {
			t.Errorf("%v: %v, want %s", err, f, want)
		}
		for _, in := range locale.Messages() {
			if s := f.Text(in); s == "" || s == f.key {
				t.Errorf("%s has no text in %s", f.Kind(), in)
			}
		}
	}
}

func TestThatAChangeMayHaveBeenMadeIsToldApartFromThatItWasNot(t *testing.T) {
	may, not := FaultOf(fmt.Errorf("commit: %w: %w", store.ErrUncertain, store.ErrUnavailable)), FaultOf(store.ErrUnavailable)
	if may.Text("en") == not.Text("en") || may.key != "uncertain" {
		t.Errorf("told %q and %q", may.Text("en"), not.Text("en"))
	}
}

func TestACauseIsForTheLogAlone(t *testing.T) {
	f := FaultOf(errors.New("the disk of the third server is on fire"))
	if f.Detail.(*types.SystemError).Reason != "internal error" || f.Text("en") != locale.Text("en", "fault.SystemError") {
		t.Errorf("%+v: %s", f.Detail, f.Text("en"))
	}
}
