package vim

import (
	"context"
	"fmt"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/store"
)

// guard makes every commit of a call depend on what allowed the call: its session lives, and its
// authority has not changed. Both are conditions of the commit itself. So a call changes nothing if
// its session ends or its authority is taken away while the call runs, on this node or another.
type guard struct {
	api  *API
	call *Call
	row  *Method // nil for a property
	// checks are conditions besides the row's privilege; see API.Judge.
	checks []func() error
	// judged is set when the operation has called Judge or Grantor for its change of authority.
	judged bool
	// used is set when the call has tried to commit something.
	used bool
}

// hold returns a context whose commits depend on the call's authority.
func (a *API) hold(ctx context.Context, c *Call, row *Method) context.Context {
	c.guard = guard{api: a, call: c, row: row}
	c.guarded = store.GuardedContext{Context: ctx, Guard: &c.guard}
	return &c.guarded
}

// Conditions implements store.Guard.
func (g *guard) Conditions(changes []store.Change) ([]store.Change, error) {
	g.used = true
	if err := g.mayChange(changes); err != nil {
		return nil, err
	}
	c := g.call
	privilege := Anonymous
	if g.row != nil && !g.row.OwnSession {
		privilege = g.row.Privilege
	}
	conditions, ok := g.api.sessions.Standing(c.Session, c.standing)
	if !ok {
		return nil, NotAuthenticated(c.Object, privilege)
	}
	// The condition is made before the checks. If the authority changes in between, a check may see
	// the newer state, and the commit fails; but no check can see an older state than the condition.
	unchanged, known := g.api.access.Require()
	if fault := g.api.authorise(c.guarded.Context, c, privilege, g.row != nil && g.row.OwnSession); fault != nil {
		return nil, fault
	}
	for _, check := range g.checks {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if known && privilege != Anonymous {
		conditions = append(conditions, unchanged)
	}
	return conditions, nil
}

// mayChange refuses changes of authority by an operation that is not declared to make them, or that
// has not called Judge or Grantor. Such an operation has a bug.
func (g *guard) mayChange(changes []store.Change) error {
	for _, c := range changes {
		switch k := c.Record.Kind; {
		case c.Op == store.OpCheck:
		case k != store.Permission && k != store.Account && k != store.Extension:
		case g.row == nil || g.row.Authority == "" || !g.judged:
			return fmt.Errorf("%s.%s changes authority without a rule", g.call.Object.Type, g.call.Name)
		}
	}
	return nil
}

// Judge calls check, which decides whether the caller may make its change of authority. check is
// called now, and again at each commit of the call, which fails with check's error. check must use
// the newest state.
func (a *API) Judge(c *Call, check func() error) error {
	c.guard.judged = true
	c.guard.checks = append(c.guard.checks, check)
	if err := check(); err != nil {
		return err
	}
	if c.strayed() {
		return NotAuthenticated(c.Object, View)
	}
	return nil
}

// Authority returns all privileges of the caller, which must have a session.
func (a *API) Authority(c *Call) access.Set { return a.access.Authority(login.SubjectOf(c.Session)) }

// Grantor returns the caller, for changes of roles and permissions. Package access judges these
// changes itself.
func (a *API) Grantor(c *Call) access.Grantor {
	c.guard.judged = true
	return access.Grantor{By: c.Session.Actor(), Who: login.SubjectOf(c.Session)}
}
