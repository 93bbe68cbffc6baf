package vim_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

// mapped has the faults for errors of the domain, if a row of the type of object returns them. The type
// is "" for errors of any object.
var mapped = []struct {
	object, name string
	err          error
	kind         string
}{
	{"SessionManager", "locale.ErrInvalid", locale.ErrInvalid, "InvalidLocale"},
	{"SessionManager", "login.ErrRejected", login.ErrRejected, "InvalidLogin"},
	{"SessionManager", "login.ErrLoggedIn", login.ErrLoggedIn, "InvalidLogin"},
	{"SessionManager", "login.ErrNotMine", login.ErrNotMine, "InvalidLogin"},
	{"SessionManager", "login.ErrNoAccess", login.ErrNoAccess, "NoPermission"},
	{"SessionManager", "login.ErrNoCertificate", login.ErrNoCertificate, "NoClientCertificate"},
	{"SessionManager", "login.ErrNoSubject", login.ErrNoSubject, "NoSubjectName"},
	{"SessionManager", "login.ErrBadCertificate", login.ErrBadCertificate, "InvalidClientCertificate"},
	{"SessionManager", "login.ErrBusy", login.ErrBusy, "Unavailable"},
	{"SessionManager", "local.ErrRemote", local.ErrRemote, "InvalidRequest"},
	{"SessionManager", "local.ErrCannotGive", local.ErrCannotGive, "NotSupported"},
	{"SessionManager", "login.Continue", &login.Continue{}, "SSPIChallenge"},
	{"SessionManager", "session.ErrBadTicket", session.ErrBadTicket, "InvalidLogin"},
	{"SessionManager", "session.ErrStale", session.ErrStale, "Unavailable"},
	{"SessionManager", "session.ErrNotAllowed", session.ErrNotAllowed, "InvalidLogin"},
	{"SessionManager", "session.LimitError", &session.LimitError{Limit: "user"}, "Unavailable"},
	{"SessionManager", "session.LimitError", &session.LimitError{Limit: "sessions"}, "Unavailable"},
	{"SessionManager", "session.LimitError", &session.LimitError{Limit: "tickets"}, "Unavailable"},
	{"SessionManager", "setting.InvalidError", &setting.InvalidError{Name: "x"}, "InvalidArgument"},

	{"AuthorizationManager", "access.ErrLastAdministrator", access.ErrLastAdministrator, "AuthMinimumAdminPermission"},
	{"AuthorizationManager", "access.ErrRole", access.ErrRole, "NotFound"},
	{"AuthorizationManager", "access.ErrSystemRole", access.ErrSystemRole, "InvalidArgument"},
	{"AuthorizationManager", "access.ErrRoleExists", access.ErrRoleExists, "AlreadyExists"},
	{"AuthorizationManager", "access.ErrRoleName", access.ErrRoleName, "InvalidName"},
	{"AuthorizationManager", "access.ErrRoleInUse", access.ErrRoleInUse, "RemoveFailed"},
	{"AuthorizationManager", "access.ErrPrivilege", access.ErrPrivilege, "InvalidArgument"},
	{"AuthorizationManager", "access.ErrTooMany", access.ErrTooMany, "LimitExceeded"},
	{"AuthorizationManager", "access.ErrPrincipal", access.ErrPrincipal, "UserNotFound"},
	{"AuthorizationManager", "access.ErrPermission", access.ErrPermission, "NotFound"},
	{"AuthorizationManager", "access.ErrDuplicate", access.ErrDuplicate, "InvalidArgument"},
	{"AuthorizationManager", "access.ErrEntity", access.ErrEntity, "InvalidArgument"},
	{"AuthorizationManager", "access.GrantError", &access.GrantError{Lacks: []access.Privilege{vim.View}},
		"NoPermission"},

	{"HostLocalAccountManager", "account.ErrNotFound", account.ErrNotFound, "UserNotFound"},
	{"HostLocalAccountManager", "account.ErrExists", account.ErrExists, "AlreadyExists"},
	{"HostLocalAccountManager", "account.ErrTooMany", account.ErrTooMany, "LimitExceeded"},
	{"HostLocalAccountManager", "account.ErrName", account.ErrName, "InvalidArgument"},
	{"HostLocalAccountManager", "account.ErrFullName", account.ErrFullName, "InvalidArgument"},
	{"HostLocalAccountManager", "account.ErrPassword", account.ErrPassword, "InvalidArgument"},
	{"HostLocalAccountManager", "account.ErrBusy", account.ErrBusy, "Unavailable"},
	{"HostLocalAccountManager", "access.ErrLastAdministrator", access.ErrLastAdministrator,
		"AuthMinimumAdminPermission"},
	{"HostLocalAccountManager", "access.ErrTooMany", access.ErrTooMany, "LimitExceeded"},

	{"ExtensionManager", "extension.ErrNotFound", extension.ErrNotFound, "NotFound"},
	{"ExtensionManager", "extension.ErrExists", extension.ErrExists, "InvalidArgument"},
	{"ExtensionManager", "extension.ErrTooMany", extension.ErrTooMany, "LimitExceeded"},
	{"ExtensionManager", "extension.ErrKey", extension.ErrKey, "InvalidArgument"},
	{"ExtensionManager", "extension.ErrData", extension.ErrData, "InvalidArgument"},
	{"ExtensionManager", "extension.ErrText", extension.ErrText, "InvalidArgument"},
	{"ExtensionManager", "extension.ErrSubjectName", extension.ErrSubjectName, "InvalidArgument"},
	{"ExtensionManager", "extension.ErrPrivilege", extension.ErrPrivilege, "InvalidArgument"},
	{"ExtensionManager", "extension.ErrBadCertificate", extension.ErrBadCertificate, "InvalidArgument"},
	{"ExtensionManager", "extension.ErrBadPublicKey", extension.ErrBadPublicKey, "InvalidArgument"},
	{"ExtensionManager", "access.ErrTooMany", access.ErrTooMany, "LimitExceeded"},

	{"OptionManager", "setting.UnknownError", &setting.UnknownError{Name: "x"}, "InvalidName"},
	{"OptionManager", "setting.InvalidError", &setting.InvalidError{Name: "x"}, "InvalidArgument"},

	{"", "session.ErrNoSession", session.ErrNoSession, "NotAuthenticated"},
	{"", "budget.ErrBusy", budget.ErrBusy, "Unavailable"},
	{"", "budget.ExceededError", &budget.ExceededError{Kind: budget.Memory, Max: 1}, "LimitExceeded"},
	{"", "store.ErrUnavailable", store.ErrUnavailable, "Unavailable"},
	{"", "store.ErrUncertain", store.ErrUncertain, "Unavailable"},
	{"", "store.ErrClosed", store.ErrClosed, "Unavailable"},
	{"", "store.ErrConflict", store.ErrConflict, "Unavailable"},
	{"", "context.Canceled", context.Canceled, "RequestCanceled"},
	{"", "context.DeadlineExceeded", context.DeadlineExceeded, "RequestCanceled"},
	{"", "a bug", errors.New("a bug"), "SystemError"},
}

