package sessionmanager

import (
	"context"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

// ruleImpersonate is what ImpersonateUser requires besides its privilege.
const ruleImpersonate = "for an extension without a session: every privilege of the extension"

// impersonateUser makes the caller's session act as another principal. Key and token do not change. The
// session also keeps the identity of its owner.
func (m *manager) impersonateUser(
	ctx context.Context, c *vim.Call, r *types.ImpersonateUserRequestType,
) (types.UserSession, error) {
	c.Note("target", r.UserName)
	if m.Front != nil {
		return types.UserSession{}, vim.NotSupported("nobody impersonates on a front")
	}
	choice, err := m.domain.Locale(r.Locale)
	if err != nil {
		return types.UserSession{}, err
	}
	var extension *session.Identity // the target, if the caller needs all its privileges
	if err := m.Judge(c, func() error { return m.covers(c, extension) }); err != nil {
		return types.UserSession{}, err
	}
	err = m.domain.Sessions.Update(ctx, c.Session, func(s *session.Session) ([]store.Change, error) {
		target, changes, lone, err := m.impersonable(c, r.UserName)
		if err != nil {
			return nil, err
		}
		if extension = nil; lone {
			extension = &target
		}
		if err := m.covers(c, extension); err != nil {
			return nil, err
		}
		owner := s.Owner()
		s.Identity, s.Origin = target, &owner
		if target.Name.Equal(owner.Name) {
			s.Origin = nil // back to its own identity
		}
		s.Locale, s.MessageLocale = choice.Locale, choice.MessageLocale
		return append(changes, m.domain.Events.Change(event.Event{
			Type: "EventEx", ID: "vigate.session.impersonated", User: owner.Name.String(),
			SessionID: s.Key.String(), Subject: target.Name.String(), Address: c.Peer.Address,
		})), nil
	})
	if err != nil {
		return types.UserSession{}, err
	}
	return userSession(c.Session), nil
}

// covers returns an error unless the caller has all privileges of the extension. A nil extension has none.
func (m *manager) covers(c *vim.Call, extension *session.Identity) error {
	if extension == nil {
		return nil
	}
	if !m.Authority(c).Covers(m.domain.Access.Authority(login.Subject(*extension))) {
		return session.ErrNotAllowed
	}
	return nil
}

// impersonable finds the identity with the name that the caller may take on. That is a principal with a
// live session of its own, or an extension without a session. In the second case lone is set, and the
// caller must already have the extension's privileges; see covers. A user overrides an extension of the
// same name.
//
// The changes require that the session, or the extension, still exists when the identity is taken on.
// If it has just ended, the sessions that act as it may already have been ended too, and this one would
// be missed.
func (m *manager) impersonable(
	c *vim.Call, name string,
) (target session.Identity, changes []store.Change, lone bool, err error) {
	user, ext := m.acting(name)
	for _, who := range []acting{user, ext} {
		switch {
		case who.own != nil && who.own.Key == c.Session.Key():
			return who.own.Identity, nil, false, nil
		case who.own != nil:
			return who.own.Identity, []store.Change{store.Require(store.Session, who.own.Key.String())}, false, nil
		case who.any:
			return session.Identity{}, nil, false, session.ErrNotAllowed // another session impersonates it
		}
	}
	e, ok := m.domain.Extensions.Find(name)
	if !ok {
		return session.Identity{}, nil, false, session.ErrNotAllowed
	}
	target = session.Identity{Name: e.Principal(), FullName: e.Key, Extension: true}
	return target, []store.Change{e.Require()}, true, nil
}

// acting are the live sessions that act as one identity.
type acting struct {
	any bool
	own *session.Session // the newest session that doesn't impersonate it, or nil
}

// acting finds the live sessions of the user and of the extension with the name.
func (m *manager) acting(name string) (user, ext acting) {
	for l := range m.domain.Sessions.All() {
		if !m.names(name, l.Identity()) {
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

// newer defines an order of sessions, so that the same one of several is always found.
func newer(s, than *session.Session) bool {
	if !s.LoginTime.Equal(than.LoginTime) {
		return s.LoginTime.After(than.LoginTime)
	}
	return s.Key.String() > than.Key.String()
}
