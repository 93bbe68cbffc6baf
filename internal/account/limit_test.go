package account_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// fill adds users to the store until there are count of them. They are copies of the user like.
func (n *node) fill(t testing.TB, like string, count int) {
	t.Helper()
	r, err := n.mirror.Get(t.Context(), store.Account, user(like).Key())
	if err != nil {
		t.Fatal(err)
	}
	var changes []store.Change
	for i := len(n.Table().Search("", false)); i < count; i++ {
		name := fmt.Sprintf("user-%05d", i)
		value := strings.Replace(string(r.Value), `"user":"`+like+`"`, `"user":"`+name+`"`, 1)
		changes = append(changes, store.Put(store.Account, user(name).Key(), []byte(value), time.Time{}))
	}
	if _, err := n.mirror.Commit(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

func TestUsersAreBounded(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "template")
	n.fill(t, "template", account.MaxUsers-1)
	n.create(t, "last")
	create := func() error { return n.Create(ctx, event.By("x"), user("more"), []byte("a good long password"), "") }
	wantError(t, create(), account.ErrTooMany)
	// A user whose record is unreadable counts too.
	_, err := n.mirror.Commit(ctx, store.Put(store.Account, user("last").Key(), []byte("{"), time.Time{}))
	must(t, err)
	wantError(t, create(), account.ErrTooMany)
	must(t, n.Remove(ctx, event.By("x"), user("last")))
	must(t, create())
	wantError(t, n.Create(ctx, event.By("x"), user("again"), []byte("a good long password"), ""), account.ErrTooMany)
	if got := n.Table().Search("USER-09998", true); len(got) != 1 || got[0].Name.User != "user-09998" {
		t.Errorf("found %v", got)
	}
}

// A user that was created on one node counts at the next creation on another node.
func TestUsersAreBoundedOverAllNodes(t *testing.T) {
	n := started(t)
	n.create(t, "template")
	n.fill(t, "template", account.MaxUsers-3)
	other := newNode(t, n.store)
	results := make(chan error, 8)
	for i := range cap(results) {
		go func() {
			on := []*node{n, other}[i%2]
			results <- on.Create(t.Context(), event.By("x"), user(fmt.Sprint("new", i)), []byte("a good long password"),
				"")
		}()
	}
	made := 0
	for range cap(results) {
		if err := <-results; err == nil {
			made++
		} else {
			wantError(t, err, account.ErrTooMany)
		}
	}
	if made != 3 {
		t.Errorf("%d were made where there was room for 3", made)
	}
}
