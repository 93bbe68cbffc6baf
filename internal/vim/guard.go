package vim

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/store"
)

// guard holds every commit that a call makes to what allowed the call: its
// session lives, and its authority is what it was judged by. Both are conditions
// of the commit itself, so that a call which is in flight while its session ends
// or its authority is taken away, on this node or another, changes nothing.
type guard struct {
	api  *API
	call *Call
	row  *Method // nil: a property
	// checks judge more than the row's privilege; see API.Judge.
	checks []func() error
	// judged: the operation has had its change of authority judged.
	judged bool
	// used: the call has tried to commit something.
	used bool
}

// hold returns a context whose commits are held to the call's authority.
func (a *API) hold(ctx context.Context, c *Call, row *Method) context.Context {
	c.guard = guard{api: a, call: c, row: row}
	c.guarded = store.GuardedContext{Context: ctx, Guard: &c.guard}
	return &c.guarded
}

// Conditions is part of store.Guard.
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
	conditions, ok := g.api.Sessions.Standing(c.Session, c.standing)
	if !ok {
		return nil, NotAuthenticated(c.Object, privilege)
	}
	// Before the questions: an answer that is newer than the condition makes the
	// commit fail, one that is older can't be given.
	unchanged, known := g.api.Access.Require()
	if fault := g.api.authorise(c, privilege, g.row != nil && g.row.OwnSession); fault != nil {
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

// mayChange refuses changes of authority by an operation that is not declared to
// make them, or that has not had them judged: the mistake is this program's.
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

// Judge has check decide whether the caller may change authority as it is about
// to: now, and again at each commit of the call, which then fails with check's
// error. check must judge by the newest state.
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

// MayChange is the rule of who may change authority: the caller must have every
// privilege in which what a principal has before and after differ. The zero Set
// is that of a principal who can do nothing: one that is not there, is disabled,
// or has no way in.
func (a *API) MayChange(c *Call, before, after access.Set) error {
	lacks := access.Lacking(a.Access.Authority(login.SubjectOf(c.Session)), before, after)
	if len(lacks) == 0 {
		return nil
	}
	return NoPermission(RootFolder(), errors.New("changes more than the caller has"), lacks...)
}

// Grantor is the caller, for changes of roles and permissions, which package
// access judges by itself.
func (a *API) Grantor(c *Call) access.Grantor {
	c.guard.judged = true
	s := c.Session.Session()
	return access.Grantor{By: s.Actor(), Who: login.SubjectOf(c.Session)}
}
