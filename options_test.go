package vigate_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/announce"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/control"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/inventory"
	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/samltoken"
	"github.com/vigate/vigate/internal/metrics"
	"github.com/vigate/vigate/internal/named"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/roster"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/internal/store/etcd/members"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/store/transfer"
	"github.com/vigate/vigate/internal/sts"
	"github.com/vigate/vigate/internal/sts/lookup"
	"github.com/vigate/vigate/internal/sts/signing"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/manager"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/wire"
	"github.com/vigate/vigate/internal/vim"
)

// constructors has every exported function of internal/ with a parameter that is a struct of options of
// its own package. Each entry calls the function with the options that are required and no others, and
// uses the result in a way that needs the defaults.
var constructors = map[string]func(*testing.T){
	"internal/access.NewManager": func(t *testing.T) {
		w := newWorld(t)
		access.NewManager(access.Options{
			Mirror: w.Mirror, Table: w.Access.Table(), Events: w.Events,
			Exists:  func(principal.Name, bool) bool { return true },
			Enabled: func(principal.Name) bool { return true },
		})
	},
	"internal/account.NewManager": func(t *testing.T) {
		w := newWorld(t)
		m, err := account.NewManager(account.Options{
			Mirror: w.Mirror, Table: account.NewTable("", nil), Roster: &roster.Roster{Mirror: w.Mirror},
			Events: w.Events, Authority: w.Access, End: w.Sessions.Evict,
		})
		check(t, err)
		_, err = m.Verify(t.Context(), principal.Name{}, account.Caller{}, []byte("password"))
		refused(t, err)
	},
	"internal/cluster.New": func(t *testing.T) {
		c, err := cluster.New(cluster.Options{})
		check(t, err)
		m := store.NewMirror(storetest.NewMemory(nil), c.View())
		c.Attach(m)
		storetest.Follow(t, m)
		check(t, c.Report(t.Context()))
	},
	"internal/console.New": newConsole,
	"internal/control.Listen": func(t *testing.T) {
		s, err := control.Listen(t.TempDir(), control.Options{Backup: func(io.Writer) error { return nil }})
		check(t, err)
		check(t, s.Close())
	},
	"internal/domain.New": func(t *testing.T) { newWorld(t) },
	"internal/event.NewLog": func(t *testing.T) {
		l := event.NewLog(event.Options{})
		if l.Change(event.Event{Type: "x"}).Record.Kind != store.Event {
			t.Error("no event")
		}
	},
	"internal/extension.NewManager": func(t *testing.T) {
		w := newWorld(t)
		m := extension.NewManager(extension.Options{
			Mirror: w.Mirror, Table: extension.NewTable(nil, nil), Roster: &roster.Roster{Mirror: w.Mirror},
			Events: w.Events, Authority: w.Access, End: w.Sessions.Evict,
		})
		r := extension.Registration{Key: "com.example", Data: []byte("{}")}
		check(t, m.Register(t.Context(), event.By("test"), r))
	},
	"internal/filewatch.New": func(*testing.T) {
		filewatch.New(filewatch.Options{Reload: func() error { return nil }}).Check()
	},
	"internal/gateway.New": func(t *testing.T) {
		w := newWorld(t)
		a, bodies, local := vim.New(w, vim.Options{}), binding.NewBodies(0), http.NewServeMux()
		soap.Mount(local, a, bodies, soap.Options{Version: "8.0.3.0"})
		u, err := upstream.Open(upstream.Config{URL: "http://127.0.0.1:1/sdk"}, upstream.Options{})
		check(t, err)
		f := gateway.New(gateway.Options{
			API: a, Upstream: u, Local: local, Fault: soap.Faults(a), Bodies: bodies,
			Choose: func(*session.Live) (*upstream.Account, error) { return nil, errors.New("nobody has one") },
		})
		t.Cleanup(a.Drain)
		r := httptest.NewRecorder()
		f.ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/sdk", strings.NewReader("no envelope")))
		if r.Code != http.StatusInternalServerError {
			t.Errorf("status %d", r.Code)
		}
	},
	"internal/upstream.Open": func(t *testing.T) {
		u, err := upstream.Open(upstream.Config{URL: "http://127.0.0.1:1/sdk"}, upstream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Content(t.Context()); !errors.Is(err, upstream.ErrUnreachable) {
			t.Error(err)
		}
		if _, err := u.BeginWait(t.Context()); !errors.Is(err, upstream.ErrFull) {
			t.Error(err)
		}
	},
	"internal/upstream/manager.Serve": func(t *testing.T) {
		d, err := domain.New(domain.Options{Base: setting.Defaults()})
		if err != nil {
			t.Fatal(err)
		}
		o := manager.Options{Upstreams: func() []*upstream.Upstream { return nil }}
		if err := manager.Serve(vim.New(d, vim.Options{}), o); err != nil {
			t.Error(err)
		}
	},
	"internal/upstream/note.New": func(t *testing.T) {
		b := note.New(note.Options{})
		if _, err := b.Begin(t.Context(), "lab", "ann", func() error { return nil }); err != nil {
			t.Error(err)
		}
	},
	"internal/upstream/wire.Open": func(t *testing.T) {
		s, err := wire.Open(&url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/sdk"}, wire.Trust{},
			wire.ServerOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Refresh(); !errors.Is(s.Ready(), wire.ErrUnreachable) {
			t.Error(s.Ready())
		}
	},
	"internal/identity.Open": func(t *testing.T) {
		s, err := identity.Open(identity.Config{}, nil, nil)
		check(t, err)
		s.Close()
	},
	"internal/identity.Try": func(t *testing.T) {
		if found := identity.Try(t.Context(), identity.Config{}, nil); len(found) != 0 {
			t.Errorf("found %v", found)
		}
	},
	"internal/announce.New": func(t *testing.T) {
		a, err := announce.New(announce.Options{})
		check(t, err)
		check(t, a.Serving(announce.State{}, ""))
		a.Stopping("")
	},
	"internal/front.New": newFront,
	"internal/login.NewGate": func(t *testing.T) {
		w := newWorld(t)
		g := w.NewGate(login.GateOptions{})
		_, _, err := g.Login(t.Context(), login.Attempt{Credential: login.Password{}}, nil)
		refused(t, err)
		_, err = g.Prove(t.Context(), login.Attempt{Credential: login.CloneTicket{}})
		refused(t, err)
	},
	"internal/login/passthrough.New": newPassthrough,
	"internal/login/samltoken.New": func(t *testing.T) {
		m, err := samltoken.New(samltoken.Options{Spent: &login.Spent{}})
		check(t, err)
		_, err = m.Authenticate(t.Context(), login.Attempt{Credential: login.Assertion{
			Authorization: secret.New("SIGN token=x"),
		}})
		if !errors.Is(err, login.ErrRejected) {
			t.Error(err)
		}
	},
	"internal/metrics.New": func(*testing.T) { metrics.New(metrics.Options{}).Started("password") },
	"internal/lab.Start": func(t *testing.T) {
		s, err := lab.Start(t.Context(), lab.Options{AdminPassword: secret.New("a long password")})
		check(t, err)
		check(t, s.Close())
	},
	"internal/named.New": func(t *testing.T) {
		r := named.New[string](named.Options{Kind: "user", Same: errors.New("the same")})
		r.Put(named.Entry[string]{ID: "ann", Name: principal.Extension("ann")})
		check(t, r.Damaged())
	},
	"internal/serve.Open": func(t *testing.T) {
		cfg := config.Default()
		cfg.Data = t.TempDir()
		n, err := serve.Open(t.Context(), cfg, serve.Options{})
		check(t, err)
		check(t, n.Close())
	},
	"internal/serve/storage.OpenEmbedded": func(t *testing.T) {
		s, err := storage.OpenEmbedded(t.Context(), config.Config{Data: t.TempDir()}, storage.Options{})
		check(t, err)
		check(t, s.Close())
	},
	"internal/serve.Run": func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := config.Default()
		cfg.Dev, cfg.Listen = true, "127.0.0.1:0"
		check(t, serve.Run(ctx, cfg, serve.Terminal{
			Out: afterWrite(cancel), Err: io.Discard, Getenv: func(string) string { return "" },
			IsTerminal: func(io.Writer) bool { return false },
		}, serve.Options{}))
	},
	"internal/server.Open": func(t *testing.T) {
		_, err := server.Open(t.Context(), server.Config{})
		refused(t, err)
	},
	"internal/server.OpenCertificate": func(t *testing.T) {
		dir, err := os.OpenRoot(t.TempDir())
		check(t, err)
		defer func() { _ = dir.Close() }()
		_, err = server.OpenCertificate(server.CertificateConfig{Dir: dir})
		check(t, err)
	},
	"internal/sts.New": func(t *testing.T) {
		w := newWorld(t)
		keys := signing.New(signing.Options{})
		sts.New(sts.Options{
			Keys: keys, Instance: w.Settings.Instance, Accounts: w.Accounts.Table(), Extensions: w.Extensions.Table(),
			Access: w.Access.Table(), Directory: w.Directory, Sync: w.Mirror.Sync,
		}).Issuers("x")
	},
	"internal/sts/lookup.Mount": func(*testing.T) {
		mux := http.NewServeMux()
		lookup.Mount(mux, lookup.Options{
			Instance: func() string { return "x" }, Certificate: func() []byte { return nil }, Domain: "X",
			Tokens: "/x",
			API:    "/y",
		}, binding.NewBodies(0))
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, lookup.Path, strings.NewReader("x")))
	},
	"internal/sts/signing.New": func(t *testing.T) {
		k := signing.New(signing.Options{})
		m := store.NewMirror(storetest.NewMemory(nil), k.View())
		k.Attach(m)
		storetest.Follow(t, m)
		check(t, k.Ensure(t.Context()))
	},
	"internal/session.NewManager": func(t *testing.T) {
		w := newWorld(t)
		m := session.NewManager(session.Options{
			Mirror: w.Mirror, Table: session.NewTable(nil), Events: w.Events,
			Policy:     func() session.Policy { return session.Policy{MaxSessions: 1, MaxPerPrincipal: 1} },
			Thumbprint: func() string { return "00" },
		})
		_, err := m.CloneGrant(t.Context(), secret.Text{})
		refused(t, err)
	},
	"internal/setting.New": func(t *testing.T) {
		s, err := setting.New(setting.Config{Base: setting.Defaults(), Events: event.NewLog(event.Options{})})
		check(t, err)
		m := store.NewMirror(storetest.NewMemory(nil), s.View())
		s.Attach(m)
		storetest.Follow(t, m)
		_, err = s.EnsureInstance(t.Context())
		check(t, err)
	},
	"internal/store/bolt.Open": func(t *testing.T) {
		s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
		check(t, err)
		check(t, s.Close())
	},
	"internal/store/etcd.Open": func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := etcd.Open(ctx, etcd.Options{Endpoints: []string{"127.0.0.1:1"}})
		refused(t, err)
	},
	"internal/store/etcd/members.New": func(t *testing.T) {
		m, err := members.New(members.Config{Endpoints: []string{"127.0.0.1:1"}})
		check(t, err)
		m.Close()
	},
	"internal/store/transfer.Copy": func(t *testing.T) {
		from, to := storetest.NewMemory(nil), storetest.NewMemory(nil)
		_, err := transfer.Copy(t.Context(), from, to, transfer.Options{})
		check(t, err)
	},
	"internal/vim.New": func(t *testing.T) {
		a := vim.New(newWorld(t), vim.Options{})
		if _, fault := a.Do(t.Context(), &vim.Call{Name: "noSuchMethod"}); !vim.IsFault[*types.InvalidType](fault) {
			t.Error(fault)
		}
	},
	"internal/admin.Serve": func(t *testing.T) {
		w := newWorld(t)
		a, g := vim.New(w, vim.Options{}), w.NewGate(login.GateOptions{})
		check(t, admin.Serve(a, w, admin.Options{Locked: g.Locked, Unlock: g.Unlock}))
	},
	"internal/inventory.Serve": func(t *testing.T) {
		w := newWorld(t)
		a := vim.New(w, vim.Options{})
		check(t, inventory.Serve(a, w, inventory.Options{}))
		call := &vim.Call{Object: a.Object("ServiceInstance").Ref(), Name: "content", Read: true}
		if _, fault := a.Do(t.Context(), call); fault != nil {
			t.Error(fault)
		}
	},
	"internal/sessionmanager.Serve": func(t *testing.T) {
		w := newWorld(t)
		a := vim.New(w, vim.Options{})
		check(t, sessionmanager.Serve(a, w, sessionmanager.Options{
			Gate: w.NewGate(login.GateOptions{}), HostName: "vigate.test",
			SHA1: func() string { return "00" }, SHA256: func() string { return "00" },
		}))
		_, fault := a.Do(t.Context(), &vim.Call{
			Object: a.Object("SessionManager").Ref(), Name: "AcquireLocalTicket",
			Args: &types.AcquireLocalTicketRequestType{UserName: "operator"},
		})
		if !vim.IsFault[*types.NotSupported](fault) {
			t.Error(fault)
		}
	},
	"internal/soap.Mount": func(t *testing.T) {
		mux := http.NewServeMux()
		a := vim.New(newWorld(t), vim.Options{})
		soap.Mount(mux, a, binding.NewBodies(0), soap.Options{Version: "8.0.3.0"})
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/sdk", strings.NewReader("no envelope")))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("status %d", w.Code)
		}
	},
}

