package main

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
)

func TestSessionsStayAliveInACopy(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, nil)
	c := httpClient(t)
	token, key := r.login(t, c)
	ended, _ := r.login(t, c)
	if a := vi(t, c, r.plain, ended, sm+"Logout", ""); a.status != 204 {
		t.Fatalf("logout: %d %s", a.status, a.body)
	}
	r.stop()
	to := filepath.Join(t.TempDir(), "new", "data")
	out, code := vigate(t, "store", "copy", "--from", "bolt:"+dir, "--to", "bolt:"+to)
	if code != 0 || !strings.Contains(out, "copied and verified") || !strings.Contains(out, " 1 sessions\n") ||
		strings.Contains(out, "nodes") {
		t.Fatalf("copy: %d %s", code, out)
	}
	if left, err := os.ReadDir(to); err != nil || len(left) != 1 {
		t.Errorf("in the new directory: %v, %v", left, err)
	}
	if info, err := os.Stat(filepath.Join(to, storeName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v, %v", info, err)
	}
	r = start(t, to, nil)
	if a := vi(t, c, r.plain, token, sm+"currentSession", "GET"); a.member("key") != key {
		t.Errorf("the session on the copy: %d %s", a.status, a.body)
	}
	if a := vi(t, c, r.plain, ended, sm+"currentSession", "GET"); a.status != 204 {
		t.Errorf("an ended session on the copy: %d %s", a.status, a.body)
	}
	r.login(t, c) // the users are copied
	if a := vi(t, c, r.plain, token, "EventManager/EventManager/QueryEvents",
		`{"filter":{"_typeName":"EventFilterSpec"}}`); strings.Count(a.body, `"UserLoginSessionEvent"`) != 3 ||
		strings.Count(a.body, `"ServerStartedSessionEvent"`) != 2 {
		t.Errorf("events on the copy: %s", a.body)
	}
}

func TestACopyNeedsASourceAndReplacesNothing(t *testing.T) {
	full, other := t.TempDir(), t.TempDir()
	for _, dir := range []string{full, other} {
		fill(t, dir, 5)
	}
	was, err := os.ReadFile(filepath.Join(other, storeName))
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, c := range []struct {
		from, to string
		code     int
		text     string
	}{
		{"bolt:" + full, "bolt:" + other, 1, fs.ErrExist.Error()},
		{"bolt:" + full, "bolt:" + full, 1, ""},
		{"bolt:" + empty, "bolt:" + t.TempDir(), 1, "find store"},
		{"bolt:" + filepath.Join(empty, "none"), "bolt:" + t.TempDir(), 1, "find store"},
		{"", "bolt:" + empty, 2, "--from"},
		{"bolt:" + full, "", 2, "--to"},
		{"bolt", "bolt:" + empty, 2, "a directory is required"},
		{"bolt:" + full, "bolt:", 2, "--to"},
		{"bolt:" + full, "etcd://127.0.0.1:1", 2, "prefix"},
		{"bolt:" + full, "/some/dir", 2, "--to"},
	} {
		out, code := vigate(t, "store", "copy", "--from", c.from, "--to", c.to)
		if code != c.code || !strings.Contains(out, c.text) {
			t.Errorf("%q to %q: %d %s", c.from, c.to, code, out)
		}
	}
	for _, args := range [][]string{{"--data", full}, {"--etcd-cert", "x"}} {
		if out, code := vigate(t, append([]string{"store", "copy", "--from", "bolt:" + full, "--to", "bolt:" + empty},
			args...)...); code != 2 {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	if is, err := os.ReadFile(filepath.Join(other, storeName)); err != nil || !bytes.Equal(is, was) {
		t.Errorf("the store that was there is not what it was, %v", err)
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("made in the directory: %v, %v", left, err)
	}
}

func TestACopyThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 5)
	path := filepath.Join(dir, storeName)
	db, err := bolt.Open(path, bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "data")
	if out, code := vigate(t, "store", "copy", "--from", "bolt:"+dir, "--to", "bolt:"+to); code != 1 ||
		!strings.Contains(out, bolt.ErrLocked.Error()) {
		t.Errorf("of a store in use: %d %s", code, out)
	}
	// The damaged record is of the kind that is read last.
	const mark = "the mark by which it is found"
	if _, err := db.Commit(t.Context(), store.Put(store.Kind(99), "last", []byte(mark), time.Time{})); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(b, []byte(mark)) {
		t.Fatalf("the record is not found: %v", err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(b, []byte(mark), []byte(strings.ToUpper(mark))), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := vigate(t, "store", "copy", "--from", "bolt:"+dir, "--to", "bolt:"+to); code != 1 ||
		!strings.Contains(out, "damaged record") {
		t.Errorf("of a damaged store: %d %s", code, out)
	}
	if left, err := os.ReadDir(to); err == nil && len(left) != 0 {
		t.Errorf("left in the directory: %v", left)
	}
}
