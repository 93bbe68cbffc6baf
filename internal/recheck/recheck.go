// Package recheck looks up the users of live sessions again in the directories that they come from.
// A [Checker] gives sessions the current groups of their user, and ends the sessions of a user that
// the directory no longer has or has disabled.
//
// A directory sends no notice of such changes, so the Checker asks: see [Checker.Check]. It asks about
// each user once, however many sessions the user has. What a directory says about a user's groups
// replaces what a token or ticket said at login. An answer that is not certain changes nothing: if the
// directory can't be reached, all sessions go on as they are.
//
// A source may also be removed from the configuration. Then nobody vouches for its users any more, and
// their sessions end: see [Checker.Disown].
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
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

// Source is a directory that knows the groups of the users of one domain.
type Source interface {
	// Domain returns the domain in upper case.
	Domain() string
	// Groups returns the groups of a user, in the form of principal.Name.String. It returns
	// login.ErrRejected if it is certain that there is no such user or that it is disabled. It returns
	// directory.ErrUnavailable or login.ErrBusy if it is likely to give no answer about others either.
	Groups(ctx context.Context, name principal.Name) ([]string, error)
}

// Checker checks the sessions of a Manager. Sessions, Sources and Logger are required. Check must be called by one
// goroutine at a time.
type Checker struct {
	Sessions *session.Manager
	Sources  []Source
	// Vouched reports whether a source of the configuration is for the domain. If it is nil, Disown does
	// nothing.
	Vouched func(domain string) bool
	// Since is when the configuration was read.
	Since  time.Time
	Logger *slog.Logger

	failed map[string]bool // the users whose latest lookup has failed, by key
}

const (
	// atOnce is how many users of one directory are looked up at the same time. It leaves most of the
	// directory's connections to logins.
	atOnce = 2
	// enough is how many lookups in a row may find the directory unavailable before the rest of the
	// round is left out.
	enough = 4
)

// user is a user with live sessions.
type user struct {
	name     principal.Name
	sessions []*session.Live
}

// Check looks up each user with a live session once. It must be called periodically: a user that is
// disabled keeps its sessions for one period at most, and for the time that Check takes. The error
// says for how many users a directory gave no answer; they are looked up again at the next call. Check
// also does what Disown does.
func (c *Checker) Check(ctx context.Context) error {
	errs := []error{c.Disown(ctx)}
	failed := map[string]bool{}
	for _, s := range c.Sources {
		r := c.round(s, c.users(s.Domain()))
		errs = append(errs, r.run(ctx))
		maps.Copy(failed, r.failed)
	}
	c.failed = failed
	return errors.Join(errs...)
}

// Disown ends the sessions of users whose domain has no source in the configuration, and the sessions in which such a
// user acts as another. It ends only sessions that are older than Since: while the servers of a cluster get a new
// configuration one after the other, another server may already know a source that this one does not know.
func (c *Checker) Disown(ctx context.Context) error {
	if c.Vouched == nil {
		return nil
	}
	foreign := func(i *session.Identity) bool { return i != nil && !i.Extension && !c.Vouched(i.Name.Domain) }
	domains := map[string]bool{}
	for l := range c.Sessions.AllFronts() {
		// The copy of a session costs more than a look at its principals.
		if identity, origin := l.Who(); foreign(identity) || foreign(origin) {
			if s := l.Session(); s.LoginTime.Before(c.Since) {
				domains[s.Owner().Name.Domain] = true
			}
		}
	}
	if len(domains) == 0 {
		return nil
	}
	n, err := c.Sessions.EndAll(ctx, func(s *session.Session) bool {
		return (foreign(&s.Identity) || foreign(s.Origin)) && s.LoginTime.Before(c.Since)
	}, func(s session.Session) event.Event { return session.Terminated(s, s.Actor()) })
	c.Logger.Info("sessions end: no source of the configuration is for their domain", "sessions", n,
		"domains", slices.Sorted(maps.Keys(domains)))
	if err != nil {
		return fmt.Errorf("end sessions of domains without a source: %w", err)
	}
	return nil
}

// users returns the users of the domain that have started a live session or that a live session acts
// as.
func (c *Checker) users(domain string) []*user {
	byKey := map[string]*user{}
	var all []*user
	for l := range c.Sessions.AllFronts() {
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
	all    []*user

	mu     sync.Mutex // guards what follows
	done   int
	inRow  int // lookups that found the source unavailable since the last answer
	first  error
	failed map[string]bool // the users whose latest lookup has failed, by key
}

// round returns a round. The users whose latest lookup has failed are the last: nobody is left out for ever
// because of others whose lookups take too long.
func (c *Checker) round(s Source, all []*user) *round {
	r := &round{Checker: c, source: s, failed: map[string]bool{}}
	var last []*user
	for _, u := range all {
		if c.failed[u.name.Key()] {
			last, r.failed[u.name.Key()] = append(last, u), true
		} else {
			r.all = append(r.all, u)
		}
	}
	r.all = append(r.all, last...)
	return r
}

func (r *round) run(ctx context.Context) error {
	todo := make(chan *user, len(r.all))
	for _, u := range r.all {
		todo <- u
	}
	close(todo)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for u := range todo {
				if !r.goesOn() || ctx.Err() != nil {
					return
				}
				r.settle(ctx, u)
			}
		})
	}
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.first != nil:
		return fmt.Errorf("look up users of %s: %d of %d failed or were left out: %w",
			r.source.Domain(), len(r.all)-r.done, len(r.all), r.first)
	}
	return nil
}

// goesOn reports whether the source is likely to answer, and the store to take changes.
func (r *round) goesOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inRow < enough
}

// count counts the outcome for a user. answered is set if the source and the store can be used, so
// that a failure concerns this user alone.
func (r *round) count(u *user, answered bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inRow++; answered {
		r.inRow = 0
	}
	if err == nil {
		r.done++
		delete(r.failed, u.name.Key())
		return
	}
	r.failed[u.name.Key()] = true
	if r.first == nil {
		r.first = fmt.Errorf("%s: %w", u.name, err)
	}
}

// settle looks up the user and changes or ends its sessions. A directory may have no answer about one user,
// for example because it has too many groups, and know all others.
func (r *round) settle(ctx context.Context, u *user) {
	groups, err := r.source.Groups(ctx, u.name)
	switch {
	case errors.Is(err, login.ErrRejected):
		r.Logger.Info("sessions of a user end: the directory does not have it, or has disabled it",
			"principal", u.name.String(), "sessions", len(u.sessions), "reason", err.Error())
		err = r.Sessions.Evict(ctx, u.name, "")
		r.count(u, err == nil, err)
		return
	case err != nil:
		r.count(u, !errors.Is(err, directory.ErrUnavailable) && !errors.Is(err, login.ErrBusy), err)
		return
	}
	n, err := r.Sessions.Regroup(ctx, u.name, groups, u.sessions)
	if n > 0 {
		r.Logger.Info("groups of a user have changed", "principal", u.name.String(), "sessions", n,
			"groups", len(groups))
	}
	r.count(u, err == nil, err)
}
