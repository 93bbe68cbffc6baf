package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/roster"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// cheap is a cost that tests can afford.
var cheap = account.Cost{Memory: 8, Time: 1, Lanes: 1}

// here is the network of the tests' callers.
var here = account.Caller{Network: "192.0.2.7"}

// node is one server with its users and its permissions.
type node struct {
	*account.Manager
	access *access.Manager
	mirror *store.Mirror
	store  store.Store
	mu     sync.Mutex // guards ended
	ended  []string   // "name keep" for each call of the function that ends sessions
	fail   atomic.Bool
}

var errEnd = fmt.Errorf("end sessions: %w", store.ErrConflict)

func newNode(t *testing.T, s store.Store) *node {
	t.Helper()
	n := &node{store: s}
	log := slog.New(slog.DiscardHandler)
	users, authority := account.NewTable("vsphere.local", log), access.NewTable(nil, log)
	names := &roster.Roster{Names: []roster.Names{users}}
	n.mirror = store.NewMirror(s, authority.View(), users.View(), names.View())
	names.Mirror = n.mirror
	events := event.NewLog(event.Options{})
	n.access = access.NewManager(access.Options{Mirror: n.mirror, Table: authority, Events: events,
		Exists:  func(who principal.Name, group bool) bool { return !group && users.Exists(who) },
		Enabled: users.Enabled})
	var err error
	n.Manager, err = account.NewManager(account.Options{Mirror: n.mirror, Table: users, Roster: names, Events: events,
		Authority: n.access,
		Cost:      cheap, Queue: 100, Patience: time.Minute, Logger: log,
		End: func(_ context.Context, who principal.Name, keep string) error {
			if n.fail.Load() {
				return errEnd
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.ended = append(n.ended, who.User+" "+keep)
			return nil
		}})
	must(t, err)
	storetest.Follow(t, n.mirror)
	return n
}

var first = []byte("first password")

// started returns a node that has its first administrator.
func started(t *testing.T) *node {
	t.Helper()
	n := newNode(t, storetest.NewMemory(nil))
	made, err := n.Bootstrap(t.Context(), first)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	return n
}

func user(name string) principal.Name { return principal.Name{Domain: "VSPHERE.LOCAL", User: name} }

var admin, ann = user("administrator"), user("Ann")

func (n *node) create(t *testing.T, name string) {
	t.Helper()
	must(t, n.Create(t.Context(), event.By("root"), user(name), []byte("password of "+name), "Full "+name))
}

func (n *node) takeEnded() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := strings.Join(n.ended, ",")
	n.ended = nil
	return s
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

func TestAPasswordIsUsedExactlyAsItCame(t *testing.T) {
	n, ctx := started(t), t.Context()
	for i, p := range []string{
		"12345678", " leading", "trailing ", "nul\x00inside", "not \xff\xfe UTF-8", "öäüöäüöä",
		strings.Repeat("x", 1024),
		strings.Repeat("correct horse ", 5), "new\nline\r\n", "o\u0308 not composed",
	} {
		name := user(fmt.Sprint("u", i))
		must(t, n.Create(ctx, event.By("root"), name, []byte(p), ""))
		a, err := n.Verify(ctx, name, here, []byte(p))
		if err != nil || !a.Name.Equal(name) {
			t.Errorf("%q: %v", p, err)
		}
		for _, other := range []string{p + " ", p[:len(p)-1], strings.TrimSpace(p) + "\x00", strings.ToUpper(p) + "x"} {
			if other == p || len(other) > 1024 {
				continue
			}
			_, err := n.Verify(ctx, name, here, []byte(other))
			wantError(t, err, account.ErrRejected)
		}
	}
	for _, p := range []string{"", "1234567", "öäüöäüö", strings.Repeat("x", 1025)} {
		wantError(t, n.Create(ctx, event.By("root"), ann, []byte(p), ""), account.ErrPassword)
		_, err := n.Verify(ctx, admin, here, []byte(p))
		wantError(t, err, account.ErrRejected)
	}
}

func TestUnknownDisabledAndWrongAreOneAnswer(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	n.create(t, "Off")
	must(t, n.Disable(ctx, event.By("root"), user("off")))
	for who, password := range map[principal.Name]string{
		user("nobody"): "password of Ann", user("Off"): "password of Off", ann: "wrong password",
		{Domain: "CORP", User: "Ann"}: "password of Ann", principal.Extension("Ann"): "password of Ann",
		{}: "password of Ann",
	} {
		a, err := n.Verify(ctx, who, here, []byte(password))
		if !errors.Is(err, account.ErrRejected) || a != (account.Account{}) {
			t.Errorf("%s: %v, %v", who, a, err)
		}
	}
	must(t, n.Enable(ctx, event.By("root"), user("OFF")))
	a, err := n.Verify(ctx, user("oFF"), here, []byte("password of Off"))
	if err != nil || a.Name.User != "Off" || a.FullName != "Full Off" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestALoginIsHeldToTheAccountThatItVerified(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	for name, spoil := range map[string]func() error{
		"password": func() error {
			return n.Update(ctx, event.By("root"), ann, account.Update{Password: secret.New("password of Ann")}, "")
		},
		"disable": func() error { return n.Disable(ctx, event.By("root"), ann) },
		"remove":  func() error { return n.Remove(ctx, event.By("root"), ann) },
	} {
		if !n.Exists(ann) {
			n.create(t, "Ann")
		}
		must(t, n.Enable(ctx, event.By("root"), ann))
		a, err := n.Verify(ctx, ann, here, []byte("password of Ann"))
		must(t, err)
		_, err = n.mirror.Commit(ctx, a.Require())
		must(t, err)
		must(t, spoil())
		if _, err := n.mirror.Commit(ctx, a.Require()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: the login went through: %v", name, err)
		}
	}
}

func TestWhatTakesAccessEndsTheSessions(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	name := "A. N. N."
	must(t, n.Update(ctx, event.By("ann"), ann, account.Update{FullName: &name}, "k1"))
	if got := n.takeEnded(); got != "" {
		t.Errorf("a new full name ended %q", got)
	}
	must(t, n.Update(ctx, event.By("ann"), user("ANN"), account.Update{Password: secret.New("new password")}, "k1"))
	if got := n.takeEnded(); got != "Ann k1" {
		t.Errorf("a new password ended %q", got)
	}
	must(t, n.Disable(ctx, event.By("root"), ann))
	must(t, n.Disable(ctx, event.By("root"), ann))
	if got := n.takeEnded(); got != "Ann ,Ann " {
		t.Errorf("disabling ended %q", got)
	}
	must(t, n.Remove(ctx, event.By("root"), ann))
	if got := n.takeEnded(); got != "Ann " {
		t.Errorf("removal ended %q", got)
	}
	if got := n.records(t, "end:"); got != 0 {
		t.Errorf("%d duties are left", got)
	}
}

// The error is a conflict, as the change of a session can cause one. It must not make the change of the
// account run again.
func TestSessionsThatCouldNotBeEndedAreEndedLater(t *testing.T) {
	s := storetest.NewMemory(nil)
	n, ctx := newNode(t, s), t.Context()
	_, err := n.Bootstrap(ctx, first)
	must(t, err)
	n.create(t, "Ann")
	n.fail.Store(true)
	wantError(t, n.Remove(ctx, event.By("root"), ann), errEnd)
	if n.Exists(ann) {
		t.Error("the account is still there")
	}
	wantError(t, n.Resume(ctx), errEnd)
	again := newNode(t, s) // after a crash
	must(t, again.Resume(ctx))
	must(t, again.Resume(ctx))
	if got := again.takeEnded(); got != "ann " {
		t.Errorf("ended %q", got)
	}
}

func TestAUserIsCreatedOnce(t *testing.T) {
	s := storetest.NewMemory(nil)
	a, b := newNode(t, s), newNode(t, s)
	var made atomic.Int32
	var race sync.WaitGroup
	for i := range 10 {
		n, name := []*node{a, b}[i%2], []string{"Ann", "ANN", "ann"}[i%3]
		race.Go(func() {
			err := n.Create(t.Context(), event.By("root"), user(name), first, "")
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, account.ErrExists):
				t.Error(err)
			}
		})
	}
	race.Wait()
	if made.Load() != 1 {
		t.Errorf("created %d times", made.Load())
	}
}

