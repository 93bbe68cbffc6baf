package vim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// changers returns an object whose methods commit the changes that their names describe.
func changers(f *vimtest.Fixture) *vim.Object {
	commit := func(judge bool, change store.Change) func(context.Context, *vim.Call,
		*types.CurrentTimeRequestType) error {
		return func(ctx context.Context, c *vim.Call, _ *types.CurrentTimeRequestType) error {
			if judge {
				if err := f.Judge(c, func() error { return nil }); err != nil {
					return err
				}
			}
			_, err := f.Mirror.Commit(ctx, change)
			return err
		}
	}
	put := func(k store.Kind) store.Change { return store.Put(k, "planted", []byte("x"), time.Time{}) }
	rule := vim.ChangesAuthority("a rule")
	return &vim.Object{
		Type: "Changer", ID: "changer",
		Methods: []vim.Method{
			vim.NewVoid("UndeclaredAccount", vim.View, commit(true, put(store.Account))),
			vim.NewVoid("UndeclaredExtension", vim.View, commit(true, put(store.Extension))),
			vim.NewVoid("UndeclaredPermission", vim.View, commit(true, put(store.Permission))),
			vim.NewVoid("UndeclaredRemoval", vim.View, commit(true, store.Clear(store.Account, "planted"))),
			vim.NewVoid("Unjudged", vim.View, commit(false, put(store.Account)), rule),
			vim.NewVoid("Other", vim.View, commit(false, put(store.Setting))),
		},
	}
}

func TestACommitOfAuthorityWithoutARuleIsRefused(t *testing.T) {
	f := newFixture(t)
	if err := f.Add(changers(f.Fixture)); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Object("Changer").Methods {
		_, fault := f.Send(f.Admin, f.Ref("Changer"), m.Name, m.NewArgs())
		if m.Name == "Other" {
			if fault != nil {
				t.Errorf("%s: %v", m.Name, fault)
			}
			continue
		}
		if fault == nil || fault.Kind() != "SystemError" ||
			!strings.Contains(fault.Error(), "changes authority without a rule") {
			t.Errorf("%s: got %v", m.Name, fault)
		}
	}
	for _, k := range []store.Kind{store.Account, store.Extension, store.Permission} {
		if _, err := f.Mirror.Get(t.Context(), k, "planted"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("kind %d was written: %v", k, err)
		}
	}
}