// newWorld returns a domain with the options that are required, over a store in memory.
func newWorld(t *testing.T) *domain.Domain {
	t.Helper()
	d, err := domain.New(domain.Options{
		Store: storetest.NewMemory(nil), Base: setting.Defaults(), Thumbprint: func() string { return "00" },
	})
	check(t, err)
	storetest.Follow(t, d.Mirror)
	return d
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
}

func TestNothingPanicsForWantOfOptionsThatAreNotRequired(t *testing.T) {
	for name, use := range constructors {
		t.Run(name, use)
	}
}

// optionTypes returns the exported structs of options of the packages in internal/, by package and name.
func optionTypes(t *testing.T) map[string]map[string]*ast.GenDecl {
	t.Helper()
	types := map[string]map[string]*ast.GenDecl{}
	for _, s := range sources(t, false) {
		if !strings.HasPrefix(s.dir, "internal/") || s.dir == "internal/config" || support(s.dir) {
			continue
		}
		for g, ts := range s.types() {
			if !ts.Name.IsExported() || !optionName.MatchString(ts.Name.Name) {
				continue
			}
			if _, ok := ts.Type.(*ast.StructType); ok {
				if types[s.dir] == nil {
					types[s.dir] = map[string]*ast.GenDecl{}
				}
				types[s.dir][ts.Name.Name] = g
			}
		}
	}
	return types
}

