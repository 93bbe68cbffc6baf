package vim

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/login"
)

func (f *fixture) generic(token string, spec types.BaseSessionManagerServiceRequestSpec) answer {
	f.t.Helper()
	return f.as(token, sessions, "AcquireGenericServiceTicket", &types.AcquireGenericServiceTicketRequestType{Spec: spec})
}

func TestAServiceTicketIsGoodForOneRequest(t *testing.T) {
	f := newFixture(t)
	ticket := get[types.SessionManagerGenericServiceTicket](f, f.generic(f.ann, &types.SessionManagerHttpServiceRequestSpec{Method: "httpGet", Url: "https://vigate.test/x?y=1"}))
	if ticket.HostName != "vigate.test" || ticket.SslThumbprint != "00:11" || len(ticket.CertThumbprintList) != 1 || ticket.TicketType != string(types.SessionManagerGenericServiceTicketTicketTypeVcServiceTicket) {
		t.Errorf("ticket %+v", ticket)
	}
	use := func(method, target string) string {
		c := &Call{Object: f.ref(sessions), Name: "currentSession", Read: true, Peer: f.peer, HTTP: HTTPRequest{Method: method, Target: target, Ticket: ticket.Id}}
		r, fault := f.Do(t.Context(), c)
		if fault != nil || r.Value == nil {
			return ""
		}
		return r.Value.(*types.UserSession).UserName
	}
	for _, c := range []struct{ method, target, want string }{
		{"POST", "/x?y=1", ""}, {"GET", "/x", ""}, {"GET", "/x?y=1", annName}, {"GET", "/x?y=1", ""},
	} {
		if got := use(c.method, c.target); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.target, got, c.want)
		}
	}
	if got := get[types.SessionManagerGenericServiceTicket](f, f.generic("", &types.SessionManagerHttpServiceRequestSpec{Url: "/x"})); got.Id == "" {
		t.Error("nobody gets no ticket")
	}
}

func TestAServiceTicketForCloneSessionIsACloneTicket(t *testing.T) {
	f := newFixture(t)
	for _, method := range []string{"cloneSession", "vim.SessionManager.CLONESESSION"} {
		got := get[types.SessionManagerGenericServiceTicket](f, f.generic(f.ann, &types.SessionManagerVmomiServiceRequestSpec{Method: method}))
		if s, _ := f.enter("CloneSession", &types.CloneSessionRequestType{CloneTicket: got.Id}); s.UserName != annName {
			t.Errorf("clone %+v", s)
		}
	}
	fails[types.NotAuthenticated](f, f.generic("", &types.SessionManagerVmomiServiceRequestSpec{Method: "cloneSession"}))
	invalid(f, "spec.method", f.generic(f.ann, &types.SessionManagerVmomiServiceRequestSpec{Method: "login"}))
	invalid(f, "spec.method", f.generic(f.ann, &types.SessionManagerHttpServiceRequestSpec{Method: "GET", Url: "/x"}))
	for _, url := range []string{"", "x", "mailto:x", "https://vigate.test", "/" + strings.Repeat("x", 9000)} {
		invalid(f, "spec.url", f.generic(f.ann, &types.SessionManagerHttpServiceRequestSpec{Url: url}))
	}
	invalid(f, "spec", f.generic(f.ann, &types.SessionManagerServiceRequestSpec{}))
	invalid(f, "spec", f.generic(f.ann, nil))
}

func TestALocalTicketIsForLocalAccountsWithARole(t *testing.T) {
	acquire := func(f *fixture, name string) answer {
		return f.as("", sessions, "AcquireLocalTicket", &types.AcquireLocalTicketRequestType{UserName: name})
	}
	off := newFixture(t)
	fails[types.NotSupported](off, acquire(off, "operator"))

	account := &user.User{Username: "operator", Uid: strconv.Itoa(os.Geteuid()), Gid: strconv.Itoa(os.Getegid())}
	f := newFixture(t, func(d *Domain) {
		d.LocalTickets = &login.LocalTickets{Dir: filepath.Join(t.TempDir(), "local"), Access: d.Gate.Access, Mirror: d.Gate.Mirror,
			Events: d.Events, Now: d.Now, Log: d.Log, Account: func(name string) (*user.User, error) {
				if name != account.Username {
					return nil, user.UnknownUserError(name)
				}
				return account, nil
			}}
		if err := d.LocalTickets.Open(); err != nil {
			t.Fatal(err)
		}
		d.Gate.Methods = slices.Insert(d.Gate.Methods, 0, login.Method(d.LocalTickets))
	})
	f.peer.Local = true
	fails[types.InvalidRequest](f, acquire(f, "operator")) // by TCP
	f.peer.UnixUID = new(uint32)
	fails[types.InvalidLogin](f, acquire(f, "nobody"))
	fails[types.NoPermission](f, acquire(f, "operator"))
	ok(f, f.set(f.admin, types.Permission{Principal: `LOCALOS\operator`, RoleId: -2}))
	ticket := get[types.SessionManagerLocalTicket](f, acquire(f, "operator"))
	secret, err := os.ReadFile(ticket.PasswordFilePath)
	f.must(err)
	if s, _ := f.enter("Login", &types.LoginRequestType{UserName: ticket.UserName, Password: string(secret)}); s.UserName != `LOCALOS\operator` {
		t.Errorf("session %+v", s)
	}
	fails[types.InvalidLogin](f, f.as("", sessions, "Login", &types.LoginRequestType{UserName: ticket.UserName, Password: string(secret)}))
	account.Uid = "not a number"
	fails[types.NotSupported](f, acquire(f, "operator"))
}