// unmapped has the errors of the domain that no row returns unchanged, and the reason.
var unmapped = map[string]string{
	"access.ErrNotFounded":            "a server that serves has had an administrator set up",
	"account.ErrRejected":             "package login says login.ErrRejected",
	"account.ErrUnconfirmed":          "package login says login.ErrUnconfirmed",
	"extension.ErrNoCertificate":      "package login says login.ErrNoCertificate",
	"extension.ErrInvalidCertificate": "package login says login.ErrBadCertificate",
	"extension.ErrNoSubjectName":      "package login says login.ErrNoSubject",
	"extension.ErrRejected":           "package login says login.ErrRejected",
	"event.ErrMaxCount":               "package history says which member of which filter it is",
	"event.ErrRecursion":              "package history says which member of which filter it is",
	"login.ErrRepeated":               "the gate answers login.ErrRejected",
	"login.ErrUnconfirmed":            "the store's error, with which it is wrapped, is told",
	"principal.ErrInvalid":            "each row says what an unreadable name is to it",
	"principal.NameError":             "the managers of those who are named wrap it in errors of their own",
	"record.ErrVersion":               "a record that can't be read is damage",
	"record.ErrSize":                  "the managers say access.ErrTooMany, or bound what they write",
	"session.ErrTooManyTickets":       "it is a session.LimitError",
	"store.ErrNotFound":               "the managers say what is not there",
	"store.ConflictError":             "it is store.ErrConflict",
	"store.DamagedError":              "a record that can't be read is damage",
	"store.CommittedError":            "it is wrapped with what kept the commit from being shown",
}

func TestErrorsOfTheDomainAreFaultsWithATextInEveryLanguage(t *testing.T) {
	f := newFixture(t)
	for _, c := range mapped {
		objects := f.Objects()
		if c.object != "" {
			objects = []*vim.Object{f.Object(c.object)}
		}
		for _, o := range objects {
			fault := o.FaultOf(nil, fmt.Errorf("do something: %w", c.err))
			_, leg := c.err.(*login.Continue)
			if fault.Kind() != c.kind || !leg && !errors.Is(fault, c.err) ||
				(fault.Detail == nil) != (fault.RetryAfter > 0) {
				t.Errorf("%s, %v: %v, want %s", o.Type, c.err, fault, c.kind)
			}
			for _, in := range locale.Messages() {
				// If a key has no text, Text returns the key.
				if s := fault.Text(in); s == "" || !strings.Contains(s, " ") && in == "en" ||
					strings.HasPrefix(s, "fault.") {
					t.Errorf("%s has no text in %s: %q", fault.Kind(), in, s)
				}
			}
		}
	}
}

