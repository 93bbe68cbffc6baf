package vim_test

import (
	"context"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// The end of a call counts as activity only if the session is still alive.
func TestASessionThatExpiresDuringACallStaysOver(t *testing.T) {
	f := newFixture(t)
	idle := f.Settings.Values().IdleTimeout
	var during time.Duration
	slow := func(context.Context, *vim.Call, *types.CurrentTimeRequestType) error {
		f.Pass(during)
		return nil
	}
	f.Must(f.Add(&vim.Object{Type: "Slow", ID: "slow", Methods: []vim.Method{vim.NewVoid("Call", vim.View, slow)}}))
	for _, c := range []struct {
		during time.Duration
		alive  bool
	}{{idle - 1, true}, {idle, false}} {
		token := f.Login(vimtest.AnnName, vimtest.AnnPassword)
		during = c.during
		_, fault := f.Send(token, f.Ref("Slow"), "Call", &types.CurrentTimeRequestType{})
		if got := fault == nil; got != c.alive {
			t.Errorf("a call of %v: %v", c.during, fault)
		}
		if got := f.Alive(token); got != c.alive {
			t.Errorf("after a call of %v the session lives: %v", c.during, got)
		}
	}
}
