package command

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client/sessionfile"
)

// StartSession logs in with the function login, saves the session for later commands and returns
// it. If the session replaces a saved one and replace is true, the replaced session is ended.
func (r *Run) StartSession(
	ctx context.Context, login func(context.Context) (*types.UserSession, error), replace bool,
) (*types.UserSession, error) {
	if r.set.flags.noKeep {
		return nil, Usage("--no-keep can't be used with this command, which saves the session for later commands")
	}
	r.noLogin = true // only the function login may log in
	if err := r.dial(ctx, nil); err != nil {
		return nil, err
	}
	defer r.Close()
	session, err := login(ctx)
	if err != nil {
		return nil, err
	}
	before, err := r.findSaved(session.UserName)
	if err == nil {
		err = r.save(session, r.Client)
	}
	if err != nil {
		// Without the file the session can't be used.
		return nil, errors.Join(err, r.Logout(context.WithoutCancel(ctx)))
	}
	if before != nil && replace && before.Path() == r.currentSaved().Path() {
		r.endReplaced(ctx, before)
	}
	return session, nil
}

// endReplaced ends the session that was saved in the same file before, because its token is lost.
func (r *Run) endReplaced(ctx context.Context, before *sessionfile.Session) {
	mine := r.Token()
	defer r.SetToken(mine)
	r.SetToken(before.Token)
	if err := r.Logout(ctx); err != nil {
		warn(r.cmd.ErrOrStderr(), "the previous session could not be ended and stays alive until its idle timeout: %v",
			err)
	}
}

// EndSession ends the saved session, if there is one, and removes its file. If forget is true, it
// only removes the file.
func (r *Run) EndSession(ctx context.Context, forget bool) error {
	saved, err := r.findSaved(r.user)
	if err != nil || saved == nil {
		return err
	}
	if !forget {
		r.noLogin = true
		if err := r.dial(ctx, saved); err != nil {
			return err
		}
		defer r.Close()
		if err := r.Logout(ctx); err != nil {
			return err
		}
	}
	return r.files.Remove(saved)
}
