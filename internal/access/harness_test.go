package access_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// node is one server's permissions, on a store that other nodes may share.
type node struct {
	*access.Manager
	store  store.Store
	mirror *store.Mirror
	mu     sync.Mutex // guards enabled and declared
	// enabled are the users that can log in. All other users exist but are disabled, unless their name begins
	// with "no".
	enabled  map[string]bool
	declared []access.PrivilegeInfo
}

func user(name string) principal.Name { return principal.Name{Domain: "VSPHERE.LOCAL", User: name} }

func newNode(t *testing.T, s store.Store, enabled ...string) *node {
	t.Helper()
	n := &node{store: s, enabled: map[string]bool{}}
	for _, name := range enabled {
		n.enabled[user(name).Key()] = true
	}
	table := access.NewTable(func() []access.PrivilegeInfo {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.declared
	}, slog.New(slog.DiscardHandler))
	n.mirror = store.NewMirror(s, table.View())
	n.Manager = access.NewManager(access.Options{
		Mirror: n.mirror, Table: table, Events: event.NewLog(event.Options{}),
		Exists: func(who principal.Name, _ bool) bool { return !strings.HasPrefix(who.User, "no") },
		Enabled: func(who principal.Name) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.enabled[who.Key()]
		},
	})
	storetest.Follow(t, n.mirror)
	return n
}

// founded returns a node whose administrator is root.
func founded(t *testing.T, enabled ...string) *node {
	t.Helper()
	n := newNode(t, newStore(t), append(enabled, "root")...)
	n.found(t, "root")
	return n
}

func newStore(t *testing.T) store.Store {
	t.Helper()
	s := storetest.NewMemory(nil)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (n *node) found(t *testing.T, name string) {
	t.Helper()
	changes, err := n.Found(t.Context(), event.Actor{}, user(name))
	must(t, err)
	_, err = n.mirror.Commit(t.Context(), changes...)
	must(t, err)
}

func (n *node) give(t *testing.T, role int32, names ...string) {
	t.Helper()
	var all []access.Permission
	for _, name := range names {
		p := access.Permission{Principal: user(name), Role: role, Propagate: true}
		p.Principal.User, p.Group = strings.CutPrefix(name, "group:")
		all = append(all, p)
	}
	must(t, n.SetPermissions(t.Context(), access.Server(event.By("root")), access.Root, all))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

var discard = slog.New(slog.DiscardHandler)

func unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }
