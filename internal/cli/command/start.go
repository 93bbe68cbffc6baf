package command

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"
)

// StartSession logs in by enter, keeps the session for later commands and
// returns it. replace: the session that was kept in its place is ended.
func (r *Run) StartSession(ctx context.Context, enter func(context.Context) (*types.UserSession, error), replace bool) (*types.UserSession, error) {
	if r.set.flags.noKeep {
		return nil, Usage("--no-keep has no meaning here: the session is for later commands")
	}
	r.silent = true // nothing but enter may log in
	if err := r.dial(ctx, nil); err != nil {
		return nil, err
	}
	defer r.Close()
	session, err := enter(ctx)
	if err != nil {
		return nil, err
	}
	before, err := r.files.find(r.url, session.UserName)
	if err == nil {
		err = r.keep(session, r.Client)
	}
	if err != nil {
		// Nobody could use it.
		return nil, errors.Join(err, r.Logout(context.WithoutCancel(ctx)))
	}
	if before != nil && replace && before.path == r.keptNow().path {
		r.endReplaced(ctx, before)
	}
	return session, nil
}

// endReplaced ends the session that was kept where the new one is now, since
// nobody has its token any more.
func (r *Run) endReplaced(ctx context.Context, before *keptSession) {
	mine := r.Token()
	defer r.SetToken(mine)
	r.SetToken(before.token)
	if err := r.Logout(ctx); err != nil {
		warn(r.cmd.ErrOrStderr(), "the session that was kept before lives on until it idles out: %v", err)
	}
}

// EndSession ends the session that is kept, if there is one, and forgets it.
// With forget it is only forgotten.
func (r *Run) EndSession(ctx context.Context, forget bool) error {
	kept, err := r.files.find(r.url, r.user)
	if err != nil || kept == nil {
		return err
	}
	if !forget {
		r.silent = true
		if err := r.dial(ctx, kept); err != nil {
			return err
		}
		defer r.Close()
		if err := r.Logout(ctx); err != nil {
			return err
		}
	}
	return r.files.forget(kept)
}
