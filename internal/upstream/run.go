package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/vigate/vigate/internal/secret/secretfile"
)

// tick is how often an upstream maintains its sessions.
const tick = time.Second

// Run maintains the sessions until ctx ends. It logs out sessions that nobody uses or that are too old, probes
// sessions whose clients only wait, and finds out whether the upstream can be reached.
func (u *Upstream) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	busy := make(chan struct{}, 1) // full while calls to the upstream are made
	for {
		u.look(u.opts.Now())
		select {
		case busy <- struct{}{}:
			go func() {
				defer func() { <-busy }()
				u.ask(ctx, u.opts.Now())
			}()
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look does what needs no call to the upstream.
func (u *Upstream) look(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	for s := range u.sessions {
		switch {
		case s.ended || s.draining:
		case s.unused() && now.Sub(s.used) >= u.limits.idle && !s.kept():
			s.draining = true
		case now.Sub(s.opened) >= u.limits.age && !s.kept():
			s.draining = true
		}
	}
	for r := range u.rests {
		if now.Sub(r.used) >= u.limits.idle && !(r.account.PassThrough() && !r.account.ended) ||
			now.Sub(r.opened) >= u.limits.age {
			u.endREST(r)
		}
	}
	if lost := u.counts.lost.Load(); lost != u.told.lost && now.Sub(u.told.at) >= time.Minute {
		u.opts.Logger.Warn("the upstream has ended sessions", "sessions", lost-u.told.lost)
		u.told.lost, u.told.at = lost, now
	}
	u.settle()
	// The share of this process becomes smaller when another one starts.
	u.makeRoom(0, nil, now)
	u.admitWaits()
	u.dispatch()
}

// settle ends the sessions that nobody needs, among those that drain and those of accounts that are not configured
// any more. The caller holds mu.
func (u *Upstream) settle() {
	for s := range u.sessions {
		if s.account.former {
			s.draining = true
		}
		s.settle()
	}
}

// ask does what needs calls to the upstream.
func (u *Upstream) ask(ctx context.Context, now time.Time) {
	u.server.Refresh()
	u.forgive()
	u.forgetStale()
	if err := u.adopt(ctx); err != nil && ctx.Err() == nil {
		u.opts.Logger.Warn("the notes of earlier processes can't be taken over", "err", err)
	}
	u.prolong(ctx, now)
	u.endGhosts(now)
	if u.server.Ready() != nil {
		return
	}
	u.mu.Lock()
	var quiet []*Session
	for s := range u.sessions {
		if !s.ended && s.pins > 0 && now.Sub(s.used) >= probeAfter {
			quiet = append(quiet, s)
		}
	}
	u.mu.Unlock()
	for _, s := range quiet {
		s.Probe(ctx)
		if ctx.Err() != nil || u.server.Ready() != nil {
			return
		}
	}
}

// noteExpires returns when the note of a session that begins now may be forgotten.
func (u *Upstream) noteExpires() time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.opts.Now().Add(u.limits.age + noteLonger)
}

// prolong keeps the notes of sessions that live longer than they were meant to: they own something.
func (u *Upstream) prolong(ctx context.Context, now time.Time) {
	u.mu.Lock()
	expires := now.Add(u.limits.age + noteLonger)
	var all []*Session
	for s := range u.sessions {
		if s.note.Expires.Sub(now) < noteLonger/2 {
			all = append(all, s)
		}
	}
	u.mu.Unlock()
	for _, s := range all {
		if err := u.book.Prolong(ctx, s.note.ID, expires); err != nil {
			u.opts.Logger.Warn("the note of a session can't be prolonged", "err", err)
			return
		}
		u.mu.Lock()
		s.note.Expires = expires
		u.mu.Unlock()
	}
}

// forgive lets an account log in at once whose password file has changed since the password was refused.
func (u *Upstream) forgive() {
	u.mu.Lock()
	var all []*Account
	for _, a := range u.accounts {
		if a.cause != nil && a.failures > quickRetries && u.opts.Now().Before(a.retry) {
			all = append(all, a)
		}
	}
	u.mu.Unlock()
	for _, a := range all {
		text, err := secretfile.Read(a.file, "password", slog.New(slog.DiscardHandler))
		if err != nil {
			continue
		}
		d := u.refusals.Digest(a.user, text)
		u.mu.Lock()
		if d != a.tried {
			a.retry, a.failures = time.Time{}, 0
		}
		u.mu.Unlock()
	}
}

// Drain logs all sessions out and refuses new callers. It returns when the upstream has confirmed that, or when ctx
// ends.
func (u *Upstream) Drain(ctx context.Context) error {
	u.mu.Lock()
	if !u.closed {
		u.closed = true
		for u.queue.Len() > 0 {
			u.answer(u.queue.Front().Value.(*waiter), u.queue, nil, ErrClosed)
		}
		for u.lounge.Len() > 0 {
			u.answer(u.lounge.Front().Value.(*waiter), u.lounge, nil, ErrClosed)
		}
		for s := range u.sessions {
			s.draining, s.pins = true, 0
			s.end()
		}
		for r := range u.rests {
			u.endREST(r)
		}
		u.finishDrain()
	}
	u.mu.Unlock()
	defer u.server.Close()
	select {
	case <-u.quiet:
	case <-ctx.Done():
		return fmt.Errorf("log out of upstream %s: %w", u.name, ctx.Err())
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.sessions) + len(u.rests) + len(u.ghosts); n > 0 {
		return fmt.Errorf("log out of upstream %s: %d sessions are left there", u.name, n)
	}
	return nil
}