func TestNamesOfUsersAreChecked(t *testing.T) {
	n, ctx := started(t), t.Context()
	for _, bad := range []principal.Name{
		user(""), user(" x"), user("x "), user("a@b"), user(`a\b`), user("a\nb"), user("a\x00"), user("\xff"),
		user(strings.Repeat("x", 129)), {Domain: "CORP", User: "x"}, {User: "x"},
	} {
		wantError(t, n.Create(ctx, event.By("root"), bad, first, ""), account.ErrName)
	}
	must(t, n.Create(ctx, event.By("root"), user(strings.Repeat("x", 128)), first, ""))
	for _, bad := range []string{"a\nb", "\xff", strings.Repeat("x", 513)} {
		wantError(t, n.Create(ctx, event.By("root"), ann, first, bad), account.ErrFullName)
		wantError(t, n.Update(ctx, event.By("root"), admin, account.Update{FullName: &bad}, ""), account.ErrFullName)
	}
	for _, err := range []error{
		n.Update(ctx, event.By("root"), ann, account.Update{Password: secret.New(string(first))}, ""),
		n.Update(ctx, event.By("root"), ann, account.Update{}, ""),
		n.Disable(ctx, event.By("root"), ann), n.Enable(ctx, event.By("root"), ann),
		n.Remove(ctx, event.By("root"), ann),
	} {
		wantError(t, err, account.ErrNotFound)
	}
	wantError(t, n.Update(ctx, event.By("root"), admin, account.Update{Password: secret.New("short")}, ""),
		account.ErrPassword)
}

