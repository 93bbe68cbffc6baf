package matrix

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// find returns the row of the same name in the world's own table.
func (w *world) find(r row) row {
	w.t.Helper()
	all := rowsOf(w.API)
	i := slices.IndexFunc(all, func(o row) bool { return o.String() == r.String() })
	if i < 0 {
		w.t.Fatalf("there is no row %s", r)
	}
	return all[i]
}

// own lists the rows that every live session may use, whatever its authority.
var own = map[string]string{
	"SessionManager.Logout": "a session may end itself",
}

// needsSession reports whether the row can't be used without a session.
func (r row) needsSession() bool { return r.privilege != string(vim.Anonymous) }

// outcome is the result of a call.
type outcome struct {
	value any
	fault *vim.Fault
}

func (o outcome) String() string {
	if o.fault == nil {
		return fmt.Sprintf("the result %.100s", fmt.Sprint(o.value))
	}
	if n := o.noPermission(); n != nil {
		return fmt.Sprintf("%s for want of %s", o.fault.Kind(), n.PrivilegeId)
	}
	return fmt.Sprintf("the fault %v", o.fault)
}

// noPermission returns the refusal of the call, or nil if the call was not refused.
func (o outcome) noPermission() *types.NoPermission {
	if o.fault == nil {
		return nil
	}
	switch d := o.fault.Detail.(type) {
	case *types.NotAuthenticated:
		return &d.NoPermission
	case *types.NoPermission:
		return d
	}
	return nil
}

// refusedFor reports whether the call was refused in the way in which the row refuses the caller.
func (o outcome) refusedFor(r row, c *caller, on reference) bool {
	n := o.noPermission()
	return n != nil && o.value == nil && o.fault.Kind() == c.refusal() && n.PrivilegeId == r.privilege &&
		n.Object != nil && *n.Object == on
}

// call calls the row on the server.
func (w *world) call(c *caller, r row, on reference, args any) outcome {
	w.t.Helper()
	return w.do(c.token, on, r.name, args)
}

// do makes any call. If args is nil, it reads a property.
func (w *world) do(token string, on reference, name string, args any) outcome {
	w.t.Helper()
	from := w.Peer
	from.Certificates = w.acme
	ctx, stop := context.WithTimeout(w.t.Context(), 10*time.Minute) // for calls that should not wait
	defer stop()
	result, fault := w.API.Do(ctx, &vim.Call{
		Object: on, Name: name, Args: args, Read: args == nil, Token: secret.New(token), Peer: &from,
		Release: vim.FirstRelease,
		Binding: "matrix", HTTP: vim.HTTPRequest{Method: "POST", Target: "/sdk"},
	})
	if ctx.Err() != nil {
		w.t.Errorf("%s.%s waits for ever", on.Type, name)
	}
	if v := reflect.ValueOf(result.Value); v.Kind() == reflect.Pointer && !v.IsNil() {
		result.Value = v.Elem().Interface()
	}
	return outcome{result.Value, fault}
}

// TestEveryRowIsRefusedToWhoMayNotUseIt is the matrix: it calls each row of the API as each kind of
// caller. A refusal names the row's privilege, whatever the arguments are, and the call changes
// nothing.
func TestEveryRowIsRefusedToWhoMayNotUseIt(t *testing.T) {
	for _, r := range rows(t) {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := w.find(r)
			all := w.callers(r)
			for _, c := range all {
				if !c.may(r) {
					w.mustRefuse(c, r)
				}
			}
			done := false
			for _, c := range all {
				if c.may(r) {
					done = w.mustAllow(c, r) || done
				}
			}
			if why := never[r.String()]; done == (why != "") {
				t.Errorf("%s: a caller succeeded: %v; in the table never: %q. The arguments of calls are in the "+
					"table requests.",
					r, done, why)
			}
		})
	}
}

// mustRefuse checks that the row is refused to the caller, with valid arguments and without any, on
// each object that the caller can use.
func (w *world) mustRefuse(c *caller, r row) {
	w.t.Helper()
	for _, on := range c.objectsOf(r) {
		for _, args := range []any{w.request(c, r), r.empty()} {
			before := w.store.newest(w.t)
			if got := w.call(c, r, on, args); !got.refusedFor(r, c, on) {
				w.t.Errorf("%s as %s: got %s, want %s for lack of %s", r, c, got, c.refusal(), r.privilege)
				return
			}
			if w.store.newest(w.t) != before {
				w.t.Errorf("%s as %s: it was refused, and wrote to the store", r, c)
			}
		}
	}
}

// mustAllow checks that the row is not refused to the caller. It reports whether the call
// succeeded.
func (w *world) mustAllow(c *caller, r row) bool {
	w.t.Helper()
	done := false
	for _, on := range c.objectsOf(r) {
		got := w.call(c, r, on, w.request(c, r))
		n := got.noPermission()
		switch {
		case !c.live && on.Value != r.object.ID:
			if !got.refusedFor(r, c, on) {
				w.t.Errorf("%s as %s, on an object of a session: got %s", r, c, got)
			}
		case got.fault == nil:
			done = true
		case got.fault.Kind() == "SystemError" || got.fault.Kind() == "Unavailable":
			w.t.Errorf("%s as %s: got %s", r, c, got)
		case n != nil && (n.PrivilegeId == r.privilege || further[r.String()] == ""):
			w.t.Errorf("%s as %s, which has %s: got %s", r, c, r.privilege, got)
		case n != nil && c.has(n.PrivilegeId):
			w.t.Errorf("%s as %s: got %s, although it has the privilege", r, c, got)
		}
	}
	return done
}

// named returns the row with the name.
func (w *world) named(name string) row {
	w.t.Helper()
	typ, name, _ := strings.Cut(name, ".")
	o := w.API.Object(typ)
	if o == nil {
		w.t.Fatalf("there is no type %s", typ)
	}
	return w.find(row{object: o, name: name})
}
