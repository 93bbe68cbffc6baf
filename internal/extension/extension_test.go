package extension_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/roster"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

var discard = slog.New(slog.DiscardHandler)

// node is one server with its extensions and its permissions.
type node struct {
	*extension.Manager
	access  *access.Manager
	store   store.Store
	mirror  *store.Mirror
	changes atomic.Int32
	mu      sync.Mutex // guards ended
	ended   []string
	fail    atomic.Bool
}

var errEnd = fmt.Errorf("end sessions: %w", store.ErrConflict)

func newNode(t *testing.T) *node { return nodeOn(t, storetest.NewMemory(nil)) }

func nodeOn(t *testing.T, s store.Store) *node {
	t.Helper()
	n := &node{store: s}
	var authority *access.Table
	table := extension.NewTable(func() { n.changes.Add(1); authority.Refresh() }, discard)
	authority = access.NewTable(func() []access.PrivilegeInfo {
		var all []access.PrivilegeInfo
		for _, p := range table.Declared() {
			all = append(all, access.PrivilegeInfo{ID: access.Privilege(p.ID), Group: p.Group})
		}
		return all
	}, discard)
	names := &roster.Roster{Names: []roster.Names{table}}
	n.mirror = store.NewMirror(s, table.View(), authority.View(), names.View())
	names.Mirror = n.mirror
	events := event.NewLog(event.Options{})
	n.access = access.NewManager(access.Options{Mirror: n.mirror, Table: authority, Events: events,
		Exists:  func(who principal.Name, _ bool) bool { return who.Domain != "" || table.Exists(who.User) },
		Enabled: func(principal.Name) bool { return true }})
	n.Manager = extension.NewManager(extension.Options{Mirror: n.mirror, Table: table, Roster: names, Events: events,
		Authority: n.access, Logger: discard,
		Now: func() time.Time { return now },
		End: func(_ context.Context, who principal.Name, keep string) error {
			if n.fail.Load() {
				return errEnd
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.ended = append(n.ended, who.String()+" "+keep)
			return nil
		}})
	storetest.Follow(t, n.mirror)
	return n
}

func registration(key string) extension.Registration {
	return extension.Registration{Key: key, Data: []byte(`{"version":"1.0"}`)}
}

// canceled is a context that ends a call before it reaches a store.
var canceled = func() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}()

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

