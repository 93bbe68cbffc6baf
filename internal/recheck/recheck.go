// Package recheck looks up the users of live sessions again in the directories that they come from.
// A [Checker] gives sessions the current groups of their user, and ends the sessions of a user that
// the directory no longer has or has disabled.
//
// A directory sends no notice of such changes, so the Checker asks: see [Checker.Check]. It asks about
// each user once, however many sessions the user has. What a directory says about a user's groups
// replaces what a token or ticket said at login. An answer that is not certain changes nothing: if the
// directory can't be reached, all sessions go on as they are.
//
// In a cluster every server checks the sessions of all servers. So the checks go on as long as any
// server can reach the directory. A server that finds what another has changed already has nothing to
// change; only the questions to the directory multiply.
package recheck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

// Source is a directory that knows the groups of the users of one domain.
type Source interface {
	// Domain returns the domain in upper case.
	Domain() string
	// Groups returns the groups of a user, in the form of principal.Name.String. It returns
	// login.ErrRejected if it is certain that there is no such user or that it is disabled.
	Groups(ctx context.Context, name principal.Name) ([]string, error)
}

// Checker checks the sessions of a Manager. All fields are required. Check must be called by one
// goroutine at a time.
type Checker struct {
	Sessions *session.Manager
	Sources  []Source
	Logger   *slog.Logger
}

const (
	// atOnce is how many users of one directory are looked up at the same time. It leaves most of the
	// directory's connections to logins.
	atOnce = 2
	// enough is how many lookups may fail in a row before the rest of the round is left out.
	enough = 4
)

// user is a user with live sessions.
type user struct {
	name     principal.Name
	sessions []*session.Live
}

// Check looks up each user with a live session once. It must be called periodically: a user that is
// disabled keeps its sessions for one period at most, and for the time that Check takes. The error
// says for how many users a directory gave no answer; they are looked up again at the next call.
func (c *Checker) Check(ctx context.Context) error {
	var errs []error
	for _, s := range c.Sources {
		if err := c.check(ctx, s, c.users(s.Domain())); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// users returns the users of the domain that have started a live session or that a live session acts
// as.
func (c *Checker) users(domain string) []*user {
	byKey := map[string]*user{}
	var all []*user
	for l := range c.Sessions.All() {
		identity, origin := l.Who()
		for _, i := range []*session.Identity{identity, origin} {
			if i == nil || i.Extension || principal.Fold(i.Name.Domain) != principal.Fold(domain) {
				continue
			}
			key := i.Name.Key()
			if byKey[key] == nil {
				byKey[key] = &user{name: i.Name}
				all = append(all, byKey[key])
			}
			byKey[key].sessions = append(byKey[key].sessions, l)
		}
	}
	return all
}

// round is one check of the users of one source.
type round struct {
	*Checker
	source Source
	todo   chan *user

	mu    sync.Mutex // guards what follows
	done  int
	inRow int // failed since the last answer
	first error
}

func (c *Checker) check(ctx context.Context, s Source, all []*user) error {
	r := &round{Checker: c, source: s, todo: make(chan *user, len(all))}
	for _, u := range all {
		r.todo <- u
	}
	close(r.todo)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for u := range r.todo {
				if !r.goesOn() || ctx.Err() != nil {
					return
				}
				r.count(r.settle(ctx, u))
			}
		})
	}
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.first != nil:
		return fmt.Errorf("look up users of %s: %d of %d failed or were left out: %w",
			s.Domain(), len(all)-r.done, len(all), r.first)
	}
	return nil
}

// goesOn reports whether the source is likely to answer.
func (r *round) goesOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inRow < enough
}

func (r *round) count(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.inRow = 0
		r.done++
		return
	}
	r.inRow++
	if r.first == nil {
		r.first = err
	}
}

// settle looks up the user and changes or ends its sessions.
func (r *round) settle(ctx context.Context, u *user) error {
	groups, err := r.source.Groups(ctx, u.name)
	switch {
	case errors.Is(err, login.ErrRejected):
		r.Logger.Info("sessions of a user end: the directory does not have it, or has disabled it",
			"principal", u.name.String(), "sessions", len(u.sessions), "reason", err.Error())
		return r.Sessions.Evict(ctx, u.name, "")
	case err != nil:
		return err
	}
	n, err := r.Sessions.Regroup(ctx, u.name, groups, u.sessions)
	if n > 0 {
		r.Logger.Info("groups of a user have changed", "principal", u.name.String(), "sessions", n,
			"groups", len(groups))
	}
	return err
}
