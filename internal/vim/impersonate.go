package vim

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// ruleImpersonate is what ImpersonateUser asks for besides its privilege.
const ruleImpersonate = "for an extension without a session: every privilege of the extension"

// impersonateUser makes the caller's session act as another. Key and token
// stay; who really acts is kept beside the new identity.
func (a *API) impersonateUser(ctx context.Context, c *Call, r *types.ImpersonateUserRequestType) (types.UserSession, error) {
	c.Note("target", r.UserName)
	choice, err := a.Gate.Locale(r.Locale)
	if err != nil {
		return types.UserSession{}, err
	}
	var extension *session.Identity // the target, if the caller needs all that it has
	if err := a.Judge(c, func() error { return a.covers(c, extension) }); err != nil {
		return types.UserSession{}, err
	}
	err = a.Sessions.Update(ctx, c.Session, func(s *session.Session) ([]store.Change, error) {
		target, changes, lone, err := a.impersonable(c, r.UserName)
		if err != nil {
			return nil, err
		}
		if extension = nil; lone {
			extension = &target
		}
		if err := a.covers(c, extension); err != nil {
			return nil, err
		}
		owner := s.Owner()
		s.Identity, s.Origin = target, &owner
		if target.Name.Equal(owner.Name) {
			s.Origin = nil // back to its own self
		}
		s.Locale, s.MessageLocale = choice.Locale, choice.MessageLocale
		return append(changes, a.Events.Change(event.Event{
			Type: "EventEx", ID: "vigate.session.impersonated", User: owner.Name.String(),
			SessionID: s.Key.String(), Subject: target.Name.String(), Address: c.Peer.Address,
		})), nil
	})
	if err != nil {
		return types.UserSession{}, err
	}
	return userSession(c.Session), nil
}

// covers judges that the caller has all that the extension, if it is one, may do.
func (a *API) covers(c *Call, extension *session.Identity) error {
	if extension == nil {
		return nil
	}
	has := a.Access.Authority(login.SubjectOf(c.Session))
	if !has.Covers(a.Access.Authority(login.Subject(*extension))) {
		return session.ErrNotAllowed
	}
	return nil
}

// impersonable finds the identity that may be taken on: that of somebody with a
// live session of its own, or of an extension that is lone: it has none, and the
// caller must have its authority already, see covers. A user goes before an
// extension of the same name. The session, or the extension, must still be there
// when the identity is taken on, which is what the changes require: if it is lost
// at that moment, the sessions that act as it may already have been ended.
func (a *API) impersonable(c *Call, name string) (target session.Identity, changes []store.Change, lone bool, err error) {
	user, ext := a.acting(name)
	for _, who := range []acting{user, ext} {
		switch {
		case who.own != nil && who.own.Key == c.Session.Key():
			return who.own.Identity, nil, false, nil
		case who.own != nil:
			return who.own.Identity, []store.Change{store.Require(store.Session, who.own.Key.String())}, false, nil
		case who.any:
			return session.Identity{}, nil, false, session.ErrNotAllowed // impersonated by another already
		}
	}
	e, ok := a.Extensions.Find(name)
	if !ok {
		return session.Identity{}, nil, false, session.ErrNotAllowed
	}
	target = session.Identity{Name: e.Principal(), FullName: e.Key, Extension: true}
	return target, []store.Change{e.Require()}, true, nil
}

// acting are the live sessions that act as one identity.
type acting struct {
	any bool
	own *session.Session // the newest of those that don't impersonate it; nil: none
}

// acting finds the live sessions of the user and of the extension with the name.
func (a *API) acting(name string) (user, ext acting) {
	for l := range a.Sessions.All() {
		if !a.names(name, l.Identity()) {
			continue
		}
		s := l.Session()
		of := &user
		if s.Identity.Extension {
			of = &ext
		}
		of.any = true
		if s.Origin == nil && (of.own == nil || newer(&s, of.own)) {
			of.own = &s
		}
	}
	return user, ext
}

// newer is an order of sessions, so that of several the same one is found again.
func newer(s, than *session.Session) bool {
	if !s.LoginTime.Equal(than.LoginTime) {
		return s.LoginTime.After(than.LoginTime)
	}
	return s.Key.String() > than.Key.String()
}

// names reports whether the spelling names the identity.
func (a *API) names(spelling string, i session.Identity) bool {
	if i.Extension {
		return principal.Extension(spelling).Equal(i.Name)
	}
	n, err := principal.Parse(spelling, a.Gate.DefaultDomain())
	return err == nil && n.Equal(i.Name)
}