func TestAnExtensionIsRegisteredUpdatedAndUnregistered(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	must(t, n.Register(ctx, event.By("x"), registration("com.example.B")))
	must(t, n.Register(ctx, event.By("x"), registration("com.example.a")))
	wantError(t, n.Register(ctx, event.By("x"), registration("COM.example.b")), extension.ErrExists)
	mine := issue(t, nil, "B", nil)
	must(t, n.SetCertificate(ctx, event.By("x"), "com.example.b", mine.pem(), ""))
	public, err := x509.MarshalPKIXPublicKey(mine.key.Public())
	must(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	must(t, n.SetPublicKey(ctx, event.By("x"), "com.example.B", text))
	for _, bad := range []string{"", "x", text + text, strings.Replace(text, "M", "N", 1), string(mine.pem()),
		strings.Repeat("x", 20000)} {
		wantError(t, n.SetPublicKey(ctx, event.By("x"), "com.example.B", bad), extension.ErrBadPublicKey)
	}

	reg := extension.Registration{Key: "com.example.B", SubjectName: "CN=b", Data: []byte(`{"version":"2.0"}`),
		Privileges: []extension.Privilege{{ID: "com.example.Fly", Group: "com.example"}}}
	must(t, n.Update(ctx, event.By("x"), reg, ""))
	e, ok := n.Find("com.EXAMPLE.b")
	if !ok || e.SubjectName != "CN=b" || string(e.Data) != `{"version":"2.0"}` ||
		!slices.Equal(e.Privileges, reg.Privileges) ||
		string(e.Certificate) != string(mine.cert.Raw) || e.PublicKey != text || !e.Updated.Equal(now) ||
		!e.Registered.Equal(now) {
		t.Errorf("got %+v", e)
	}
	var keys []string
	for _, e := range n.List() {
		keys = append(keys, e.Key)
	}
	if !slices.Equal(keys, []string{"com.example.a", "com.example.B"}) {
		t.Errorf("listed %v", keys)
	}
	must(t, n.Unregister(ctx, event.By("x"), "com.example.b"))
	if n.Exists("com.example.B") || len(n.List()) != 1 {
		t.Error("still there")
	}
	for _, err := range []error{n.Unregister(ctx, event.By("x"), "com.example.B"),
		n.Update(ctx, event.By("x"), reg, ""),
		n.SetCertificate(ctx, event.By("x"), "com.example.B", mine.pem(), ""),
		n.SetPublicKey(ctx, event.By("x"), "com.example.B", text)} {
		wantError(t, err, extension.ErrNotFound)
	}
	// The new certificate, the new subject name, and the removal each ended the sessions once.
	if !slices.Equal(n.ended, []string{"com.example.B ", "com.example.B ", "com.example.B "}) {
		t.Errorf("ended %q", n.ended)
	}
}

func TestWhatIsRegisteredIsChecked(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	must(t, n.Register(ctx, event.By("x"), registration("good")))
	edit := func(f func(*extension.Registration)) extension.Registration {
		r := registration("good")
		f(&r)
		return r
	}
	for _, key := range []string{"", " x", "x ", "a@b", `a\b`, "a\nb", "a\x00", "\xff", strings.Repeat("x", 481),
		strings.Repeat("Ⱥ", 200)} {
		wantError(t, n.Register(ctx, event.By("x"), registration(key)), extension.ErrKey)
	}
	must(t, n.Register(ctx, event.By("x"), registration(strings.Repeat("x", 480))))
	must(t, n.Register(ctx, event.By("x"), registration("end:good"))) // the key must not be taken for the id of a duty
	if !n.Exists("end:good") {
		t.Error("a key is mistaken for a duty")
	}
	privileges := func(p ...extension.Privilege) func(*extension.Registration) {
		return func(r *extension.Registration) { r.Privileges = p }
	}
	for _, c := range []struct {
		reg  extension.Registration
		want error
	}{
		{edit(func(r *extension.Registration) { r.SubjectName = "nonsense" }), extension.ErrSubjectName},
		{edit(func(r *extension.Registration) { r.Data = nil }), extension.ErrData},
		{edit(func(r *extension.Registration) { r.Data = []byte("{") }), extension.ErrData},
		{edit(func(r *extension.Registration) { r.Data = []byte(`"` + strings.Repeat("x", 256<<10) + `"`) }),
			extension.ErrData},
		{edit(privileges(extension.Privilege{})), extension.ErrPrivilege},
		{edit(privileges(extension.Privilege{ID: "a"}, extension.Privilege{ID: "a"})), extension.ErrPrivilege},
		{edit(privileges(extension.Privilege{ID: "a\n"})), extension.ErrPrivilege},
		{edit(privileges(extension.Privilege{ID: "a", Group: strings.Repeat("x", 257)})), extension.ErrPrivilege},
		{edit(privileges(make([]extension.Privilege, 1001)...)), extension.ErrPrivilege},
	} {
		wantError(t, n.Update(ctx, event.By("x"), c.reg, ""), c.want)
	}
}

func TestRacingRegistrationsOfOneKeyHaveOneWinner(t *testing.T) {
	s := storetest.NewMemory(nil)
	a, b := nodeOn(t, s), nodeOn(t, s)
	var won atomic.Int32
	var race sync.WaitGroup
	for i := range 10 {
		n, key := []*node{a, b}[i%2], []string{"K", "k"}[i/5]
		race.Go(func() {
			switch err := n.Register(t.Context(), event.By("x"), registration(key)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, extension.ErrExists):
				t.Error(err)
			}
		})
	}
	race.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

func TestPrivilegesAreDeclaredAsLongAsTheExtensionIsRegistered(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	admin := principal.Name{Domain: "D", User: "root"}
	changes, err := n.access.Found(ctx, event.Actor{}, admin)
	must(t, err)
	_, err = n.mirror.Commit(ctx, changes...)
	must(t, err)
	for _, key := range []string{"b", "a"} {
		reg := registration(key)
		reg.Privileges = []extension.Privilege{{ID: "shared", Group: key}, {ID: "of." + key}}
		must(t, n.Register(ctx, event.By("x"), reg))
	}
	if got := fmt.Sprint(n.Table().Declared()); got != "[{shared a} {of.a } {of.b }]" {
		t.Errorf("declared %s", got)
	}
	who := access.Subject{Principal: admin}
	if !n.access.Has(who, "of.b") {
		t.Error("not in force")
	}
	must(t, n.Unregister(ctx, event.By("x"), "b"))
	if n.access.Has(who, "of.b") || !n.access.Has(who, "shared") {
		t.Error("still in force")
	}
}

// A user that may register extensions must not get the rights of an extension that was removed.
func TestALaterExtensionOfTheSameKeyInheritsNothing(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	changes, err := n.access.Found(ctx, event.Actor{}, principal.Name{Domain: "D", User: "root"})
	must(t, err)
	_, err = n.mirror.Commit(ctx, changes...)
	must(t, err)
	must(t, n.Register(ctx, event.By("x"), registration("K")))
	mine := issue(t, nil, "K", nil)
	must(t, n.SetCertificate(ctx, event.By("x"), "K", mine.pem(), ""))
	must(t, n.access.SetPermissions(ctx, access.Server(event.By("x")), access.Root,
		[]access.Permission{{Principal: principal.Extension("k"), Role: access.Admin}}))
	must(t, n.Unregister(ctx, event.By("x"), "K"))
	must(t, n.Register(ctx, event.By("x"), registration("k")))
	if n.access.Has(access.Subject{Principal: principal.Extension("k"), Extension: true}, access.ModifyRoles) {
		t.Error("it has the old one's role")
	}
	_, err = n.Table().AuthenticateCertificate("k", mine.cert)
	wantError(t, err, extension.ErrRejected)
}

func TestALoginIsHeldToTheExtensionThatItVerified(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	mine := issue(t, nil, "K", nil)
	for name, spoil := range map[string]func() error{
		"certificate": func() error {
			return n.SetCertificate(ctx, event.By("x"), "k", issue(t, nil, "K", nil).pem(), "")
		},
		"unregister": func() error { return n.Unregister(ctx, event.By("x"), "k") },
	} {
		if !n.Exists("k") {
			must(t, n.Register(ctx, event.By("x"), registration("K")))
		}
		must(t, n.SetCertificate(ctx, event.By("x"), "k", mine.pem(), ""))
		e, err := n.Table().AuthenticateCertificate("K", mine.cert)
		must(t, err)
		_, err = n.mirror.Commit(ctx, e.Require())
		must(t, err)
		must(t, spoil())
		if _, err := n.mirror.Commit(ctx, e.Require()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: the login went through: %v", name, err)
		}
	}
}

func TestSessionsThatCouldNotBeEndedAreEndedLater(t *testing.T) {
	s := storetest.NewMemory(nil)
	n, ctx := nodeOn(t, s), t.Context()
	must(t, n.Register(ctx, event.By("x"), registration("K")))
	n.fail.Store(true)
	wantError(t, n.Unregister(ctx, event.By("x"), "K"), errEnd)
	again := nodeOn(t, s) // after a crash
	must(t, again.Resume(ctx))
	must(t, again.Resume(ctx))
	if again.Exists("K") || !slices.Equal(again.ended, []string{"k "}) {
		t.Errorf("ended %q", again.ended)
	}
}

func TestADamagedExtensionIsReportedAndCanOnlyBeUnregistered(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	mine := issue(t, nil, "K", nil)
	must(t, n.Register(ctx, event.By("x"), registration("K")))
	must(t, n.SetCertificate(ctx, event.By("x"), "K", mine.pem(), ""))
	good, err := n.mirror.Get(ctx, store.Extension, "ext:k")
	must(t, err)
	put := func(value string) {
		t.Helper()
		_, err := n.mirror.Commit(ctx, store.Put(store.Extension, "ext:k", []byte(value), time.Time{}))
		must(t, err)
	}
	var damaged *store.DamagedError
	for _, bad := range []string{"", "{}", strings.Replace(string(good.Value), `"v":1`, `"v":2`, 1),
		strings.Replace(string(good.Value), `"K"`, `"L"`, 1),
		strings.Replace(string(good.Value), `"certificate":"MI`, `"certificate":"AA`, 1),
		strings.Replace(string(good.Value), `"v":1`, `"v":1,"subject":"x"`, 1)} {
		if bad == string(good.Value) {
			t.Fatal("not damaged")
		}
		put(bad)
		if !errors.As(n.Damaged(), &damaged) || n.Exists("K") || len(n.List()) != 0 {
			t.Errorf("%s: damage is %v", bad, n.Damaged())
		}
		_, err := n.Table().AuthenticateCertificate("K", mine.cert)
		wantError(t, err, extension.ErrRejected)
		for _, err := range []error{n.Register(ctx, event.By("x"), registration("k")),
			n.Update(ctx, event.By("x"), registration("K"), "")} {
			if !errors.As(err, &damaged) {
				t.Errorf("%s: got %v", bad, err)
			}
		}
	}
	put(strings.Replace(string(good.Value), `{`, `{"later":1,`, 1))
	must(t, n.Update(ctx, event.By("x"), registration("K"), ""))
	if r, err := n.mirror.Get(ctx, store.Extension, "ext:k"); err != nil ||
		!strings.Contains(string(r.Value), `"later":1`) {
		t.Errorf("a newer version's member is lost: %s, %v", r.Value, err)
	}
	put("{}")
	must(t, n.Unregister(ctx, event.By("x"), "K"))
	must(t, n.Register(ctx, event.By("x"), registration("K")))
	if n.Damaged() != nil {
		t.Error("unregistered, but still reported")
	}
}

func TestTheTableFollowsAWholeState(t *testing.T) {
	n := newNode(t)
	must(t, n.Register(t.Context(), event.By("x"), registration("K")))
	r, err := n.mirror.Get(t.Context(), store.Extension, "ext:k")
	must(t, err)
	calls := 0
	table := extension.NewTable(func() { calls++ }, discard)
	table.View().Put(r)
	table.View().Reset()
	if !table.Exists("K") {
		t.Error("gone while the state is read again")
	}
	table.View().Whole()
	if table.Exists("K") || calls != 2 {
		t.Errorf("not in the whole state, but there; %d calls", calls)
	}
	table.View().Reset()
	table.View().Put(r)
	table.View().Whole()
	table.View().Delete(store.Extension, "ext:other")
	if !table.Exists("K") || calls != 4 {
		t.Errorf("in the whole state, but not there; %d calls", calls)
	}
}

func TestChangesPostEvents(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	must(t, n.Register(ctx, event.By(`D\x`), registration("K")))
	must(t, n.Update(ctx, event.By(`D\x`), registration("K"), ""))
	must(t, n.SetCertificate(ctx, event.By(`D\x`), "K", issue(t, nil, "K", nil).pem(), ""))
	must(t, n.Unregister(ctx, event.By(`D\x`), "k"))
	var got []string
	for _, r := range storetest.Appended(t, n.store, store.Event) {
		var e event.Event
		must(t, json.Unmarshal(r.Value, &e))
		got = append(got, e.ID+" "+e.Subject+" "+e.User)
		if sum := e.Args["sha256"]; strings.HasSuffix(e.ID, "certificate") != (len(sum) == 64) {
			t.Errorf("%s: sha256 %q", e.ID, sum)
		}
	}
	want := []string{`vigate.extension.registered K D\x`, `vigate.extension.updated K D\x`,
		`vigate.extension.certificate K D\x`,
		`vigate.extension.unregistered K D\x`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func FuzzAnExtensionFromTheStore(f *testing.F) {
	f.Add("ext:k", []byte(`{"v":1,"key":"K","data":{},"privileges":[{"id":"x"}],"subject":"CN=x",`+
		`"registered":"2030-01-01T00:00:00Z","updated":"2030-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, id string, b []byte) {
		table := extension.NewTable(nil, discard)
		table.View().Put(store.Record{Kind: store.Extension, ID: id, Value: b, Revision: 1})
		for _, e := range table.List() {
			if !json.Valid(e.Data) || !table.Exists(e.Key) || table.Damaged() != nil {
				t.Errorf("%q is %+v", id, e)
			}
		}
	})
}