func TestUsersAreSearchedByTheirNames(t *testing.T) {
	n := started(t)
	for _, name := range []string{"Zoe", "Ann", "Anna"} {
		n.create(t, name)
	}
	for _, c := range []struct {
		text  string
		exact bool
		want  string
	}{
		{"", false, "Administrator Ann Anna Zoe"}, {"", true, "Administrator Ann Anna Zoe"}, {"NN", false, "Ann Anna"},
		{"ann", true, "Ann"}, {"nn", true, ""}, {"Full", false, ""},
	} {
		var got []string
		for _, a := range n.Table().Search(c.text, c.exact) {
			got = append(got, a.Name.User)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q, %v: %q, want %q", c.text, c.exact, got, c.want)
		}
	}
}

func TestNoPasswordIsInARecordOrAnEventOrAnError(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	must(t, n.Update(ctx, event.By("x"), ann, account.Update{Password: secret.New("another password of")}, ""))
	_, wrong := n.Verify(ctx, ann, here, []byte("a wrong password of"))
	if strings.Contains(wrong.Error(), "password of") {
		t.Errorf("in an error: %v", wrong)
	}
	must(t, n.mirror.Sync(ctx))
	n.records(t, "")
}

func TestChangesPostEvents(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	must(t, n.Update(ctx, event.By("x"), ann, account.Update{Password: secret.New(string(first))}, ""))
	must(t, n.Disable(ctx, event.By("x"), ann))
	must(t, n.Remove(ctx, event.By("x"), ann))
	var got []string
	for _, r := range storetest.Appended(t, n.store, store.Event) {
		var e event.Event
		must(t, json.Unmarshal(r.Value, &e))
		got = append(got, strings.TrimPrefix(e.ID, "vigate.")+" "+strings.TrimPrefix(e.Subject, `VSPHERE.LOCAL\`))
	}
	const want = "permission.set Administrator,account.created Administrator,account.created Ann," +
		"account.password Ann,account.updated Ann,account.removed Ann"
	if strings.Join(got, ",") != want {
		t.Errorf("got %q", got)
	}
}

// records returns the number of stored records whose id has the prefix. It fails the test if one contains a
// password.
func (n *node) records(t *testing.T, prefix string) int {
	t.Helper()
	found := 0
	look := func(r store.Record) {
		if strings.HasPrefix(r.ID, prefix) {
			found++
		}
		if strings.Contains(string(r.Value), "password of") || strings.Contains(string(r.Value), string(first)) {
			t.Errorf("a password is in %s", r.Value)
		}
	}
	_ = n.store.Watch(t.Context(), func(b store.Batch) error {
		for _, d := range b.Deltas {
			look(d.Record)
		}
		if b.Whole {
			return errors.New("seen")
		}
		return nil
	})
	return found
}

// behind is a store whose stream stops until a caller asks for the newest revision.
type behind struct {
	store.Store
	asked chan struct{} // closed at that moment
	once  sync.Once
	down  atomic.Bool
}

func (b *behind) Newest(ctx context.Context) (store.Revision, error) {
	if b.down.Load() {
		return 0, store.ErrUnavailable
	}
	b.once.Do(func() { close(b.asked) })
	return b.Store.Newest(ctx)
}

func (b *behind) Watch(ctx context.Context, apply func(store.Batch) error) error {
	whole := false
	return b.Store.Watch(ctx, func(batch store.Batch) error {
		if whole {
			select {
			case <-b.asked:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		whole = whole || batch.Whole
		return apply(batch)
	})
}

func TestAPasswordThatAnotherNodeHasTakenIsRightOnANodeThatIsBehind(t *testing.T) {
	new, name := []byte("second password"), principal.Name{Domain: "VSPHERE.LOCAL", User: "user"}
	for what, change := range map[string]func(*testing.T, *node){
		"made": func(t *testing.T, n *node) { must(t, n.Create(t.Context(), event.By("test"), name, new, "")) },
		"changed": func(t *testing.T, n *node) {
			u := account.Update{Password: secret.New(string(new))}
			must(t, n.Update(t.Context(), event.By("test"), name, u, ""))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := storetest.NewMemory(nil)
			ahead := newNode(t, s)
			if what == "changed" {
				must(t, ahead.Create(t.Context(), event.By("test"), name, first, ""))
			}
			late := &behind{Store: s, asked: make(chan struct{})}
			n := newNode(t, late)
			change(t, ahead)
			late.down.Store(true)
			if _, err := n.Verify(t.Context(), name, here, new); !errors.Is(err, store.ErrUnavailable) ||
				errors.Is(err, account.ErrRejected) {
				t.Errorf("while nobody can tell: %v", err)
			}
			late.down.Store(false)
			a, err := n.Verify(t.Context(), name, here, new)
			if err != nil || a.Name != name {
				t.Errorf("the right password: %+v, %v", a, err)
			}
			if _, err := n.Verify(t.Context(), name, here, first); !errors.Is(err, account.ErrRejected) {
				t.Errorf("another: %v", err)
			}
		})
	}
}
