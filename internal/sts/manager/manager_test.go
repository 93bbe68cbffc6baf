package manager_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/sts/manager"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// replace calls ReplaceSigningKey as the administrator.
func replace(t *testing.T, w *vectors.World, distrust bool) (manager.VigateSigningKey, *vim.Fault) {
	t.Helper()
	token, err := w.Token("administrator")
	if err != nil {
		t.Fatal(err)
	}
	c := &vim.Call{
		Object: w.Object("VigateTokenService").Ref(), Name: "ReplaceSigningKey", Token: secret.New(token),
		Peer: &w.Peer,
		Args: &manager.ReplaceSigningKeyRequestType{Distrust: distrust}, Release: vim.FirstRelease, Binding: "test",
	}
	defer c.Answered()
	r, fault := w.Do(t.Context(), c)
	made, _ := r.Value.(manager.VigateSigningKey)
	return made, fault
}

func TestAReplacementHasAnEventThatSaysWhoAndWhichKey(t *testing.T) {
	w := vectors.NewWorld(t)
	for distrust, id := range map[bool]string{
		false: "vigate.signingkey.replaced", true: "vigate.signingkey.distrusted",
	} {
		made, fault := replace(t, w, distrust)
		if fault != nil {
			t.Fatal(fault)
		}
		posted := w.Events.Query(event.Filter{IDs: []string{id}, MaxCount: 10})
		if len(posted) != 1 {
			t.Fatalf("%d events %s", len(posted), id)
		}
		e := posted[0]
		if e.User != vimtest.AdminName || e.Subject != strconv.FormatInt(made.Number, 10) ||
			e.Args["thumbprint"] != made.Thumbprint || e.Address != w.Peer.Address || len(made.Thumbprint) != 64 {
			t.Errorf("%+v about %+v", e, made)
		}
	}
}

func TestKeysCannotBeReplacedWithoutEnd(t *testing.T) {
	w := vectors.NewWorld(t)
	if _, fault := replace(t, w, false); fault != nil {
		t.Fatal(fault)
	}
	first, err := w.Mirror.Get(t.Context(), store.SigningKey, "1")
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 16; n++ { // the key is as good as another one
		more := store.Create(store.SigningKey, strconv.Itoa(n), first.Value, time.Time{})
		if _, err := w.Mirror.Commit(t.Context(), more); err != nil {
			t.Fatal(err)
		}
	}
	if _, fault := replace(t, w, false); !vim.IsFault[*types.LimitExceeded](fault) ||
		!strings.Contains(fault.Cause.Error(), "too many keys") {
		t.Errorf("the 17th key: %v", fault)
	}
	if made, fault := replace(t, w, true); fault != nil || made.Number != 17 {
		t.Errorf("%+v, %v", made, fault)
	}
}
