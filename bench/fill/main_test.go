package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/store/bolt"
)

func TestMain(m *testing.M) {
	// Tests create data directories, which must not be writable by the group.
	syscall.Umask(0o022)
	os.Exit(m.Run())
}

func TestAServerFindsTheGeneratedSessions(t *testing.T) {
	dir := t.TempDir()
	if err := (filling{sessions: 600, users: 7}).run(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Data = dir
	n, err := serve.Open(t.Context(), cfg, serve.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	owners := map[string]int{}
	for l := range n.Sessions.All() {
		owners[l.Identity().Name.String()]++
	}
	sessions := 0
	for _, of := range owners {
		sessions += of
	}
	if sessions != 600 || len(owners) != 7 {
		t.Errorf("%d sessions of %d users, want 600 of 7", sessions, len(owners))
	}
	logins := n.Events.Query(event.Filter{Types: []string{"UserLoginSessionEvent"}})
	if len(logins) != 600 {
		t.Errorf("%d events of logins, want 600", len(logins))
	}
}

func TestFillRefusesInvalidArgumentsAndAStoreInUse(t *testing.T) {
	for _, c := range []struct {
		filling
		data, want string
	}{
		{filling{1, 1}, "", "--data"},
		{filling{0, 1}, t.TempDir(), "--sessions"},
		{filling{maxFill + 1, 1}, t.TempDir(), "--sessions"},
		{filling{1, 0}, t.TempDir(), "--users"},
	} {
		if err := c.run(context.Background(), c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("fill %q with %+v: %v, want an error about %s", c.data, c.filling, err, c.want)
		}
	}
	dir := t.TempDir()
	db, err := bolt.Open(dir+"/"+storage.File, bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := (filling{1, 1}).run(t.Context(), dir); err == nil ||
		!strings.Contains(err.Error(), bolt.ErrLocked.Error()) {
		t.Errorf("fill of a store in use: %v", err)
	}
}
