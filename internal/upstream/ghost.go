package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/wire"
)

const ghostRetry = 30 * time.Second // between attempts to end one

// ghost is the place of a session that may exist at the upstream, but that vigate can't use: the session of a process
// that was killed, a session whose logout failed, or that of a login whose outcome is unknown.
type ghost struct {
	note    note.Key
	cookie  wire.Cookie // zero: only the key is known
	unknown bool        // nothing is known
	keyed   bool        // its key was tried as a cookie, and is none
	until   time.Time   // then it must have expired
	next    time.Time   // when to try again to end it
	refused map[*Account]bool
}

// errNoRoom means that sessions of earlier processes have taken the places.
var errNoRoom = errors.New("the sessions of an earlier process have all places")

// adopt takes over the sessions of killed processes as ghosts of this process.
func (u *Upstream) adopt(ctx context.Context) error {
	for _, k := range u.book.Orphans(u.name) {
		until := u.opts.Now().Add(mustHaveExpired)
		mine, err := u.book.Claim(ctx, k, until)
		if err != nil {
			return err
		}
		if !mine {
			continue
		}
		g := &ghost{note: k, until: until, refused: map[*Account]bool{}}
		u.mu.Lock()
		u.ghosts[g] = true
		u.places++
		u.publish()
		u.mu.Unlock()
		u.opts.Logger.Info("a session of an earlier process may be left at the upstream", "account", k.Account,
			"since", k.Since.Format(time.RFC3339))
		u.endByKey(ctx, g)
	}
	return nil
}

// overfull returns errNoRoom if the place that the caller has taken belongs to a ghost, or to a process
// that has not given up its larger share yet since this one has started.
func (u *Upstream) overfull() error {
	noted := u.book.Count(u.name)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.opts.Share != nil && noted >= u.limits.sessions && !u.hopeful(1) {
		return errNoRoom
	}
	if u.places > u.maxSessions(u.limits.sessions) && !u.hopeful(1) {
		return errNoRoom
	}
	return nil
}

// hopeful reports whether a login above the limit can free places. That is so if ghosts have all places except the
// caller's, and only another session may be able to end some ghosts. Without this exception a crash could cost half
// an hour without service. The caller holds mu.
func (u *Upstream) hopeful(own int) bool {
	if len(u.ghosts) == 0 || u.places-own > len(u.ghosts) {
		return false
	}
	for g := range u.ghosts {
		if g.keyed && g.cookie.Value.IsZero() && len(g.refused) == 0 {
			return true
		}
	}
	return false
}

// endByKey ends the session of a ghost if its key is also its cookie, as at govmomi's simulator. That needs neither a
// login nor a privilege. At other servers the key is not a cookie, and endByKey has no effect.
func (u *Upstream) endByKey(ctx context.Context, g *ghost) {
	content, err := u.Content(ctx)
	if err != nil || g.note.Key.IsZero() {
		return
	}
	c := u.server.Client(wire.Cookie{Value: g.note.Key})
	if _, err = c.CurrentTime(ctx); err == nil {
		err = c.Logout(ctx, *content.SessionManager)
	}
	if err == nil {
		u.freeGhost(g)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	g.keyed = wire.Ended(err)
}

// freeGhost frees the place of a ghost whose session has ended.
func (u *Upstream) freeGhost(g *ghost) {
	u.mu.Lock()
	there := u.ghosts[g]
	if there {
		delete(u.ghosts, g)
		u.places--
		u.publish()
		u.dispatch()
	}
	u.mu.Unlock()
	if there && g.note.ID != "" {
		u.forget(g.note.ID)
	}
}

// endOrphans ends, by means of a session, the sessions of ghosts of which only the key is known. The caller holds mu.
func (u *Upstream) endOrphans(s *Session) {
	var all []*ghost
	for g := range u.ghosts {
		if !g.note.Key.IsZero() && g.cookie.Value.IsZero() && !g.refused[s.account] {
			all = append(all, g)
		}
	}
	over := u.places > u.maxSessions(u.limits.sessions)
	if over {
		s.draining = true // it was opened above the limit, and serves callers only after it has freed places
	}
	if len(all) == 0 {
		s.settle()
		return
	}
	s.pins++
	a := s.account
	u.begin(func() {
		defer s.Unpin()
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		defer cancel()
		content, err := u.Content(ctx)
		if err != nil {
			return
		}
		ended := 0
		for _, g := range all {
			if err = u.server.Client(s.cookie).Terminate(ctx, *content.SessionManager, g.note.Key); err != nil {
				break
			}
			ended++
			u.freeGhost(g)
		}
		if ended > 0 {
			u.opts.Logger.Info("sessions of earlier processes were ended at the upstream", "sessions", ended)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		var fault *wire.FaultError
		if errors.As(err, &fault) && !wire.Ended(err) {
			u.opts.Logger.Warn("sessions of earlier processes can't be ended at the upstream: their places stay taken "+
				"until they must have expired", "sessions", len(all)-ended, "account", a.name, "err", err)
			for _, g := range all[ended:] {
				g.refused[a] = true
			}
		}
		if over && !u.closed && !a.former && u.places <= u.maxSessions(u.limits.sessions) {
			s.draining = false
			u.dispatch()
		}
	})
}

// endGhosts tries to end the ghosts whose cookie is known, and frees the places of those that must have
// expired.
func (u *Upstream) endGhosts(now time.Time) {
	u.mu.Lock()
	var expired, again []*ghost
	for g := range u.ghosts {
		known := !g.cookie.Value.IsZero() || !g.note.Key.IsZero() && !g.keyed
		switch {
		case !now.Before(g.until):
			expired = append(expired, g)
		case known && !now.Before(g.next):
			g.next = now.Add(ghostRetry)
			again = append(again, g)
		}
	}
	u.mu.Unlock()
	for _, g := range expired {
		u.freeGhost(g)
	}
	if u.server.Ready() != nil {
		return
	}
	for _, g := range again {
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		if g.cookie.Value.IsZero() {
			u.endByKey(ctx, g)
		} else if u.endCookie(ctx, g.cookie) == nil {
			u.freeGhost(g)
		}
		cancel()
	}
	u.visit()
}

// visit logs in with an account that has no session, but has ghosts of earlier processes: the new session may be able
// to end them.
func (u *Upstream) visit() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, a := range u.accounts {
		for g := range u.ghosts {
			if g.note.Key.IsZero() || !g.keyed || g.refused[a] || g.note.Account != a.user || a.size+a.opening > 0 {
				continue
			}
			if err, _ := a.unable(u.opts.Now()); err == nil && u.queue.Len() == 0 && u.room(0) {
				u.open(a.pool(""), "")
			}
		}
	}
}

// restarted forgets the logins whose outcome is unknown. Nobody listens at the upstream's address, so the server has
// ended, and with it all its sessions.
func (u *Upstream) restarted() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for g := range u.ghosts {
		if g.unknown {
			delete(u.ghosts, g)
			u.places--
		}
	}
	u.dispatch()
}