// Some faults have a text that says more than their type.
func TestTextsOfFaultsSayWhatIsWrong(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		object string
		err    error
		want   string
	}{
		{"HostLocalAccountManager", account.ErrPassword,
			"user.password: it must have at least 8 characters and at most 1024 bytes"},
		{"SessionManager", login.ErrLoggedIn, "the request has a live session"},
		{"SessionManager", local.ErrCannotGive, "CAP_CHOWN"},
		{"SessionManager", &session.LimitError{Limit: "tickets", Live: 8, Max: 8},
			"too many unused tickets: 8 of at most 8"},
	} {
		text := f.Object(c.object).FaultOf(nil, fmt.Errorf("do something: %w", c.err)).Text("en")
		if !strings.Contains(text, c.want) {
			t.Errorf("%v: %s", c.err, text)
		}
	}
}

// The errors are read from the source of the packages.
func TestEveryErrorOfTheDomainIsMapped(t *testing.T) {
	known := map[string]bool{}
	for _, c := range mapped {
		known[c.name] = true
	}
	found := map[string]bool{}
	for _, pkg := range []string{
		"access", "account", "budget", "event", "eviction", "extension", "locale", "login", "login/local", "principal",
		"record", "session", "setting", "store",
	} {
		for _, name := range errorsOf(t, filepath.Join("..", pkg)) {
			name = path.Base(pkg) + "." + name
			found[name] = true
			if known[name] == (unmapped[name] != "") {
				t.Errorf("%s: map it in one of the tables of rows, or say here why no row returns it", name)
			}
		}
	}
	for name := range unmapped {
		if !found[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

// errorsOf returns the exported errors of the package in the directory: variables that begin with Err,
// and types with a method Error.
func errorsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	var names []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Err") {
						names = append(names, v.Names[0].Name)
					}
				}
			case *ast.FuncDecl:
				if d.Recv == nil || d.Name.Name != "Error" {
					continue
				}
				typ := d.Recv.List[0].Type
				if star, ok := typ.(*ast.StarExpr); ok {
					typ = star.X
				}
				if name := typ.(*ast.Ident).Name; ast.IsExported(name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// If an error is mapped to an argument, a method of the object must have this argument.
func TestArgumentsThatFaultsNameAreThoseOfAMethod(t *testing.T) {
	f := newFixture(t)
	for _, c := range mapped {
		if c.kind != "InvalidArgument" || strings.HasPrefix(c.name, "setting.") { // these are names of options
			continue
		}
		o := f.Object(c.object)
		argument := argumentOf(o.FaultOf(nil, c.err))
		if !slices.ContainsFunc(o.Methods,
			func(m vim.Method) bool { return hasMember(m.Args, strings.Split(argument, ".")) }) {
			t.Errorf("%s: no method of %s has the argument %s", c.name, o.Type, argument)
		}
	}
}

// argumentOf returns the argument that the fault names.
func argumentOf(f *vim.Fault) string {
	if d, ok := f.Detail.(*types.InvalidArgument); ok {
		return d.InvalidProperty
	}
	return f.Kind()
}

// hasMember reports whether the type has a member at the path.
func hasMember(typ reflect.Type, path []string) bool {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if len(path) == 0 || typ.Kind() == reflect.Interface { // it can hold any type with further members
		return true
	}
	if typ.Kind() != reflect.Struct {
		return false
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == path[0] && hasMember(f.Type, path[1:]) || f.Anonymous && hasMember(f.Type, path) {
			return true
		}
	}
	return false
}

// The same error may be about different arguments of two methods.
func TestAMethodsErrorsOverrideThoseOfItsObject(t *testing.T) {
	o := &vim.Object{Type: "X", Errors: []vim.Mapping{
		vim.Map(account.ErrName, vim.Argument("user.id", "x")),
		vim.Map(account.ErrPassword, vim.Argument("user.password", "x")),
	}}
	m := &vim.Method{Errors: []vim.Mapping{vim.Map(account.ErrName, vim.Argument("name", "x"))}}
	for _, c := range []struct {
		of   *vim.Method
		err  error
		want string
	}{
		{nil, account.ErrName, "user.id"}, {m, account.ErrName, "name"}, {m, account.ErrPassword, "user.password"},
	} {
		if got := argumentOf(o.FaultOf(c.of, fmt.Errorf("do it: %w", c.err))); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
	for _, err := range []error{store.ErrUnavailable, context.Canceled} {
		if f := o.FaultOf(m, fmt.Errorf("%w: %w", account.ErrName, err)); vim.IsFault[*types.InvalidArgument](f) {
			t.Errorf("%v: %v", err, f)
		}
	}
}