var optionName = regexp.MustCompile(`(Options|Config)$`)

func TestEveryConstructorWithOptionsIsCalledWithThoseRequired(t *testing.T) {
	types, found := optionTypes(t), map[string]bool{}
	for _, s := range sources(t, false) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() {
				continue
			}
			for _, p := range f.Type.Params.List {
				if id, ok := p.Type.(*ast.Ident); ok && types[s.dir][id.Name] != nil {
					found[s.dir+"."+f.Name.Name] = true
				}
			}
		}
	}
	if len(found) < 10 {
		t.Fatalf("found only %d constructors", len(found))
	}
	for name := range found {
		if constructors[name] == nil {
			t.Errorf("%s takes options: add a call with the required ones to the table constructors", name)
		}
	}
	for name := range constructors {
		if !found[name] {
			t.Errorf("the table constructors has %s, which takes no options", name)
		}
	}
}

// A function, a logger or a source of random bytes that is not given would be called all the same.
func TestOptionsThatMayBeNilSaySo(t *testing.T) {
	ofAll := regexp.MustCompile(`(?i)all (fields|members|of them)?.*(are|is) (needed|required|optional)|zero value`)
	ofOne := regexp.MustCompile(`(?i)\bnil\b|if set|optional|may be unset`)
	required := regexp.MustCompile(`[^.]*\b(needed|required)\b`)
	for dir, named := range optionTypes(t) {
		for name, g := range named {
			spec := g.Specs[0].(*ast.TypeSpec)
			doc := g.Doc.Text()
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				if !mayBeCalled(f.Type) {
					continue
				}
				for _, field := range f.Names {
					need := regexp.MustCompile(`\b` + field.Name + `\b`)
					said := ofAll.MatchString(doc) || ofOne.MatchString(f.Doc.Text()+f.Comment.Text()) ||
						slices.ContainsFunc(required.FindAllString(doc, -1), need.MatchString)
					if field.IsExported() && !said {
						t.Errorf("%s.%s.%s: say that it is required, or what nil means", dir, name, field.Name)
					}
				}
			}
		}
	}
}

// afterWrite is called after each write. The server writes once it listens.
type afterWrite func()

func (f afterWrite) Write(b []byte) (int, error) { f(); return len(b), nil }

// mayBeCalled reports whether the type is a function, a logger or an io.Reader.
func mayBeCalled(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncType:
		return true
	case *ast.SelectorExpr:
		return fmt.Sprint(e.X, ".", e.Sel) == "io.Reader"
	}
	return isLogger(e)
}
