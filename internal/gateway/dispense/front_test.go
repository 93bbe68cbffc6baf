package dispense_test

import (
	"context"
	"errors"
	"testing"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/gateway/dispense"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const driver = `VSPHERE.LOCAL\driver`

// front returns the source of tickets of a front with one user, whose account is ci.
func front(t *testing.T) (*dispense.FrontTickets, *vimtest.Server) {
	t.Helper()
	v := vimtest.Open(t, vimtest.Config{Edit: []func(*vimtest.Parts){
		func(p *vimtest.Parts) { p.Methods = append(p.Methods, dispense.Method{}) },
	}})
	v.Found(vimtest.AdminPassword, vimtest.User{Name: driver, Password: "a long password", Role: access.ReadOnly})
	f := v.Front(vimtest.FrontConfig{})
	return &dispense.FrontTickets{
		Gate: f.Gate, Sessions: f.Sessions, Wanted: "ci", DefaultDomain: "vsphere.local",
		Account: func(*session.Live) (string, error) { return "ci", nil },
	}, f
}

func TestTicketsOfTheFrontMakeSessionsThere(t *testing.T) {
	tickets, f := front(t)
	for range 3 {
		for _, s := range []dispense.Subject{
			{Name: "driver@vsphere.local"},
			{Name: "sub", Identity: &session.Identity{Name: principal.Name{Domain: "VSPHERE.LOCAL", User: "driver"}}},
		} {
			ticket, err := tickets.Ticket(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			l, _, err := f.Gate.Login(t.Context(), login.Attempt{Credential: login.CloneTicket{Ticket: ticket}}, nil)
			if err != nil || l.Summary().Name != driver {
				t.Errorf("the clone of %s is %v, %v", s.Name, l, err)
			}
		}
	}
	// Two parents, and a clone for each ticket.
	if n := len(f.Sessions.List()); n != 2+6 {
		t.Errorf("%d sessions", n)
	}
}

func TestASubjectWhoseSessionHasEndedGetsTicketsOfAnother(t *testing.T) {
	tickets, f := front(t)
	s := dispense.Subject{Name: driver}
	if _, err := tickets.Ticket(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, l := range f.Sessions.List() {
		if err := f.Sessions.End(t.Context(), l, session.Logout(l.Session())); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tickets.Ticket(t.Context(), s); err != nil {
		t.Error(err)
	}
}

func TestASubjectWithoutARoleOrWithAnotherAccountIsRefused(t *testing.T) {
	tickets, f := front(t)
	for _, name := range []string{"nobody@vsphere.local", "a\\b\\c"} {
		if _, err := tickets.Ticket(t.Context(), dispense.Subject{Name: name}); !errors.Is(err, dispense.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tickets.Wanted = "other"
	if _, err := tickets.Ticket(t.Context(), dispense.Subject{Name: driver}); !errors.Is(err, dispense.ErrRefused) {
		t.Errorf("another account: %v", err)
	}
	if n := len(f.Sessions.List()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestNothingThatAClientSendsIsAVoucher(t *testing.T) {
	for _, c := range []login.Credential{login.Password{User: driver}, login.Assertion{}, login.CloneTicket{}} {
		_, err := dispense.Method{}.Authenticate(context.Background(), login.Attempt{Credential: c})
		if !errors.Is(err, login.ErrNotMine) {
			t.Errorf("%T: %v", c, err)
		}
	}
}
