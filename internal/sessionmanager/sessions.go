package sessionmanager

import (
	"context"
	"errors"
	"iter"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vim"
)

// userSession returns the session in the form of the API.
func userSession(l *session.Live) types.UserSession {
	s := l.Summary()
	return types.UserSession{
		Key:              s.Key.String(),
		UserName:         s.Name,
		FullName:         s.FullName,
		LoginTime:        s.LoginTime,
		LastActiveTime:   s.LastActiveTime,
		Locale:           s.Locale,
		MessageLocale:    s.MessageLocale,
		ExtensionSession: s.Extension,
		IpAddress:        s.Address,
		UserAgent:        s.UserAgent,
		CallCount:        s.CallCount,
	}
}

// names reports whether the spelling names the identity.
func (m *manager) names(spelling string, i session.Identity) bool {
	if _, user, ok := i.Name.Upstream(); ok {
		return sameUser(spelling, user)
	}
	if i.Extension {
		return principal.Extension(spelling).Equal(i.Name)
	}
	n, err := principal.Parse(spelling, m.domain.DefaultDomain())
	return err == nil && n.Equal(i.Name)
}

// sameUser reports whether two names mean the same user of an upstream server. A name without a domain is
// another one than each with a domain, because only the upstream knows its own default.
func sameUser(a, b string) bool {
	if principal.Fold(a) == principal.Fold(b) {
		return true
	}
	x, errX := principal.Parse(a, "")
	y, errY := principal.Parse(b, "")
	return errX == nil && errY == nil && x.Equal(y)
}

func (m *manager) logout(ctx context.Context, c *vim.Call, _ *types.LogoutRequestType) error {
	return m.domain.Sessions.End(ctx, c.Session, session.Logout(c.Session.Session()))
}

func (m *manager) setLocale(ctx context.Context, c *vim.Call, r *types.SetLocaleRequestType) error {
	choice, err := m.domain.Locale(r.Locale)
	if err != nil {
		return err
	}
	return m.domain.Sessions.Update(ctx, c.Session, func(s *session.Session) ([]store.Change, error) {
		s.Locale, s.MessageLocale = choice.Locale, choice.MessageLocale
		return nil, nil
	})
}

// terminateSession ends the sessions in the given order, up to the first one that can't be ended.
func (m *manager) terminateSession(ctx context.Context, c *vim.Call, r *types.TerminateSessionRequestType) error {
	own, by := c.Session.Key().String(), c.Session.Actor()
	for _, key := range r.SessionId {
		if key == own {
			return vim.InvalidArgument("sessionId", errors.New("a session can't terminate itself"))
		}
		l, err := m.domain.Sessions.Lookup(ctx, key)
		if errors.Is(err, session.ErrNoSession) {
			return vim.NewFault(&types.NotFound{}, err)
		} else if err != nil {
			return err
		}
		s := l.Session()
		err = m.domain.Sessions.End(ctx, l, session.Terminated(s, by))
		if errors.Is(err, session.ErrNoSession) {
			return vim.NewFault(&types.NotFound{}, err)
		} else if err != nil {
			return err
		}
		c.Note("terminated", key)
	}
	return nil
}

func (m *manager) sessionIsActive(
	ctx context.Context, _ *vim.Call, r *types.SessionIsActiveRequestType,
) (bool, error) {
	l, err := m.domain.Sessions.Lookup(ctx, r.SessionID)
	if errors.Is(err, session.ErrNoSession) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return m.names(r.UserName, l.Identity()), nil
}

func (m *manager) updateServiceMessage(
	ctx context.Context, c *vim.Call, r *types.UpdateServiceMessageRequestType,
) error {
	if m.Front != nil && m.Front.PassThrough {
		return vim.NotSupported("the message of this server is not the upstream's")
	}
	return m.domain.Settings.SetMessage(ctx, c.Session.Actor(), r.Message)
}

func (m *manager) currentSession(_ context.Context, c *vim.Call) (*types.UserSession, error) {
	if c.Session == nil {
		return nil, nil
	}
	return new(userSession(c.Session)), nil
}

// sessionList yields the sessions that live when their turn comes. Sessions that end while the list is
// written may be missing from it.
func (m *manager) sessionList(ctx context.Context, c *vim.Call) (iter.Seq[types.UserSession], error) {
	return listed(ctx, m, c, userSession)
}

// listed yields the results of show for the live sessions, in the order of their logins.
func listed[T any](ctx context.Context, m *manager, c *vim.Call, show func(*session.Live) T) (iter.Seq[T], error) {
	if err := m.Work(ctx, c, m.domain.Sessions.Size()); err != nil {
		return nil, err
	}
	all := m.domain.Sessions.List()
	if fault := m.Answer(c, 8*int64(len(all))); fault != nil {
		return nil, fault
	}
	return func(yield func(T) bool) {
		for _, l := range all {
			if m.domain.Sessions.Alive(l) && !yield(show(l)) {
				return
			}
		}
	}, nil
}

// message returns this server's message. On a front, the upstream's follows it.
func (m *manager) message(ctx context.Context, c *vim.Call) (string, error) {
	own := m.domain.Settings.Message()
	if m.Front == nil || m.Front.Message == nil {
		return own, nil
	}
	upstream, err := m.Front.Message(ctx, c.Session)
	if err != nil {
		return "", err
	}
	if own == "" || upstream == "" {
		return own + upstream, nil
	}
	return own + "\n" + upstream, nil
}

func (m *manager) defaultLocale(context.Context, *vim.Call) (string, error) {
	return m.domain.Settings.Values().DefaultLocale, nil
}

func (m *manager) messageLocaleList(context.Context, *vim.Call) ([]string, error) {
	return locale.Messages(), nil
}

func (m *manager) supportedLocaleList(context.Context, *vim.Call) ([]string, error) {
	return locale.Supported(), nil
}

func (m *manager) sessionsChanged(*vim.Call) <-chan struct{} { return m.domain.Sessions.Changed() }

func (m *manager) ownSessionChanged(c *vim.Call) <-chan struct{} {
	if c.Session == nil {
		return nil
	}
	return m.domain.Sessions.ChangedOne(c.Session)
}

func (m *manager) settingsChanged(*vim.Call) <-chan struct{} { return m.domain.Settings.Changed() }
