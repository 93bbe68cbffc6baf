package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/logging"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
)

// damageCase describes how a server starts with one damaged record.
type damageCase struct {
	name  string // name of the row in docs/operations.md
	kind  store.Kind
	id    func(*damageScene) string
	ready int    // status of /readyz; 0 if the server does not start
	says  string // text in the log, or in the error of the start
	check func(*damageScene, *scene)
}

// unused are the kinds of records that nothing writes.
var unused = []store.Kind{store.Spent, store.Role, store.Lockout}

// damageScene is a store with one record of each kind, and the secrets that were made with it.
type damageScene struct {
	dir     string
	records map[store.Kind][]store.Record
	admin   string // token
	ann     string // token
	annKey  string
	ticket  string // clone ticket of the administrator
	twin    string // clone ticket of Ann
}

func newDamageScene(t *testing.T) *damageScene {
	t.Helper()
	d := &damageScene{dir: t.TempDir(), records: map[store.Kind][]store.Record{}}
	r := start(t, d.dir, nil)
	s := &scene{running: r, t: t, c: httpClient(t)}
	s.admin, s.key = s.login(t, s.c)
	d.admin = s.admin
	s.user("ann", "a good long password", roleReadOnly)
	d.ann, d.annKey = s.loginAs("ann", "a good long password")
	s.register("com.example.a", "", "")
	// The cases run in parallel, and on a busy machine some begin minutes after this. The sessions must still be
	// valid then.
	s.must(s.admin, optionPath+"UpdateOptions",
		`{"changedValue":[{"_typeName":"OptionValue","key":"vigate.session.maxLifetime","value":{"_typeName":"int",`+
			`"_value":1000}},{"_typeName":"OptionValue","key":"vigate.ticket.lifetime","value":{"_typeName":"int",`+
			`"_value":600}}]}`)
	s.must(s.admin, sm+"UpdateServiceMessage", `{"message":"hello"}`)
	d.ticket = s.must(s.admin, sm+"AcquireCloneTicket", "").text()
	d.twin = s.must(d.ann, sm+"AcquireCloneTicket", "").text()
	done := errors.New("whole")
	err := s.Store.Watch(t.Context(), func(b store.Batch) error {
		for _, x := range b.Deltas {
			d.records[x.Record.Kind] = append(d.records[x.Record.Kind], x.Record)
		}
		if b.Whole {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	r.stop()
	return d
}

// record returns the record with the kind and the id, or the last record of the kind if id is "".
func (d *damageScene) record(t *testing.T, kind store.Kind, id string) store.Record {
	t.Helper()
	all := d.records[kind]
	i := slices.IndexFunc(all, func(r store.Record) bool { return r.ID == id })
	switch {
	case i >= 0:
		return all[i]
	case id == "" && len(all) > 0:
		return all[len(all)-1]
	}
	t.Fatalf("no record %q of kind %s", id, kindNames[kind])
	return store.Record{}
}

// damaged returns a copy of the data directory in which the record is cut in half.
func (d *damageScene) damaged(t *testing.T, r store.Record) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	path, key := filepath.Join(dir, storage.File), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.Chmod(dir, 0o711), os.Chmod(path, 0o600), os.Chmod(key, 0o600)); err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	expires := r.Expires
	if r.Kind == store.Node {
		expires = time.Now().Add(time.Hour)
	}
	damage := store.Put(r.Kind, r.ID, r.Value[:len(r.Value)/2], expires)
	if r.Kind.Appended() {
		// appended records can't be overwritten
		damage = store.Append(r.Kind, r.Value[:len(r.Value)/2], expires)
	}
	_, err = s.Commit(t.Context(), damage)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func last(*damageScene) string { return "" }

func id(text string) func(*damageScene) string { return func(*damageScene) string { return text } }

// damageCases are the rows of the table in docs/operations.md §8.
var damageCases = []damageCase{
	{"a session", store.Session, func(d *damageScene) string { return d.annKey }, 200,
		"session record can't be read and is not served", func(d *damageScene, s *scene) {
			if s.lives(d.ann) || !s.lives(d.admin) {
				s.t.Error("the damaged session is served, or another is not")
			}
			s.loginAs("ann", "a good long password")
		}},
	{"a ticket", store.Ticket, last, 200, "", func(d *damageScene, s *scene) {
		taken := 0
		for ticket, of := range map[string]string{d.ticket: `VSPHERE.LOCAL\Administrator`,
			d.twin: `VSPHERE.LOCAL\ann`} {
			if a := s.call("", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`); a.status == 200 {
				taken++
				if got := a.member("userName"); got != of {
					s.t.Errorf("a ticket of %s gives a session of %s", of, got)
				}
			}
		}
		if taken != 1 {
			s.t.Errorf("%d of two tickets are taken, one of which is damaged", taken)
		}
	}},
	{"a user", store.Account, id(`vsphere.local\ann`), 503, "account can't be read", func(_ *damageScene, s *scene) {
		if got := s.fault("", sm+"Login", loginBody("ann", "a good long password")); got != "InvalidLogin" {
			s.t.Errorf("login: %s", got)
		}
		s.must(s.admin, accountPath+"RemoveUser", `{"userName":"ann"}`)
	}},
	{"permissions", store.Permission, id(access.Root), 503, "permissions can't be read",
		func(d *damageScene, s *scene) {
			if got := s.fault(d.admin, sm+"sessionList", "GET"); got != "NoPermission" {
				s.t.Errorf("an administrator's call: %s", got)
			}
		}},
	{"an extension", store.Extension, id("ext:com.example.a"), 503, "extension can't be read",
		func(_ *damageScene, s *scene) {
			s.must(s.admin, extensionPath+"UnregisterExtension", `{"extensionKey":"com.example.a"}`)
		}},
	{"options", store.Setting, id("options"), 503, "setting can't be read", func(_ *damageScene, s *scene) {
		if v := s.Settings.Values(); v.MaxLifetime > 24*time.Hour {
			s.t.Errorf("the lifetime is %v", v.MaxLifetime)
		}
		s.must(s.admin, optionPath+"UpdateOptions",
			`{"changedValue":[{"_typeName":"OptionValue","key":"vigate.session.maxLifetime",`+
				`"value":{"_typeName":"int","_value":6}}]}`)
		if v := s.Settings.Values(); v.MaxLifetime != 6*time.Minute {
			s.t.Errorf("mended: the lifetime is %v", v.MaxLifetime)
		}
	}},
	{"the service message", store.Setting, id("message"), 200, "setting can't be read", func(_ *damageScene, s *scene) {
		if got := s.must(s.admin, sm+"message", "GET").text(); got != "" {
			s.t.Errorf("the message is %q", got)
		}
		s.must(s.admin, sm+"UpdateServiceMessage", `{"message":"again"}`)
	}},
	{"the instance's identity", store.Setting, id("instance"), 0, "setting instance", nil},
	{"an event", store.Event, last, 200, "unreadable event skipped", func(_ *damageScene, s *scene) {
		s.must(s.admin, eventPath+"QueryEvents", `{"filter":{"_typeName":"EventFilterSpec"}}`)
	}},
	{"an event that outlives later ones", store.KeptEvent, last, 200, "unreadable event skipped",
		func(_ *damageScene, s *scene) {
			s.must(s.admin, eventPath+"QueryEvents", `{"filter":{"_typeName":"EventFilterSpec"}}`)
		}},
	{"the numbering of events", store.Numbers, id(store.NumberingID(store.Event)), 200, "",
		func(_ *damageScene, s *scene) {
			s.must(s.admin, eventPath+"QueryEvents", `{"filter":{"_typeName":"EventFilterSpec"}}`)
		}},
	{"the roster of new names", store.Roster, last, 200, "", func(_ *damageScene, s *scene) {
		s.must(s.admin, accountPath+"CreateUser",
			`{"user":{"_typeName":"HostAccountSpec","id":"carl","password":"a good long password"}}`)
	}},
	{"a key of the token service", store.SigningKey, last, 200, "a key of the token service can't be read",
		func(_ *damageScene, s *scene) {
			all := 0
			err := s.Store.Watch(s.t.Context(), func(b store.Batch) error {
				for _, d := range b.Deltas {
					if d.Record.Kind == store.SigningKey {
						all++
					}
				}
				return errors.New("whole")
			})
			if all != 2 {
				s.t.Errorf("there are %d keys, want the damaged one and a new one: %v", all, err)
			}
		}},
	{"a note of an upstream", store.Upstream, last, 200, "a note of an upstream can't be read", nil},
	{"a node of the cluster", store.Node, last, 200, "a node's record can't be read", nil},
}

// Each kind of record is damaged in turn. The server does what docs/operations.md says, no rule
// becomes less strict, and the documented repair works.
func TestADamagedRecordOfAnyKindDoesWhatIsDocumented(t *testing.T) {
	t.Parallel()
	d := newDamageScene(t)
	d.records[store.Numbers] = append(d.records[store.Numbers], store.Numbering{Removed: 1}.Record(store.Event))
	kept := d.record(t, store.Event, "")
	kept.Kind, kept.ID = store.KeptEvent, store.NumberedID(1)
	d.records[store.KeptEvent] = append(d.records[store.KeptEvent], kept)
	// This server has no upstream, so it has no note of its own. Half of any note is no JSON.
	d.records[store.Upstream] = []store.Record{{
		Kind: store.Upstream, ID: "note", Value: []byte(`{"v":1,"upstream":"lab","account":"ci","key":"k"}`),
	}}
	for kind, name := range kindNames {
		covered := slices.ContainsFunc(damageCases, func(c damageCase) bool { return c.kind == kind })
		if covered == slices.Contains(unused, kind) || slices.Contains(unused, kind) && len(d.records[kind]) > 0 {
			t.Errorf("damaged %s: covered %v, %d records", name, covered, len(d.records[kind]))
		}
	}
	for _, r := range d.records[store.Setting] {
		if !slices.ContainsFunc(damageCases, func(c damageCase) bool {
			return c.kind == store.Setting && c.id(d) == r.ID
		}) {
			t.Errorf("a damaged setting %q is not covered", r.ID)
		}
	}
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range damageCases {
		if !strings.Contains(string(doc), "\n| "+c.name+" |") {
			t.Errorf("docs/operations.md has no row for %s", c.name)
		}
		t.Run(c.name, func(t *testing.T) {
			if c.kind != store.Ticket { // tickets expire within minutes
				t.Parallel()
			}
			dir := d.damaged(t, d.record(t, c.kind, c.id(d)))
			if c.ready == 0 {
				refusesToStart(t, dir, c.says)
				return
			}
			s := &scene{running: start(t, dir, nil), t: t, c: httpClient(t), admin: d.admin}
			if got := s.ready(); got != c.ready || !strings.Contains(s.log.String(), c.says) {
				t.Errorf("ready: %d; log: %s", got, s.log)
			}
			if c.check != nil {
				c.check(d, s)
			}
			if mended := s.ready(); c.ready != 200 && c.kind != store.Permission && mended != 200 {
				t.Errorf("mended, but ready: %d", mended)
			}
		})
	}
}

func (s *scene) ready() int {
	s.t.Helper()
	resp, err := s.c.Get(s.plain + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// refusesToStart checks that a server on the directory fails to start with the text.
func refusesToStart(t *testing.T, dir, says string) {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Listen = dir, "127.0.0.1:0"
	n, err := serve.Open(t.Context(), cfg, serve.Options{Logger: logging.New(cfg, io.Discard)})
	if err == nil {
		_, err = n.Bootstrap(t.Context(), cfg,
			serve.Terminal{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return adminPassword },
				IsTerminal: func(io.Writer) bool { return false }})
		_ = n.Close()
	}
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("start: %v", err)
	}
}
