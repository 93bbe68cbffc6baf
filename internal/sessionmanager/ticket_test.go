package sessionmanager_test

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

func (f *fixture) generic(token string, spec types.BaseSessionManagerServiceRequestSpec) vimtest.Answer {
	f.t.Helper()
	return f.As(token, sessions, "AcquireGenericServiceTicket",
		&types.AcquireGenericServiceTicketRequestType{Spec: spec})
}

func TestAServiceTicketIsGoodForOneRequest(t *testing.T) {
	f := newFixture(t)
	ticket := vimtest.Get[types.SessionManagerGenericServiceTicket](f.generic(f.Ann,
		&types.SessionManagerHttpServiceRequestSpec{Method: "httpGet", Url: "https://vigate.test/x?y=1"}))
	if ticket.HostName != "vigate.test" || ticket.SslThumbprint != "00:11" || len(ticket.CertThumbprintList) != 1 ||
		ticket.TicketType != string(types.SessionManagerGenericServiceTicketTicketTypeVcServiceTicket) {
		t.Errorf("ticket %+v", ticket)
	}
	use := func(method, target string) string {
		c := &vim.Call{Object: f.Ref(sessions), Name: "currentSession", Read: true, Peer: &f.Peer,
			HTTP: vim.HTTPRequest{Method: method, Target: target, Ticket: secret.New(ticket.Id)}}
		r, fault := f.Do(t.Context(), c)
		if fault != nil || r.Value == nil {
			return ""
		}
		return r.Value.(*types.UserSession).UserName
	}
	for _, c := range []struct{ method, target, want string }{
		{"POST", "/x?y=1", ""}, {"GET", "/x", ""}, {"GET", "/x?y=1", vimtest.AnnName}, {"GET", "/x?y=1", ""},
	} {
		if got := use(c.method, c.target); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.target, got, c.want)
		}
	}
	if got := vimtest.Get[types.SessionManagerGenericServiceTicket](f.generic("",
		&types.SessionManagerHttpServiceRequestSpec{Url: "/x"})); got.Id == "" {
		t.Error("nobody gets no ticket")
	}
}

func TestAServiceTicketForCloneSessionIsACloneTicket(t *testing.T) {
	f := newFixture(t)
	for _, method := range []string{"cloneSession", "vim.SessionManager.CLONESESSION"} {
		got := vimtest.Get[types.SessionManagerGenericServiceTicket](f.generic(f.Ann,
			&types.SessionManagerVmomiServiceRequestSpec{Method: method}))
		if s, _ := f.enter("CloneSession",
			&types.CloneSessionRequestType{CloneTicket: got.Id}); s.UserName != vimtest.AnnName {
			t.Errorf("clone %+v", s)
		}
	}
	vimtest.Fails[types.NotAuthenticated](f.generic("",
		&types.SessionManagerVmomiServiceRequestSpec{Method: "cloneSession"}))
	vimtest.Invalid("spec.method", f.generic(f.Ann, &types.SessionManagerVmomiServiceRequestSpec{Method: "login"}))
	vimtest.Invalid("spec.method", f.generic(f.Ann,
		&types.SessionManagerHttpServiceRequestSpec{Method: "GET", Url: "/x"}))
	for _, url := range []string{"", "x", "mailto:x", "https://vigate.test", "/" + strings.Repeat("x", 9000)} {
		vimtest.Invalid("spec.url", f.generic(f.Ann, &types.SessionManagerHttpServiceRequestSpec{Url: url}))
	}
	vimtest.Invalid("spec", f.generic(f.Ann, &types.SessionManagerServiceRequestSpec{}))
	vimtest.Invalid("spec", f.generic(f.Ann, nil))
}

func TestALocalTicketIsForLocalAccountsWithARole(t *testing.T) {
	acquire := func(f *fixture, name string) vimtest.Answer {
		return f.As("", sessions, "AcquireLocalTicket", &types.AcquireLocalTicketRequestType{UserName: name})
	}
	off := newFixture(t)
	vimtest.Fails[types.NotSupported](acquire(off, "operator"))

	account := &user.User{Username: "operator", Uid: strconv.Itoa(os.Geteuid()), Gid: strconv.Itoa(os.Getegid())}
	f := newFixture(t, func(d *vimtest.Parts) {
		dir, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dir.Close() })
		d.LocalTickets = &local.Tickets{Dir: dir, Access: d.Access.Table(), Sessions: d.Sessions, Mirror: d.Mirror,
			Events: d.Events, Now: d.Now, Logger: d.Logger, Account: func(name string) (*user.User, error) {
				if name != account.Username {
					return nil, user.UnknownUserError(name)
				}
				return account, nil
			}}
		if err := d.LocalTickets.Open(); err != nil {
			t.Fatal(err)
		}
		d.Passwords = []login.PasswordSource{d.LocalTickets}
	})
	f.Peer.Local = true
	vimtest.Fails[types.InvalidRequest](acquire(f, "operator")) // by TCP
	f.Peer.UnixUID = new(uint32)
	vimtest.Fails[types.InvalidLogin](acquire(f, "nobody"))
	vimtest.Fails[types.NoPermission](acquire(f, "operator"))
	vimtest.OK(f.Grant(f.Admin, types.Permission{Principal: `LOCALOS\operator`, RoleId: -2}))
	ticket := vimtest.Get[types.SessionManagerLocalTicket](acquire(f, "operator"))
	secret, err := os.ReadFile(ticket.PasswordFilePath)
	f.Must(err)
	if s, _ := f.enter("Login", &types.LoginRequestType{UserName: ticket.UserName,
		Password: string(secret)}); s.UserName != `LOCALOS\operator` {
		t.Errorf("session %+v", s)
	}
	vimtest.Fails[types.InvalidLogin](f.As("", sessions, "Login",
		&types.LoginRequestType{UserName: ticket.UserName, Password: string(secret)}))
	account.Uid = "not a number"
	vimtest.Fails[types.NotSupported](acquire(f, "operator"))
}
