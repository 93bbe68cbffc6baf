package domain_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// TestNoManagerIsAView checks that code with a manager can't change the state of the process
// without a commit.
func TestNoManagerIsAView(t *testing.T) {
	view := reflect.TypeFor[store.View]()
	of := reflect.TypeFor[domain.Domain]()
	for i := range of.NumField() {
		f := of.Field(i)
		if !f.IsExported() || f.Type == reflect.TypeFor[*store.Mirror]() {
			continue
		}
		if f.Type.Implements(view) {
			t.Errorf("%s is a view", f.Name)
		}
		for j := range view.NumMethod() {
			if name := view.Method(j).Name; hasMethod(f.Type, name) {
				t.Errorf("%s has the method %s", f.Name, name)
			}
		}
	}
}

func hasMethod(t reflect.Type, name string) bool {
	_, has := t.MethodByName(name)
	return has
}

// Without a clock and a logger, no part of a login panics, even if the store is closed and an error is
// logged.
func TestOptionsThatAreNotGivenHaveDefaults(t *testing.T) {
	memory := storetest.NewMemory(nil)
	d, err := domain.New(domain.Options{
		Store: memory, Base: setting.Defaults(), Thumbprint: func() string { return "00" },
	})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Follow(t, d.Mirror)
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	tickets := &local.Tickets{
		Dir: dir, Access: d.Access.Table(), Sessions: d.Sessions, Mirror: d.Mirror, Events: d.Events,
	}
	if err := tickets.Open(); err != nil {
		t.Fatal(err)
	}
	passwords, err := login.NewPasswords(d.Accounts, tickets)
	if err != nil {
		t.Fatal(err)
	}
	gate := d.NewGate(login.GateOptions{Methods: []login.Method{
		login.Clone{Sessions: d.Sessions}, login.ByCertificate{Extensions: d.Extensions.Table()},
		login.BySubject{Extensions: d.Extensions.Table()}, passwords,
	}})
	attempts := []login.Credential{
		login.Password{User: "nobody", Secret: secret.New("a wrong password")},
		login.Password{User: "nobody@LOCALOS", Secret: secret.New("a wrong password")},
		login.CloneTicket{Ticket: secret.New("cst")},
		login.ExtensionCertificate{Key: "k"}, login.ExtensionSubject{Key: "k"}, login.SSPI{}, login.Assertion{},
	}
	for range 2 {
		for _, c := range attempts {
			a := login.Attempt{Credential: c, Peer: peer.Peer{Address: "192.0.2.1"}}
			l, token, err := gate.Login(context.Background(), a, nil)
			if err == nil || l != nil || !token.IsZero() {
				t.Errorf("%T: %v, %v", c, l, err)
			}
		}
		if _, err := tickets.Issue(context.Background(), peer.Peer{}, "nobody"); !errors.Is(err, local.ErrRemote) {
			t.Errorf("a local ticket: %v", err)
		}
		tickets.Sweep()
		if _, err := d.Sessions.CloneGrant(context.Background(), secret.Text{}); !errors.Is(err, session.ErrBadTicket) {
			t.Errorf("a clone ticket: %v", err)
		}
		_ = memory.Close() // nothing can be written the second time
	}
}
